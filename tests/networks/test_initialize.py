"""The statistics of freshly drawn weights."""

import math

import pytest
import torch
from torch import nn

from gan_style.networks.blocks import InstanceNorm2d, Upsample, add_spectral_norm
from gan_style.networks.init import initialize


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(32, 48, 3),
        nn.BatchNorm2d(2000),
        InstanceNorm2d(2000, affine=True),
        nn.ConvTranspose2d(32, 48, 3),
        nn.Linear(100, 200),
        InstanceNorm2d(4),
    )


@pytest.mark.parametrize(
    ("kind", "gain", "std"),
    [
        ("normal", 0.02, 0.02),
        ("normal", 0.3, 0.3),
        ("xavier", 0.5, 0.5 * math.sqrt(2 / (32 * 9 + 48 * 9))),
        ("kaiming", 0.02, math.sqrt(2 / (32 * 9))),
    ],
)
def test_spread_of_convolution_weights(net: nn.Sequential, kind: str, gain: float, std: float) -> None:
    initialize(net, kind, gain)
    weight = net[0].weight
    assert weight.std().item() == pytest.approx(std, rel=0.03)
    assert abs(weight.mean().item()) < 4 * std / math.sqrt(weight.numel())


def test_every_kind_of_layer_is_reached(net: nn.Sequential) -> None:
    for parameter in net.parameters():
        nn.init.constant_(parameter, 7.0)
    initialize(net)
    for layer in (net[0], net[3], net[4]):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    for layer in (net[1], net[2]):
        assert layer.weight.mean().item() == pytest.approx(1.0, abs=0.003)
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    for layer in net:
        if isinstance(bias := getattr(layer, "bias", None), torch.Tensor):
            assert not bias.any()


def test_orthogonal_rows(net: nn.Sequential) -> None:
    initialize(net, "orthogonal", 0.5)
    rows = net[0].weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, 0.25 * torch.eye(48), atol=1e-5, rtol=0)


def test_pixelshuffle_starts_with_equal_subpixels() -> None:
    layer = nn.Sequential(Upsample(4, 3, "pixelshuffle"))
    initialize(layer)
    weight = layer[0][1].weight.unflatten(0, (3, 4))
    assert torch.equal(weight, weight[:, :1].expand_as(weight))
    assert weight[:, 0].std().item() == pytest.approx(0.02, rel=0.3)


def test_weights_under_a_spectral_norm_are_drawn_too() -> None:
    layer = nn.Conv2d(16, 32, 3)
    add_spectral_norm(layer)
    before = layer.parametrizations.weight.original.clone()
    initialize(layer, "normal", 0.02)
    after = layer.parametrizations.weight.original
    assert not torch.equal(before, after)
    assert after.std().item() == pytest.approx(0.02, rel=0.05)


def test_unknown_kind_names_the_known(net: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="normal, xavier, kaiming, orthogonal"):
        initialize(net, "uniform")
