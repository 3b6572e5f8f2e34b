"""The ResNet generator: published size, the paper's layers, any picture size, features."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.networks.blocks import DOWNSAMPLES, UPSAMPLES, ResidualBlock, Upsample
from gan_style.networks.resnet import ResnetGenerator

SIZES = [(1, 1), (1, 9), (2, 3), (5, 4), (8, 8), (13, 31), (37, 64), (70, 67)]


def tiny(**options: object) -> ResnetGenerator:
    torch.manual_seed(0)
    return ResnetGenerator(**{"filters": 2, "blocks": 1, "init_gain": 0.5, **options})


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 11_378_179),
        ({"blocks": 6}, 7_837_699),
        # Batch norm: a weight and a bias per channel of 23 layers instead of the convolutions' bias.
        ({"norm": "batch"}, 11_378_179 + (2 * 64 + 2 * 128 + 19 * 256)),
        ({"norm": "none"}, 11_378_179),
    ],
)
def test_published_number_of_parameters(options: dict[str, object], parameters: int) -> None:
    with torch.device("meta"):
        assert count(ResnetGenerator(**options)) == parameters


def instance_norm(x: Tensor) -> Tensor:
    return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()


def paper(net: ResnetGenerator, x: Tensor) -> Tensor:
    """Section 7.2 written out, with the weights of ``net``."""
    weights = iter(net.state_dict().values())

    def conv(x: Tensor, pad: int, **stride: int) -> Tensor:
        x = F.pad(x, (pad,) * 4, "reflect") if pad else x
        return F.conv2d(x, next(weights), next(weights), **stride)

    x = F.relu(instance_norm(conv(x, 3)))
    for _ in range(2):
        x = F.relu(instance_norm(conv(x, 0, stride=2, padding=1)))
    for layer in net.layers:
        if isinstance(layer, ResidualBlock):
            inner = F.relu(instance_norm(conv(x, 1)))
            x = x + instance_norm(conv(inner, 1))
    for _ in range(2):
        x = F.conv_transpose2d(x, next(weights), next(weights), stride=2, padding=1, output_padding=1)
        x = F.relu(instance_norm(x))
    return torch.tanh(conv(x, 3))


def test_layers_are_the_papers() -> None:
    net = tiny(blocks=2, filters=3).double()
    x = torch.randn(2, 3, 24, 16, dtype=torch.float64)
    torch.testing.assert_close(net(x), paper(net, x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_any_size_keeps_its_size(upsample: str) -> None:
    net = tiny(upsample=upsample).train()
    assert {layer.mode for layer in net.modules() if isinstance(layer, Upsample)} == {upsample}
    for size in SIZES:
        out = net(torch.rand(1, 3, *size) * 2 - 1)
        assert out.shape == (1, 3, *size)
        assert out.isfinite().all()
        assert out.abs().max() <= 1


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_other_norms_take_one_pixel(norm: str) -> None:
    net = tiny(norm=norm).train()
    out = net(torch.rand(1, 3, 1, 1))
    out.sum().backward()
    assert out.shape == (1, 3, 1, 1)
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_odd_sizes_are_reflected_below_and_on_the_right() -> None:
    net, x = tiny(), torch.randn(1, 3, 30, 21)
    wide = F.pad(x, (0, 3, 0, 2), "reflect")
    torch.testing.assert_close(net(x), net(wide)[..., :30, :21])


@pytest.mark.parametrize(("given", "made"), [(1, 3), (3, 1), (4, 7), (7, 4)])
def test_channels(given: int, made: int) -> None:
    net = tiny(in_channels=given, out_channels=made)
    assert net(torch.randn(2, given, 8, 12)).shape == (2, made, 8, 12)
    assert net.feature_channels[0] == given


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


@pytest.mark.parametrize(
    ("blocks", "channels"),
    [(9, (3, 4, 8, 8, 8)), (5, (3, 4, 8, 8, 8)), (2, (3, 4, 8, 8, 8)), (1, (3, 4, 8, 8)), (0, (3, 4, 8))],
)
def test_features_have_the_declared_channels(blocks: int, channels: tuple[int, ...]) -> None:
    net = tiny(blocks=blocks)
    features = net.features(torch.randn(2, 3, 16, 20))
    assert net.feature_channels == channels
    assert tuple(feature.shape[1] for feature in features) == channels
    sizes = [tuple(feature.shape[2:]) for feature in features]
    assert sizes == [(22, 26), (8, 10), *[(4, 5)] * (len(channels) - 2)]


@pytest.mark.parametrize("downsample", DOWNSAMPLES)
@pytest.mark.parametrize("norm", ["instance", "none"])
def test_features_are_cuts_places(norm: str, downsample: str) -> None:
    """Pixels, outputs of the second and third convolution, of the first and fifth block, none overwritten."""
    net = tiny(blocks=6, norm=norm, downsample=downsample)
    x = torch.randn(1, 3, 14, 16)
    convolutions = [layer for layer in net.layers if isinstance(layer, nn.Conv2d)]
    blocks = [layer for layer in net.layers if isinstance(layer, ResidualBlock)]
    seen: list[Tensor] = []
    handles = [
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
        for layer in (convolutions[1], convolutions[2], blocks[0], blocks[4])
    ]
    net(x)
    for handle in handles:
        handle.remove()
    pixels = F.pad(F.pad(x, (0, 0, 0, 2), "reflect"), (3, 3, 3, 3), "reflect")
    for feature, expected in zip(net.features(x), [pixels, *seen], strict=True):
        torch.testing.assert_close(feature, expected)


def test_features_stop_at_the_last_place() -> None:
    net = tiny(blocks=9)
    net.layers[15].register_forward_hook(lambda *_: pytest.fail("the sixth residual block was computed"))
    net.features(torch.randn(1, 3, 16, 16))


def test_spectral_norm_reaches_every_convolution() -> None:
    net = tiny(spectral=True, blocks=2).train()
    with torch.no_grad():
        for _ in range(40):
            net(torch.randn(1, 3, 8, 8))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            weight = layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight
            assert torch.linalg.svdvals(weight.flatten(1))[0].item() == pytest.approx(1.0, abs=0.02)


def test_init_options_arrive() -> None:
    weight = tiny(filters=16, init="normal", init_gain=0.1).layers[4].weight
    assert weight.std().item() == pytest.approx(0.1, rel=0.05)
    with pytest.raises(ValueError, match="Unknown init"):
        tiny(init="ones")
