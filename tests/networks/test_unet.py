"""The U-Net generator: published size, the paper's layers, any picture size."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.networks.blocks import UPSAMPLES, Upsample
from gan_style.networks.unet import UNetGenerator

SIZES = [(1, 1), (1, 9), (3, 2), (8, 8), (17, 31), (70, 67)]


def tiny(**options: object) -> UNetGenerator:
    torch.manual_seed(0)
    return UNetGenerator(**{"filters": 2, "depth": 3, "init_gain": 0.5, **options})


@pytest.mark.parametrize(("depth", "parameters"), [(8, 54_413_955), (7, 41_828_995)])
def test_published_number_of_parameters(depth: int, parameters: int) -> None:
    with torch.device("meta"):
        net = UNetGenerator(depth=depth, norm="batch")
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def norm(x: Tensor) -> Tensor:
    return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()


def paper(net: UNetGenerator, x: Tensor, border: str = "constant") -> Tensor:
    """The recursion of the paper, nothing in place: the skip connection carries what no LeakyReLU touched."""
    weights = list(net.state_dict().values())
    depth = len(net.down)
    pairs = list(zip(weights[::2], weights[1::2], strict=True))

    def level(number: int, x: Tensor) -> Tensor:
        padded = F.pad(x if number == 0 else F.leaky_relu(x, 0.2), (1, 1, 1, 1), border)
        inner = F.conv2d(padded, *pairs[number], stride=2)
        if 0 < number < depth - 1:
            inner = norm(inner)
        if number < depth - 1:
            inner = torch.cat((inner, level(number + 1, inner)), dim=1)
        out = F.conv_transpose2d(inner.clamp(min=0), *pairs[2 * depth - 1 - number], stride=2, padding=1)
        return torch.tanh(out) if number == 0 else norm(out)

    return level(0, x)


@pytest.mark.parametrize("depth", [2, 4])
def test_layers_are_the_papers(depth: int) -> None:
    net = tiny(depth=depth).double()
    x = torch.randn(2, 3, 32, 48, dtype=torch.float64)
    torch.testing.assert_close(net(x), paper(net, x), rtol=1e-9, atol=1e-9)


def test_a_reflected_border() -> None:
    net = tiny(depth=4, padding="reflect").double()
    x = torch.randn(2, 3, 32, 48, dtype=torch.float64)
    torch.testing.assert_close(net(x), paper(net, x, "reflect"), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_any_size_keeps_its_size(upsample: str, padding: str) -> None:
    net = tiny(upsample=upsample, padding=padding).train()
    assert {layer.mode for layer in net.modules() if isinstance(layer, Upsample)} == {upsample}
    for size in SIZES:
        out = net(torch.rand(1, 3, *size) * 2 - 1)
        assert out.shape == (1, 3, *size)
        assert out.isfinite().all()
        assert out.abs().max() <= 1


@pytest.mark.parametrize("norm_name", ["instance", "batch", "none"])
def test_the_full_depth_trains_on_one_pixel(norm_name: str) -> None:
    net = tiny(depth=8, filters=1, norm=norm_name).train()
    out = net(torch.rand(1, 3, 1, 1))
    out.sum().backward()
    assert out.shape == (1, 3, 1, 1)
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_every_level_has_a_skip_connection() -> None:
    """With the innermost level silenced, each level of the encoder still reaches the picture."""
    net = tiny(depth=4, norm="none")
    with torch.no_grad():
        for parameter in net.up[0].parameters():
            parameter.zero_()
    net(torch.randn(1, 3, 16, 16)).sum().backward()
    reached = [any(p.grad.any() for p in down.parameters()) for down in net.down]
    assert reached == [True, True, True, False]


def test_a_full_size_skip_has_the_widths_of_the_config_and_the_pictures_resolution() -> None:
    net = tiny(filters=16, depth=4, full_size_skip=True, upsample="blur")
    widths = [next(m.out_channels for m in down.modules() if isinstance(m, nn.Conv2d)) for down in net.down]
    assert widths == [16, 32, 64, 128, 128]
    sizes = []
    for down in net.down:
        down.register_forward_hook(lambda _, __, y: sizes.append(tuple(y.shape[2:])))
    net(torch.rand(1, 3, 32, 48))
    assert sizes == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]


def with_full_size_skip(net: UNetGenerator, x: Tensor) -> Tensor:
    """Written out for depth 2: two halvings between two convolutions at full size."""
    weights = [value for name, value in net.state_dict().items() if not name.startswith("fine.")]
    pairs = iter(list(zip(*[iter(weights)] * 2, strict=True)))

    def full(x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), *next(pairs))

    one = full(x)
    two = norm(F.conv2d(F.leaky_relu(one, 0.2), *next(pairs), stride=2, padding=1))
    three = F.conv2d(F.leaky_relu(two, 0.2), *next(pairs), stride=2, padding=1)
    up = norm(F.conv_transpose2d(three.clamp(min=0), *next(pairs), stride=2, padding=1))
    up = torch.cat((two, up), dim=1).clamp(min=0)
    up = norm(F.conv_transpose2d(up, *next(pairs), stride=2, padding=1))
    joined = torch.cat((one, up), dim=1).clamp(min=0)
    if fine := [value for name, value in net.state_dict().items() if name.startswith("fine.")]:
        added = F.conv2d(F.pad(joined, (1, 1, 1, 1), "reflect"), *fine)
        joined = torch.cat((joined, added.clamp(min=0)), dim=1)
    return torch.tanh(full(joined))


@pytest.mark.parametrize("fine_filters", [0, 5])
def test_layers_with_a_full_size_skip(fine_filters: int) -> None:
    net = tiny(depth=2, full_size_skip=True, fine_filters=fine_filters).double()
    x = torch.randn(2, 3, 12, 20, dtype=torch.float64)
    torch.testing.assert_close(net(x), with_full_size_skip(net, x), rtol=1e-9, atol=1e-9)


def test_fine_filters_are_at_full_size() -> None:
    with pytest.raises(ValueError, match="with full_size_skip=true alone"):
        tiny(fine_filters=5)


@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_any_size_keeps_its_size_with_a_full_size_skip(upsample: str) -> None:
    net = tiny(upsample=upsample, full_size_skip=True).train()
    for size in SIZES:
        out = net(torch.rand(1, 3, *size) * 2 - 1)
        assert out.shape == (1, 3, *size)
        assert out.isfinite().all()


@pytest.mark.parametrize(("given", "made"), [(1, 3), (3, 1), (4, 7), (7, 4)])
def test_channels(given: int, made: int) -> None:
    net = tiny(in_channels=given, out_channels=made)
    assert net(torch.randn(2, given, 8, 16)).shape == (2, made, 8, 16)


@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_per_sample_networks_give_the_same_joined(upsample: str) -> None:
    net = tiny(upsample=upsample).double().train()
    assert net.per_sample
    a, b = torch.randn(2, 2, 3, 13, 16, dtype=torch.float64)
    torch.testing.assert_close(net(torch.cat((a, b))), torch.cat((net(a), net(b))), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", [{"norm": "batch"}, {"dropout": 0.5}, {"spectral": True}])
def test_other_networks_say_that_they_are_not(options: dict[str, object]) -> None:
    net = tiny(**options).double().train()
    assert not net.per_sample
    a, b = torch.randn(2, 2, 3, 16, 16, dtype=torch.float64)
    joined, apart = net(torch.cat((a, b))), torch.cat((net(a), net(b)))
    assert not torch.allclose(joined, apart, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("depth", "levels"), [(8, [6, 5, 4]), (7, [5, 4]), (6, [4]), (5, [3]), (3, [1])])
def test_dropout_sits_in_the_inner_levels(depth: int, levels: list[int]) -> None:
    with torch.device("meta"):
        net = UNetGenerator(depth=depth, dropout=0.5)
    found = [depth - 1 - place for place, up in enumerate(net.up) if any(isinstance(layer, nn.Dropout) for layer in up)]
    assert found == levels


def test_impossible_depths_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2, not 1"):
        tiny(depth=1)
    with pytest.raises(ValueError, match="no level for dropout"):
        tiny(depth=2, dropout=0.5)
