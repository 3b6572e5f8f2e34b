"""Gaussian blur of images, and what it takes away."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.precision import at_least_float32
from gan_style.networks.padding import pad

REACH_SIGMAS = 3  # where the Gaussian is cut off


def blur(images: Tensor, sigma: float = 1.0) -> Tensor:
    """Blur [B, C, H, W] of any H, W >= 1 by a Gaussian of `sigma` pixels, cut off at three of them.

    Borders are repeated. Autocast is off: what is left of an image without its blur is small beside half precision.
    """
    reach, channels = int(REACH_SIGMAS * sigma + 0.5), images.shape[1]
    weights = [math.exp(-0.5 * (tap / sigma) ** 2) for tap in range(-reach, reach + 1)]
    taps = torch.tensor([weight / sum(weights) for weight in weights], dtype=images.dtype)
    taps = taps.to(images.device, non_blocking=True)  # else a GPU is waited for
    padded = pad(images, (reach,) * 4, "replicate")
    with torch.autocast(images.device.type, enabled=False):
        across = F.conv2d(padded, taps.expand(channels, 1, 1, -1), groups=channels)
        return F.conv2d(across, taps[:, None].expand(channels, 1, -1, 1), groups=channels)


def high_passed(images: Tensor, sigma: float = 1.0) -> Tensor:
    """Subtract from images [B, C, H, W] their blur by a Gaussian of `sigma` pixels, in float32 at least."""
    images = at_least_float32(images)
    return images - blur(images, sigma)
