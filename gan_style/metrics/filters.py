"""Gaussian blur of images, what it takes away, and images as grey levels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def blur(images: Tensor, sigma: float = 1.0) -> Tensor:
    """Blur images [B, C, H, W] by a Gaussian of `sigma` pixels, cut off at three of them; borders are repeated."""
    reach = int(3 * sigma + 0.5)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / sigma) ** 2).to(images.dtype)
    taps = taps / taps.sum()
    channels = images.shape[1]
    padded = F.pad(images, (reach,) * 4, "replicate")
    across = F.conv2d(padded, taps.expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(across, taps[:, None].expand(channels, 1, -1, 1), groups=channels)


def high_passed(images: Tensor, sigma: float = 1.0) -> Tensor:
    """Subtract from images [B, C, H, W] their blur by a Gaussian of `sigma` pixels."""
    return images - blur(images, sigma)


def grey_levels(images: Tensor) -> Tensor:
    """Convert images in [-1, 1] to float32 in [0, 255]."""
    return (images.float() + 1) * 127.5


def from_grey_levels(images: NDArray[np.uint8]) -> Tensor:
    """Convert images [..., H, W, C] of 8 bits to float32 [..., C, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, -3).float() / 127.5 - 1
