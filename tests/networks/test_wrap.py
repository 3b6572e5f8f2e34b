"""Pictures that go round: a rolled picture's translation is the rolled translation, for every generator."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.inference.tiling.streamed import Work
from gan_style.inference.tiling.tiled import counted, streamed
from gan_style.networks.blocks import UPSAMPLES, BlurPool, pad_to_multiple
from gan_style.networks.fast_convolutions import fast_convolutions
from gan_style.networks.filters import blur
from gan_style.networks.noise import Noise
from gan_style.networks.padding import pad
from gan_style.networks.recomputed import checkpointed
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.unet import UNetGenerator
from gan_style.networks.wrap import circular, directions, wrapping, wrapping_but
from tests.networks.test_contract import OfOneStyle, names, network

CPU = torch.device("cpu")
CANNOT = {"attention": "weights for each place", "stylegan2": "a transposed convolution that does not enlarge"}
STRIDE = 32  # of no network here is it larger: `network` makes U-Nets as deep as they are, except the two of pix2pix
GENERATORS: dict[str, Callable[..., nn.Module]] = {
    "resnet": lambda **words: ResnetGenerator(filters=4, blocks=2, init_gain=0.3, **words),
    "mobile": lambda **words: ResnetGenerator(filters=4, blocks=2, init_gain=0.3, separable=True, **words),
    "unet": lambda **words: UNetGenerator(filters=4, depth=4, init_gain=0.3, **words),
}


def made(name: str, **words: object) -> nn.Module:
    torch.manual_seed(0)
    return GENERATORS[name](**words).eval()


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype) * 2 - 1


def repeated(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What a function gives in the middle of nine copies of x: that of a plane covered by x, for what sees that far."""
    y = function(x.repeat(1, 1, 3, 3))
    height, width = y.shape[-2] // 3, y.shape[-1] // 3
    return y[..., height : 2 * height, width : 2 * width]


@pytest.mark.parametrize("padding", [(1, 2, 3, 0), (0, 9, 20, 1), (0, 0, 0, 0)])
def test_padding_is_numpys(padding: tuple[int, int, int, int]) -> None:
    x = random(2, 3, 5, 4)
    left, right, top, bottom = padding
    theirs = np.pad(x.numpy(), ((0, 0), (0, 0), (top, bottom), (left, right)), mode="wrap")
    np.testing.assert_array_equal(circular(x, padding).numpy(), theirs)


def test_one_direction_goes_round_and_the_other_stays_as_it_is() -> None:
    x = random(1, 1, 4, 5)
    for mode in ("reflect", "replicate"):
        with wrapping("x"):
            found = pad(x, (2, 1, 1, 2), mode)
        np.testing.assert_array_equal(
            found.numpy(), np.pad(F.pad(x, (0, 0, 1, 2), mode).numpy(), ((0, 0), (0, 0), (0, 0), (2, 1)), mode="wrap")
        )
    layer = nn.Conv2d(1, 2, 3, padding=1, dtype=torch.float64)
    with wrapping("y"):
        found = layer(x)
    sides = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (0, 0)), mode="wrap")
    np.testing.assert_allclose(
        found.detach().numpy(),
        F.conv2d(torch.from_numpy(sides), layer.weight, layer.bias, padding=(0, 1)).detach().numpy(),
        atol=1e-12,
    )


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.Conv2d(3, 2, (3, 5), padding=(1, 2)),
    "dilated": lambda: nn.Conv2d(3, 2, 3, padding=2, dilation=2),
    "halved": lambda: nn.Conv2d(3, 2, 4, 2, 1),
    "halved odd": lambda: nn.Conv2d(3, 2, 3, 2, 1),
    "transposed": lambda: nn.ConvTranspose2d(3, 2, 3, 2, 1, 1),
    "transposed even": lambda: nn.ConvTranspose2d(3, 2, 4, 2, 1),
    "transposed by groups": lambda: nn.ConvTranspose2d(3, 6, 5, 2, 2, 1, groups=3),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "blur pool": BlurPool,
}


@torch.no_grad()
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_sees_a_plane_covered_by_the_picture(name: str) -> None:
    layer, x = LAYERS[name]().double(), random(2, 3, 8, 6)
    expected = repeated(layer, x)
    with wrapping("xy"):
        found = layer(x)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert (layer(x) - expected).abs().max() > 1e-3 or name == "nearest"


@torch.no_grad()
def test_a_gaussian_longer_than_the_picture_goes_round_more_than_once() -> None:
    x = random(1, 2, 4, 5)
    with wrapping("xy"):
        found = blur(x, 2.0)
    torch.testing.assert_close(
        found, repeated(lambda y: blur(y.repeat(1, 1, 3, 3), 2.0), x)[..., 4:8, 5:10], atol=1e-12, rtol=0
    )


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "wrap", "shift"),
    [
        *((f"{name} {mode}", "xy", (32, 16)) for name in GENERATORS for mode in UPSAMPLES),
        *(("resnet deconv", wrap, shift) for wrap, shift in (("x", (0, 4)), ("y", (4, 0)))),
        *(("unet bilinear", wrap, shift) for wrap, shift in (("x", (0, 16)), ("y", (32, 0)))),
        ("band", "x", (0, 16)),
    ],
)
def test_rolled_whole_tiled_and_fast(name: str, wrap: str, shift: tuple[int, int], tmp_path: Path) -> None:
    words: dict[str, Any] = {"upsample": name.split()[-1]}
    if name == "band":
        name, words = (
            "unet",
            {"head": "band", "full_size_skip": True, "fine_filters": 3, "padding": "reflect", "upsample": "blur"},
        )
    net, x = made(name.split()[0], **words), random(1, 3, 48, 64)
    with wrapping(wrap):
        found, rolled = net.double()(x), net(x.roll(shift, (2, 3)))
    torch.testing.assert_close(found.roll(shift, (2, 3)), rolled, atol=1e-11, rtol=0)
    assert (net(x).roll(shift, (2, 3)) - net(x.roll(shift, (2, 3)))).abs().max() > 0.01  # not so without it
    net, x = net.float(), x.float()
    for tile in (16, 25):
        with wrapping(wrap):
            tiles = streamed(net, x, work := Work(tile, CPU, tmp_path))
            plan = counted(net, x, tile, CPU)
        torch.testing.assert_close(tiles, found.float(), atol=1e-4, rtol=0)
        assert (plan.tiles, plan.disk, plan.memory) == (work.tiles, work.disk, work.memory)
    with wrapping(wrap), fast_convolutions(net):
        torch.testing.assert_close(net(x), found.float(), atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in names("generator") if name not in CANNOT])
def test_every_generator_of_conf(name: str) -> None:
    net = network("generator", name).double()
    net = OfOneStyle(net) if name in ("styled", "munit") else net
    for part in (part for part in net.modules() if isinstance(part, Noise)):  # it is of a place, and does not roll
        for strength in part.parameters():
            strength.zero_()
    side = {"unet256": 256, "unet128": 128}.get(name, STRIDE)
    x = random(1, 3, side, 2 * side)
    if name == "bridge":  # its noise is drawn in another way, and does not roll
        with wrapping("x"):
            assert net(x).shape == x.shape
        return
    with wrapping("x"):
        found, rolled = net(x), net(x.roll(side, 3))
    torch.testing.assert_close(found.roll(side, 3), rolled, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", CANNOT)
def test_generators_that_cannot_go_round_say_so(name: str) -> None:
    with wrapping("x"), pytest.raises(UserError, match=f"wrap=x cannot be, because this network has {CANNOT[name]}"):
        network("generator", name)(random(1, 3, 32, 32, dtype=torch.float32))


def test_sides_that_do_not_fit_are_refused_with_those_that_do() -> None:
    net, x = made("resnet").double(), random(1, 3, 32, 30)
    sentence = "wrap=x wants a width that is a multiple of 4, .* not 30 pixels: resize the picture to 28 or 32"
    with wrapping("x"), pytest.raises(UserError, match=sentence):
        net(x)
    with wrapping("y"):
        assert net(x).shape == x.shape  # padded where it does not go round
    with (
        wrapping("xy"),
        pytest.raises(UserError, match=r"height that is a multiple of 16, .* not 6 pixels: .* to 16, or turn wrap off"),
    ):
        pad_to_multiple(random(1, 3, 6, 32), 16)


def test_a_stride_inside_is_refused_by_the_pictures_side() -> None:
    net = nn.Sequential(
        nn.ReflectionPad2d(1), nn.Conv2d(3, 4, 4, 2), nn.ReflectionPad2d(1), nn.Conv2d(4, 4, 3, 2), nn.Tanh()
    ).double()
    with wrapping("x"):
        assert net(random(1, 3, 9, 12)).shape == (1, 4, 2, 3)
    sentence = "width that is a multiple of 4, .* not 10 pixels: .* to 8 or 12, or turn wrap off"
    with wrapping("x"), pytest.raises(UserError, match=sentence):
        net(random(1, 3, 9, 10))


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda x: F.avg_pool2d(x, 3, 2, 1), "a pooling with padding"),
        (lambda x: F.conv2d(x, x[:, :, :3, :3], padding="same"), "padding=same"),
        (lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"), "interpolation bilinear by 1.5"),
        (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), "interpolation bicubic"),
        (lambda x: F.conv_transpose2d(x, x[:, :, :3, :3], dilation=2), "dilation"),
    ],
)
def test_what_it_does_not_know_is_refused_by_name(function: Callable[[Tensor], Tensor], what: str) -> None:
    x = random(1, 1, 8, 8)
    function(x)
    with wrapping("x"), pytest.raises(UserError, match=what):
        function(x)


def test_blocks_inside_blocks() -> None:
    assert directions() == ""
    with wrapping("x"):
        with wrapping("y"):
            assert directions() == "y"
        with wrapping(None), wrapping("xy"):
            assert directions() == "xy"
        assert directions() == "x"
    assert directions() == ""


def test_a_thread_in_a_copy_of_the_context_has_blocks_of_its_own() -> None:
    """As of `asyncio.to_thread` and the studio's work: torch's modes are of a thread, so directions are, too."""
    layer, x = nn.Conv2d(3, 2, 3, padding=1).double(), random(1, 3, 8, 6)
    with torch.no_grad():
        plain = layer(x)
        alone = {}
        for wrap in ("x", "y"):
            with wrapping(wrap):
                alone[wrap] = layer(x)
    began, go_on = threading.Event(), threading.Event()
    found: dict[str, Any] = {}

    @torch.no_grad()
    def other() -> None:
        found["before"], found["plain"] = directions(), layer(x)
        with wrapping("y"):
            began.set()
            assert go_on.wait(30)
            found["y"] = layer(x)

    with torch.no_grad(), wrapping("x"):
        thread = threading.Thread(target=contextvars.copy_context().run, args=(other,))
        thread.start()
        assert began.wait(30)
        here, found["x"] = directions(), layer(x)
        go_on.set()
        thread.join()
    assert (here, found["before"]) == ("x", "")
    assert torch.equal(found["plain"], plain)
    for wrap, expected in alone.items():
        assert torch.equal(found[wrap], expected)


def test_a_network_may_be_left_out_even_if_it_fails() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert directions() == ""
            raise RuntimeError("it fails")

    judge, x = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1)).double(), random(1, 3, 8, 8)
    plain, fails = judge(x), Fails()
    with wrapping_but("xy", judge, fails):
        assert torch.equal(judge(x), plain)
        with pytest.raises(RuntimeError, match="it fails"):
            fails(x)
        assert directions() == "xy"
        assert not torch.equal(judge[0](x), plain)
    with wrapping("xy"):
        assert not torch.equal(judge(x), plain)  # no hook is left


def test_gradients_go_round_and_recomputed_blocks_give_the_same() -> None:
    net, x = made("resnet").double(), random(1, 3, 16, 16).requires_grad_()
    with wrapping("xy"):
        (plain,) = torch.autograd.grad(net(x).square().sum(), x)
        with checkpointed(net):
            (again,) = torch.autograd.grad(net(x).square().sum(), x)
        with fast_convolutions(net.float()):  # which recompute the layers between convolutions
            (quick,) = torch.autograd.grad(net(x.float()).square().sum(), x)
        net.double()
        with checkpointed(net):
            total = net(x).square().sum()
    with checkpointed(net):  # as in the thread that computes backward passes on a GPU, which knows of no block
        (outside,) = torch.autograd.grad(total, x)
    assert torch.equal(plain, again)
    assert torch.equal(plain, outside)
    torch.testing.assert_close(quick, plain, atol=1e-3 * float(plain.abs().max()), rtol=0)
    with wrapping("xy"):
        (rolled,) = torch.autograd.grad(net(x.roll(8, 3)).square().sum(), x)
    torch.testing.assert_close(rolled, plain, atol=1e-9, rtol=0)
