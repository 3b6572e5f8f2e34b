"""Squared maximum mean discrepancies (Gretton et al. 2012): KID and CMMD."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.metrics.features import checked

Kernel = Callable[[Tensor, Tensor], Tensor]  # [N, D], [M, D] -> [N, M]


def polynomial(x: Tensor, y: Tensor) -> Tensor:
    """Return (x.y / D + 1)^3, the kernel of KID (Binkowski et al. 2018, section 4)."""
    return (x @ y.mT / x.shape[1] + 1) ** 3


def gaussian(sigma: float) -> Kernel:
    """Return exp(-|x - y|^2 / (2 sigma^2)), less 1: the constant cancels in a discrepancy, and digits are kept."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        square = x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * x @ y.mT
        return torch.expm1(-square.clamp_min(0) / (2 * sigma**2))

    return kernel


def mmd2(real: Tensor, fake: Tensor, kernel: Kernel, *, unbiased: bool = True) -> Tensor:
    """Return the squared MMD of [N, D] and [M, D] over all pairs (Gretton et al. 2012, eq. 3; biased: eq. 5), float64.

    Unbiased, it is 0 on average for equal distributions at any N, and so may be slightly negative.
    """
    real, fake = checked(real, fake)
    terms = []
    for x in (real, fake):
        matrix = kernel(x, x)
        n = len(x)
        terms.append((matrix.sum() - matrix.trace()) / (n * (n - 1)) if unbiased else matrix.mean())
    return terms[0] + terms[1] - 2 * kernel(real, fake).mean()


def kid(real: Tensor, fake: Tensor) -> Tensor:
    """Return the unbiased kernel distance over all pairs (Binkowski et al. 2018, eq. 4)."""
    return mmd2(real, fake, polynomial)


def cmmd(
    real: Tensor, fake: Tensor, *, sigma: float = 10.0, scale: float = 1000.0, unbiased: bool = True, unit: bool = True
) -> Tensor:
    """Return the Gaussian-kernel MMD of Jayasumana et al. 2024 (eq. 5): unit-length features, sigma 10, times 1000.

    The paper's features are CLIP's; with others the value is on no published scale. Its code takes the biased
    estimate (`unbiased=False`), which the paper's 30000 pictures hide and 300 do not.
    """
    if unit:
        real, fake = F.normalize(real.double(), dim=1), F.normalize(fake.double(), dim=1)
    return scale * mmd2(real, fake, gaussian(sigma), unbiased=unbiased)
