"""Gaussian blur of images, and what it takes away."""

import torch
import torch.nn.functional as F
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
