"""Tiled equals whole: every network, every way of enlarging, odd sizes, random and trained weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.inference.tiling.streamed import Work
from gan_style.inference.tiling.tiled import counted, streamed
from gan_style.networks.adain import AdaINDecoder, adain
from gan_style.networks.blocks import UPSAMPLES
from gan_style.networks.fast_convolutions import fast_convolutions
from gan_style.networks.munit import MUNITGenerator, MUNITStyleEncoder
from gan_style.networks.path import PathGenerator
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.styled import StyledGenerator
from gan_style.networks.two_branch import TwoBranchGenerator
from gan_style.networks.unet import UNetGenerator
from gan_style.networks.vgg import VGG

CPU = torch.device("cpu")
SIZES = ((37, 53), (64, 23), (5, 70))
TILES = (5, 16, 33)
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "resnet": lambda **words: ResnetGenerator(filters=4, blocks=2, **words),
    "mobile": lambda **words: ResnetGenerator(filters=4, blocks=2, separable=True, **words),
    "unet": lambda **words: UNetGenerator(filters=4, depth=5, **words),
    "painter": lambda **words: UNetGenerator(
        filters=4, depth=3, full_size_skip=True, fine_filters=3, padding="reflect", **({"upsample": "blur"} | words)
    ),
    "path": lambda **words: PathGenerator(filters=4, blocks=3, **words),
    "two_branch": lambda **words: TwoBranchGenerator(filters=4, blocks=1, **words),
}


def image(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth, with some noise: [1, 3, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 4, 4, generator=generator)
    noise = torch.rand(1, 3, height, width, generator=generator)
    return F.interpolate(coarse, (height, width), mode="bilinear") + 0.5 * noise - 0.75


def tiled(function: Callable[[Any], Any], x: Tensor, tile: int, folder: Path) -> Any:
    work = Work(tile, CPU, folder)
    output = streamed(function, x, work)
    plan = counted(function, x, tile, CPU)
    assert (plan.tiles, plan.disk) == (work.tiles, work.disk)  # what was said before is what it took
    assert work.kept == 0
    assert not list(folder.iterdir())
    return output


def assert_exact(function: Callable[[Any], Any], folder: Path, sizes: Any = SIZES, tiles: Any = TILES) -> None:
    with torch.no_grad():
        for size in sizes:
            x = image(*size)
            whole = function(x)
            for tile in tiles:
                torch.testing.assert_close(tiled(function, x, tile, folder), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize("upsample", UPSAMPLES)
@pytest.mark.parametrize("name", NETWORKS)
def test_tiled_equals_whole_with_random_weights(name: str, upsample: str, tmp_path: Path) -> None:
    network = NETWORKS[name](upsample=upsample, init_gain=0.2).eval()
    assert_exact(network, tmp_path, SIZES[:1], (16,))


@pytest.mark.parametrize("name", NETWORKS)
def test_tiled_equals_whole_with_trained_weights(name: str, tmp_path: Path) -> None:
    """Some steps towards another picture, so that norms and biases are no longer what they began as."""
    network = NETWORKS[name]()
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    x, target = image(32, 32, 1), image(32, 32, 2).clamp(-1, 1)
    losses = []
    for _ in range(12):
        loss = F.l1_loss(network(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert_exact(network.eval(), tmp_path)


@pytest.mark.parametrize("head", ["residual", "band"])
@pytest.mark.parametrize("name", ["resnet", "mobile", "unet", "painter"])
def test_heads_that_begin_at_the_picture(name: str, head: str, tmp_path: Path) -> None:
    assert_exact(NETWORKS[name](head=head, init_gain=0.2).eval(), tmp_path)


@pytest.mark.parametrize("words", [{}, {"head": "band"}])
@pytest.mark.parametrize("name", ["resnet", "mobile", "unet", "painter"])
def test_noise_is_drawn_by_place_and_not_by_tile(name: str, words: dict[str, Any], tmp_path: Path) -> None:
    network = NETWORKS[name](noise=True, init_gain=0.2, **words).eval()
    with torch.no_grad():
        for strength in network.noise.strengths:  # so much that noise of another place would be seen
            strength.fill_(1.0)
    network.noise.noise_seed = 3
    assert_exact(network, tmp_path)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_other_norms(norm: str, tmp_path: Path) -> None:
    for name in ("resnet", "unet"):
        network = NETWORKS[name](norm=norm, dropout=0.5)
        network(torch.cat([image(40, 40, 1), image(40, 40, 2)]))  # which moves the running statistics
        assert_exact(network.eval(), tmp_path, SIZES[:1], (16,))


@pytest.mark.parametrize("kind", [StyledGenerator, MUNITGenerator])
def test_a_style_code_that_steers_the_norms(kind: Any, tmp_path: Path) -> None:
    network, code = kind(filters=4, blocks=1, style_size=8).eval(), torch.randn(1, 8)
    assert_exact(lambda x: network(x, code), tmp_path)


def test_a_style_encoder_of_the_whole_picture(tmp_path: Path) -> None:
    network = MUNITStyleEncoder(filters=4).eval()
    assert_exact(network, tmp_path)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norms(groups: int, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.GroupNorm(groups, 6), nn.Conv2d(6, 3, 1))
    with torch.no_grad():
        network[1].weight.uniform_(0.5, 2)  # type: ignore[operator,union-attr]
        network[0].bias.add_(torch.arange(6.0))  # type: ignore[operator,union-attr]  # channels of different means
    assert_exact(network, tmp_path)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_adain_encoder_statistics_and_decoder(padding: str, pooling: str, tmp_path: Path) -> None:
    encoder = VGG("random", depth="relu2_1", pooling=pooling)  # type: ignore[arg-type]
    encoder.padding = padding
    decoder = AdaINDecoder("relu2_1")
    mean, std = torch.rand(1, 128), torch.rand(1, 128) + 0.5

    def stylize(x: Any) -> Any:
        return decoder(adain(encoder(x, ["relu2_1"])["relu2_1"], mean, std)).clamp(-1, 1)

    assert_exact(stylize, tmp_path, ((36, 52), (14, 66)), (7, 32))


def test_statistics_are_of_the_whole_map(tmp_path: Path) -> None:
    x = image(31, 45) + 100  # far from zero, where sums of squares lose all digits
    mean, variance = (s.float() for s in tiled(lambda m: m.contiguous().flatten(2)._x.statistics(), x, 8, tmp_path))
    torch.testing.assert_close(mean, x.double().mean(dim=(2, 3)).float())
    torch.testing.assert_close(variance, x.double().var(dim=(2, 3), correction=0).float(), rtol=1e-4, atol=0)


def test_tiles_are_not_simply_translated_each_for_itself(tmp_path: Path) -> None:
    """What the other tests would not see if a tile were the whole picture."""
    network, x = NETWORKS["resnet"](init_gain=0.2).eval(), image(64, 64)
    with torch.no_grad():
        whole, alone = network(x), network(x[..., :32, :32])
    assert (whole[..., :32, :32] - alone).abs().max() > 1e-2


@torch.no_grad()
def test_products_in_bfloat16_are_those_of_the_whole(tmp_path: Path) -> None:
    network, x = ResnetGenerator(filters=16, blocks=2, init_gain=0.1).eval(), image(45, 70)
    exact = network(x)
    with fast_convolutions(network, bf16=True):
        whole, tiles = network(x), tiled(network, x, 16, tmp_path)
    error = (whole - exact).square().mean().sqrt()
    assert error > 1e-4  # the products are rounded
    assert (tiles - exact).square().mean().sqrt() < 1.2 * error


def test_what_cannot_be_tiled_is_said(tmp_path: Path) -> None:
    x = image(20, 20)
    for function, name in (
        (lambda m: torch.fft.fft2(m), "fft_fft2"),
        (lambda m: m.cumsum(2), "the method cumsum"),
        (lambda m: m**2, "unsupported operand"),
        (lambda m: F.conv2d(m, torch.ones(3, 3, 3, 3), padding="same"), "padding=same"),
        (lambda m: F.pad(m, (-1, -1, 0, 0)), "a padding"),
        (lambda m: m[0], r"\[0\]"),
        (lambda m: m * torch.ones(1, 1, 20, 20), "a picture that is not tiled"),
        (lambda m: F.max_pool2d(m, 3, 2), "overlap"),
        (lambda m: F.dropout(m, 0.5, True), "dropout in training"),
    ):
        with pytest.raises(UserError, match=f"{name}.*take --tile off"):
            counted(function, x, 8, CPU)


def test_a_network_of_torch_s_own_layers_and_methods(tmp_path: Path) -> None:
    """As others write it: torch's norm asks for `x.size(1)`, and functions are called as methods of a tensor."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(
                nn.Conv2d(3, 4, 3, padding=2, dilation=2), nn.InstanceNorm2d(4, affine=True), nn.ReLU()
            )
            self.last = nn.Conv2d(4, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            assert x.size() == x.shape
            return self.last(self.first(x).relu() + 1).tanh().sigmoid().clamp(0.4, 0.6)

    assert_exact(Plain().eval(), tmp_path, SIZES[:1], (16,))
