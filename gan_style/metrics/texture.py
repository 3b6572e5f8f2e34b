"""Texture distance: sliced Wasserstein distance between high-passed patches of two sets of pictures.

Rabin et al. 2011, "Wasserstein barycenter and its application to texture mixing". What is coarser than a few pixels is
taken away, so that colours and places do not matter: a blur, which keeps both, is far from every true picture.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.metrics.filters import grey_levels
from gan_style.networks.filters import high_passed

PATCH_PIXELS = 7  # side of a patch
PATCHES = 128  # of each picture
SIGMA = 1.5  # pixels of the Gaussian that is subtracted


def texture_patches(images: Tensor) -> Tensor:
    """Cut patches at fixed places out of high-passed images [B, C, H, W] in [-1, 1].

    Returns: [B, patches * C * 49], in grey levels of 255; of small pictures fewer patches than `PATCHES`.
    """
    windows = high_passed(grey_levels(images), SIGMA).unfold(2, PATCH_PIXELS, 1).unfold(3, PATCH_PIXELS, 1)
    rows, columns = windows.shape[2:4]
    generator = torch.Generator().manual_seed(0)
    places = torch.randperm(rows * columns, generator=generator)[:PATCHES].to(images.device)
    return windows[:, :, places // columns, places % columns].transpose(1, 2).flatten(1)


def texture_distance(real: Tensor, fake: Tensor, *, directions: int = 256, seed: int = 0) -> Tensor:
    """Return the mean distance of sorted projections of two sets of patches, in grey levels of 255; float64.

    Args:
        real, fake: what `texture_patches` gives of pictures with three channels, [N, patches * 147] and [M, ...].
        directions: projections, drawn from the unit sphere by `seed`.
    """
    width = 3 * PATCH_PIXELS**2
    generator = torch.Generator().manual_seed(seed)
    axes = F.normalize(torch.randn(width, directions, generator=generator, dtype=torch.float64), dim=0)
    # NumPy sorts ten times as fast as torch
    a, b = (np.sort((axes.T @ x.cpu().reshape(-1, width).double().T).numpy(), axis=1) for x in (real, fake))
    # at the quantiles of the smaller set: equal sets are compared value by value
    count = min(a.shape[1], b.shape[1])
    a, b = (x[:, ((np.arange(count) + 0.5) / count * x.shape[1]).astype(np.intp)] for x in (a, b))
    return torch.tensor(np.abs(a - b).mean())
