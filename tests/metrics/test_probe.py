"""The steganography probe on generators that were built to hide, and on honest ones."""

from __future__ import annotations

import json

import pytest
import torch

from gan_style.core.errors import UserError
from gan_style.metrics.probe import blur, disturbances, jpeg, steganography_probe


@pytest.fixture
def images() -> torch.Tensor:
    coarse = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, (48, 48), mode="bicubic", align_corners=False).clamp(-1, 1)


def visible(x: torch.Tensor) -> torch.Tensor:
    """A translation that keeps nothing of its input: one grey ramp for all."""
    return torch.linspace(-0.7, 0.7, x.shape[-1]).expand_as(x)


def test_hidden_input_is_found(images: torch.Tensor) -> None:
    """The input lies a hundred times below a step of 8 bits (2/255)."""
    size = 2 / 255 / 100
    result = steganography_probe(
        lambda x: visible(x) + size * x, lambda y: ((y - visible(y)) / size).clamp(-1, 1), images
    )
    assert result.cycle < 0.01
    assert result.honesty is not None
    assert result.honesty < 0.05
    for name in ("rounding", "jpeg", "noise"):  # a smooth code on a smooth ramp survives a blur
        assert result.disturbances[name].honesty < 0.2
        assert result.disturbances[name].ratio > 20


def test_a_code_above_8_bits_is_found_too(images: torch.Tensor) -> None:
    """It survives rounding; no single disturbance would find every code, so that the least counts."""
    size = 0.05
    result = steganography_probe(
        lambda x: visible(x) + size * x.flip(-1), lambda y: ((y - visible(y)) / size).clamp(-1, 1).flip(-1), images
    )
    assert result.disturbances["rounding"].honesty > 0.9
    assert result.honesty is not None
    assert result.honesty < 0.6


@pytest.mark.parametrize("gain", [-1.0, 0.7])
def test_honest_pairs_are_cleared(images: torch.Tensor, gain: float) -> None:
    result = steganography_probe(lambda x: gain * x, lambda y: y / gain, images)
    assert result.honesty is not None
    assert result.honesty > 0.9


def test_half_hidden_lies_between(images: torch.Tensor) -> None:
    """The red channel is seen, the other two are hidden."""
    size = 2 / 255 / 100
    scale = torch.tensor([1, size, size])[:, None, None]
    result = steganography_probe(lambda x: x * scale, lambda y: (y / scale).clamp(-1, 1), images)
    assert result.honesty is not None
    assert result.honesty < 0.5
    assert result.disturbances["rounding"].size < 0.01


def test_interval_holds_the_value_and_tells_like_from_unlike_pictures(images: torch.Tensor) -> None:
    """Where some pictures are hidden and others are not, the honesty depends on which are drawn."""
    scale = torch.tensor([1, 1, 2 / 255 / 100, 2 / 255 / 100])[:, None, None, None]
    mixed = steganography_probe(lambda x: x * scale, lambda y: (y / scale).clamp(-1, 1), images)
    alike = steganography_probe(torch.neg, torch.neg, images)
    for result in (mixed, alike):
        assert result.honesty is not None
        assert result.low is not None
        assert result.high is not None
        assert 0 <= result.low <= result.honesty <= result.high <= 1
    assert mixed.high - mixed.low > 0.3 > alike.high - alike.low  # type: ignore[operator]


def test_without_a_cycle_there_is_nothing_to_hide(images: torch.Tensor) -> None:
    assert steganography_probe(visible, visible, images).honesty is None


def test_report_and_repetition(images: torch.Tensor) -> None:
    results = [steganography_probe(torch.neg, torch.neg, images, seed=3).as_dict() for _ in range(2)]
    assert results[0] == results[1]
    assert set(json.loads(json.dumps(results[0]))["disturbances"]) == {"rounding", "jpeg", "blur", "noise"}
    with pytest.raises(UserError, match="two pictures"):
        steganography_probe(torch.neg, torch.neg, images[:1])


def test_disturbances_change_a_little(images: torch.Tensor) -> None:
    for name, disturb in disturbances().items():
        size = float((disturb(images) - images).abs().mean())
        assert 0 < size < 0.05, name
    assert jpeg(images[:, :1]).shape == (4, 1, 48, 48)
    torch.testing.assert_close(blur(torch.full((1, 3, 9, 9), 0.3)), torch.full((1, 3, 9, 9), 0.3))
