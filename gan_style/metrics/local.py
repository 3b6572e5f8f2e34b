"""Distances of local statistics to the truth: a true painter wins them, whatever the strokes, and a blur does not.

The distance of two true pictures of one scene lies in their strokes, which no translation can guess. Pixel by pixel a
mean of many true pictures is nearer to each of them than they are to each other, so that PSNR, and an energy distance
of pixels, rank a blur first. The statistics of a neighbourhood hardly depend on the strokes, but strokes that are
missing are missing in each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gan_style.metrics.filters import grey_levels
from gan_style.networks.filters import blur, high_passed

COLOUR_SIGMA = 2.0  # pixels of the Gaussian over which colours are averaged
FINE_SIGMA = 1.0  # pixels: what a Gaussian of it takes away is detail
DETAIL_SIGMA = 3.0  # pixels of the Gaussian over which the energy of detail is averaged
DETAIL_WEIGHT = 2.0  # of the deviation of detail beside colours: with 1 a mean of paintings comes near a true one


def local_statistics(images: Tensor) -> Tensor:
    """Compute local mean colours and local deviations of detail of images [B, C, H, W]: [B, 2 C, H, W], of 255."""
    levels = grey_levels(images)
    deviation = (blur(high_passed(levels, FINE_SIGMA).square(), DETAIL_SIGMA) + 1).sqrt()
    return torch.cat([blur(levels, COLOUR_SIGMA), DETAIL_WEIGHT * deviation], 1)


def local_distance(images: Tensor, truth: Tensor) -> Tensor:
    """Return the distance of local means, and of local deviations, to the truth's, [B], of 255; 0 for equal pictures.

    Args:
        images, truth: [B, 3, H, W] in [-1, 1].
    """
    return _distance(local_statistics(images), local_statistics(truth))


def energy_distance(images: Tensor, samples: Tensor) -> Tensor:
    """Return the energy distance of local statistics to samples of the truth, [B], of 255 (Szekely and Rizzo 2013).

    2 E|f(x) - f(y)| - E|f(y) - f(y')|, the mean over pixels; with one translation x of each input E|f(x) - f(x')| is 0,
    so that a true painter has E|f(y) - f(y')| on average.

    Args:
        images: [B, 3, H, W] in [-1, 1].
        samples: true pictures of each, [B, S, 3, H, W] in [-1, 1]; of one sample E|f(y) - f(y')| is taken as 0.
    """
    own = local_statistics(images)
    true = [local_statistics(samples[:, k]) for k in range(samples.shape[1])]
    to_truth = torch.stack([_distance(own, one) for one in true]).mean(0)
    among = [_distance(a, b) for i, a in enumerate(true) for b in true[:i]]
    return 2 * to_truth - (torch.stack(among).mean(0) if among else 0)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Add the norms of the differences of means and of deviations, averaged over pixels: [B]."""
    means, deviations = (a - b).unflatten(1, (2, -1)).square().sum(2).sqrt().mean((2, 3)).unbind(1)
    return means + deviations
