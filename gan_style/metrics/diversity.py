"""Diversity of the styles of a style-conditional generator (Zhu et al. 2017, BicycleGAN, section 5)."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.metrics.extractor import Extractor
from gan_style.metrics.pairs import PairFunction


def diversity(images: Tensor, distance: PairFunction) -> Tensor:
    """Return the mean distance between translations of one picture, over all pairs of styles.

    Args:
        images: [B, S, C, H, W] in [-1, 1], S styles of B pictures.
        distance: [B, C, H, W] twice -> [B], e.g. `LPIPS()` or `feature_distance(extractor)`.

    Returns:
        [B], 0 where all styles give the same picture.

    Raises:
        UserError: fewer than two styles.
    """
    if images.dim() != 5 or images.shape[1] < 2:
        raise UserError(
            f"diversity is taken of pictures [B, S, C, H, W] in two styles at least, not {list(images.shape)}"
        )
    pairs = [distance(images[:, i], images[:, j]) for i, j in combinations(range(images.shape[1]), 2)]
    return torch.stack(pairs).mean(0)


def feature_distance(extractor: Extractor) -> PairFunction:
    """Return the Euclidean distance between features, as a function of two batches."""

    def distance(images: Tensor, others: Tensor) -> Tensor:
        return (extractor(images) - extractor(others)).norm(dim=1)

    return distance
