"""Grid over pictures at the strides of a generator, by folding (Odena et al. 2016, "Deconvolution and checkerboard").

What repeats every p pixels stays when all cells of p x p pixels are averaged; everything else averages out. This is the
spectrum at exactly the multiples of 1/p.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.metrics.filters import grey_levels

STRIDES = (2, 4, 8, 16)  # pixels
MIN_CELLS = 4  # of a side: with fewer a grid cannot be told from the content


def fold(images: Tensor, stride: int) -> Tensor:
    """Fold what is finer than a stride in the luminance of images [B, C, H, W] into a cell: [B, stride, stride].

    Sides should be at least twice the stride. The cell has mean 0, and the unit of the images.
    """
    luminance = images.float().mean(1, keepdim=True)
    # A low-pass filter that removes the stride and its fractions, and is symmetric, so that a ramp leaves no sawtooth.
    taps = torch.ones(stride + 1, device=images.device)
    taps[[0, -1]] = 0.5
    taps /= stride
    reach = stride // 2
    padded = F.pad(luminance, (reach,) * 4, "reflect")
    fine = luminance - F.conv2d(F.conv2d(padded, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))
    height, width = (side - side % stride for side in fine.shape[-2:])
    cells = fine[:, 0, :height, :width].unflatten(1, (-1, stride)).unflatten(3, (-1, stride)).mean((1, 3))
    return cells - cells.mean((1, 2), keepdim=True)


def amplitude(cells: Tensor) -> Tensor:
    """Return the standard deviation of the pattern that folded cells [N, p, p] share, free of bias: a scalar, >= 0.

    The square of a mean holds the noise of the N cells as well. The products of different cells do not: their mean is
    the square of what is common to all.
    """
    count, rows = len(cells), cells.flatten(1)
    products = (rows.sum(0).square() - rows.square().sum(0)).mean() / max(1, count * (count - 1))
    return products.clamp_min(0).sqrt()


def strides_of(side: int) -> list[int]:
    """Return the strides whose grid can be seen in images of this shorter side, in pixels."""
    return [stride for stride in STRIDES if side >= MIN_CELLS * stride]


def folded(images: Tensor) -> Tensor:
    """Fold images [B, C, H, W] in [-1, 1] at every stride that fits: [B, cells], in grey levels of 255.

    Raises:
        UserError: they are too small for any.
    """
    strides = strides_of(min(images.shape[-2:]))
    if not strides:
        raise UserError(f"pictures of {images.shape[-2]}x{images.shape[-1]} are too small to look for a grid")
    return torch.cat([fold(grey_levels(images), stride).flatten(1) for stride in strides], 1)


def grid_excess(real: Tensor, fake: Tensor) -> Tensor:
    """Return by how much a grid over translations is stronger than that over real pictures, at the worst stride.

    Args:
        real, fake: what `folded` gives, [N, cells] and [M, cells].

    Returns: a difference of standard deviations, in grey levels of 255, at least 0.
    """
    worst, first = torch.zeros((), dtype=torch.float64, device=fake.device), 0
    for stride in STRIDES:
        cells = slice(first, first + stride**2)
        if cells.stop > fake.shape[1]:
            break
        worst = torch.maximum(worst, amplitude(fake[:, cells].double()) - amplitude(real[:, cells].double()))
        first = cells.stop
    return worst
