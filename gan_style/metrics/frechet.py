"""Frechet distance between two sets of features, taken as normal distributions (Heusel et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_style.metrics.features import checked

MIN_IMAGES = 2048  # below it the distance mostly measures their number


def frechet_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Return |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2) of [N, D] and [M, D], covariances unbiased; float64, >= 0.

    The trace of the root is the sum of the singular values of A B^T for any A^T A = S1 and B^T B = S2: no matrix
    root, no complex numbers, no jitter, and exact for fewer pictures than dimensions. Here A is the centred data
    itself, or its triangular factor where there are more pictures than dimensions.

    The estimate is biased upward by about 1/N (Chong and Forsyth 2020): compare at the same N, see `few_images`.
    """
    real, fake = checked(real, fake)
    mean = (real.mean(0) - fake.mean(0)).square().sum()
    a, b = _root(real), _root(fake)
    return (mean + a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.mT).sum()).clamp_min(0)


def _root(features: Tensor) -> Tensor:
    """Return A with A^T A = the covariance: at most D rows."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R if len(centred) > centred.shape[1] else centred


def few_images(name: str, real: int, fake: int) -> str | None:
    """Return the warning to print beside a Frechet distance of too few pictures, or None."""
    if min(real, fake) >= MIN_IMAGES:
        return None
    return (
        f"{name} of {real} real and {fake} fake pictures mostly measures their number (fewer than {MIN_IMAGES}): "
        "compare it only at the same numbers, and look at KID, which is unbiased"
    )
