"""Heads that begin at the picture: their formulas, a start near the identity, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.data.scenes import draw_scene
from gan_style.networks.filters import blur
from gan_style.networks.heads import BandHead, ResidualHead
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.unet import UNetGenerator

UNet: Callable[..., Any] = UNetGenerator
NETWORKS: dict[str, Callable[..., Any]] = {
    "resnet": lambda **words: ResnetGenerator(**({"filters": 8, "blocks": 2} | words)),
    "mobile": lambda **words: ResnetGenerator(**({"filters": 8, "blocks": 2, "separable": True} | words)),
    "unet": lambda **words: UNet(**({"filters": 8, "depth": 3} | words)),
    "painter": lambda **words: UNet(
        **({"filters": 8, "depth": 3, "full_size_skip": True, "fine_filters": 6, "upsample": "blur"} | words)
    ),
}
HEADS = ("residual", "band")
BOTH = pytest.mark.parametrize("head", HEADS)
EVERY = pytest.mark.parametrize("name", NETWORKS)
SIZES = [(1, 1), (1, 9), (3, 2), (8, 8), (17, 31)]


def made(name: str, **words: object) -> Any:
    torch.manual_seed(0)
    return NETWORKS[name](**words)


def scene(size: int = 48) -> Tensor:
    """A drawn photo, [1, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(draw_scene(0, 1, size, "A")).permute(2, 0, 1)[None].float() / 127.5 - 1


def level(x: Tensor) -> np.ndarray:
    """0.5 log((1 + x) / (1 - x)), which is atanh."""
    values = np.clip(x.numpy(), -0.98, 0.98)
    return 0.5 * np.log((1 + values) / (1 - values))


def test_the_residual_heads_formula() -> None:
    x, f = torch.rand(2, 2, 3, 5, 6, dtype=torch.float64) * 2 - 1
    x[0, 0, 0, :2] = torch.tensor([1.0, -1.0])
    found = ResidualHead()(f, x).numpy()
    grown = np.exp(2 * (level(x) + f.numpy()))
    np.testing.assert_allclose(found, (grown - 1) / (grown + 1), rtol=1e-9)


@pytest.mark.parametrize("size", [(20, 31), (1, 5), (3, 3)])
def test_the_band_heads_formula(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, dtype=torch.float64) * 2 - 1
    y = torch.randn(2, 4, *size, dtype=torch.float64)
    base = level(x)
    low = gaussian_filter(base, (0, 0, 2, 2), mode="nearest", truncate=3)
    kept = 1 / (1 + np.exp(-4 * y[:, 3:].numpy() - 1.5))
    wanted = np.tanh((1 - kept) * low + kept * base + y[:, :3].numpy())
    np.testing.assert_allclose(BandHead()(y, x).numpy(), wanted, rtol=1e-7, atol=1e-9)


def test_the_gate_is_of_a_place_and_erases_detail_alone() -> None:
    x, y = scene(), torch.zeros(1, 4, 48, 48)
    y[:, 3, :, :24], y[:, 3, :, 24:] = 9.0, -9.0
    found, low = torch.atanh(BandHead()(y, x)), blur(torch.atanh(x.clamp(-0.98, 0.98)), 2.0)
    torch.testing.assert_close(found[..., :24], torch.atanh(x.clamp(-0.98, 0.98))[..., :24], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[..., 24:], low[..., 24:], atol=1e-4, rtol=0)


@BOTH
@EVERY
def test_a_network_begins_near_the_identity_and_all_of_it_learns(name: str, head: str) -> None:
    x, network = scene(), made(name, head=head)
    y = network(x)
    assert 1e-4 < (y - x).abs().mean() < 0.05 * 2
    assert (made(name)(x) - x).abs().mean() > 0.1 * 2  # what the tanh begins with
    (y - 1).square().mean().backward()
    # Before an instance norm a bias has no gradient but rounding.
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@BOTH
@EVERY
def test_any_size_keeps_its_size(name: str, head: str) -> None:
    network = made(name, head=head).train()
    for size in SIZES:
        out = network(torch.rand(2, 3, *size) * 2 - 1)
        assert out.shape == (2, 3, *size)
        assert out.isfinite().all()
        assert out.abs().max() <= 1


@BOTH
@EVERY
def test_passes_may_be_joined(name: str, head: str) -> None:
    network = made(name, head=head).double().train()
    a, b = torch.rand(2, 2, 3, 13, 16, dtype=torch.float64) * 2 - 1
    assert network.per_sample
    torch.testing.assert_close(network(torch.cat((a, b))), torch.cat((network(a), network(b))), rtol=1e-9, atol=1e-11)


@BOTH
@EVERY
def test_a_spectral_norm_does_not_undo_the_small_start(name: str, head: str) -> None:
    x, network = scene(), made(name, head=head, spectral=True)
    assert (network(x) - x).abs().mean() < 0.05 * 2
    bare = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)][-1]
    assert [name for name, _ in bare.named_parameters()] == ["weight", "bias"]


@BOTH
def test_detail_is_not_rounded_under_autocast(head: str) -> None:
    network, x = made("painter", head=head), scene()
    with torch.no_grad():
        exact = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(x)
    assert half.dtype == torch.float32
    assert (half - exact).abs().max() < 2**-10  # bfloat16 keeps 2^-9 of a value


@BOTH
@EVERY
def test_other_channels_are_refused(name: str, head: str) -> None:
    with pytest.raises(UserError, match=rf"model.generator.head={head} .* translates 1 to 3: take head=tanh"):
        made(name, head=head, in_channels=1, out_channels=3)
    assert made(name, head=head, in_channels=1, out_channels=1)(scene()[:, :1]).shape == (1, 1, 48, 48)


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown head 'sigmoid'; choose one of tanh, residual, band"):
        made("unet", head="sigmoid")
