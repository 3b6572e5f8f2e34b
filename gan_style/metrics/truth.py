"""Scores against the true translation, for data where it is known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure


def psnr(images: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in dB of each image; both [B, C, H, W] in [-1, 1], so the peak is 2."""
    error = (images.float() - truth.float()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4.0 / error.clamp_min(1e-10))


def ssim(images: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity of each image, at most 1 (Wang et al. 2004; Gaussian window of 11)."""
    value = structural_similarity_index_measure(images.float(), truth.float(), data_range=2.0, reduction="none")
    assert isinstance(value, Tensor)
    return value.reshape(-1)


def bootstrap(values: list[float], *, rounds: int = 2000, seed: int = 0) -> dict[str, float | None]:
    """Return mean with its 95% percentile interval over resampled pictures."""
    drawn = np.random.default_rng(seed).choice(values, size=(rounds, len(values)))
    with np.errstate(invalid="ignore"):  # a value may be infinite: the mean and the ends are then no numbers, either
        (low, high), mean = np.percentile(drawn.mean(axis=1), [2.5, 97.5]), np.mean(values)
    return {"value": float(mean), "low": float(low), "high": float(high), "floor": None}


class ColourTransfer:
    """Global colour transfer, a baseline: match mean and deviation of each channel of two domains.

    Reinhard et al. 2001 in RGB, with the statistics of whole training sets, so that it needs no pair.

    Args:
        source, target: pictures [N, C, H, W] in [-1, 1] of the two training sets.
    """

    def __init__(self, source: Tensor, target: Tensor) -> None:
        axes = (0, 2, 3)
        self.source = source.mean(axes, keepdim=True), source.std(axes, keepdim=True)
        self.target = target.mean(axes, keepdim=True), target.std(axes, keepdim=True)

    def __call__(self, images: Tensor) -> Tensor:
        (mean, deviation), (new_mean, new_deviation) = self.source, self.target
        images = images.float().cpu()
        return ((images - mean) / deviation.clamp_min(1e-6) * new_deviation + new_mean).clamp(-1, 1)
