"""Squared maximum mean discrepancies (Gretton et al. 2012): KID and CMMD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.metrics.features import FeatureMetric, checked

Kernel = Callable[[Tensor, Tensor], Tensor]  # [N, D], [M, D] -> [N, M]


def polynomial(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / D + 1)^3, the kernel of KID (Binkowski et al. 2018, section 4)."""
    return (x @ y.mT / x.shape[1] + 1) ** 3


def gaussian(sigma: float) -> Kernel:
    """exp(-|x - y|^2 / (2 sigma^2)), less 1: the constant falls out of a discrepancy, and digits are kept."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        square = x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * x @ y.mT
        return torch.expm1(-square.clamp_min(0) / (2 * sigma**2))

    return kernel


def mmd2(real: Tensor, fake: Tensor, kernel: Kernel, *, unbiased: bool = True) -> Tensor:
    """Squared MMD of [N, D] and [M, D] over all pairs (Gretton et al. 2012, eq. 3; biased: eq. 5), in float64.

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
    """Kernel distance over all pairs, unbiased (Binkowski et al. 2018, eq. 4)."""
    return mmd2(real, fake, polynomial)


def kid_subsets(
    real: Tensor, fake: Tensor, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the kernel distance over random subsets, as most papers print it.

    The deviation is that of one subset, not the error of the mean: it falls with `size`, not with N.

    Raises:
        UserError: fewer pictures than `size`.
    """
    real, fake = checked(real, fake)
    if min(len(real), len(fake)) < size:
        raise UserError(
            f"subsets of {size} cannot be drawn from {len(real)} real and {len(fake)} fake pictures: lower their size"
        )
    generator = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(subsets):
        rows = [torch.randperm(len(x), generator=generator)[:size].to(x.device) for x in (real, fake)]
        values.append(kid(real[rows[0]], fake[rows[1]]))
    drawn = torch.stack(values)
    return drawn.mean(), drawn.std(correction=0)


def cmmd(
    real: Tensor, fake: Tensor, *, sigma: float = 10.0, scale: float = 1000.0, unbiased: bool = True, unit: bool = True
) -> Tensor:
    """Gaussian-kernel MMD of Jayasumana et al. 2024 (eq. 5): features of unit length, sigma 10, times 1000.

    The paper's features are CLIP's; with others the value is on no published scale. Its code takes the biased
    estimate (`unbiased=False`), which the paper's 30000 pictures hide and 300 do not.
    """
    if unit:
        real, fake = F.normalize(real.double(), dim=1), F.normalize(fake.double(), dim=1)
    return scale * mmd2(real, fake, gaussian(sigma), unbiased=unbiased)


class KernelDistance(FeatureMetric):
    """KID over an extractor, over all pairs; its name is `extractors.kernel_name(extractor)`."""

    higher_is_better = False

    def distance(self, real: Tensor, fake: Tensor) -> Tensor:
        return kid(real, fake)


class CMMD(FeatureMetric):
    """CMMD over an extractor; call it `cmmd_<extractor>` unless that is CLIP's ViT-L/14 at 336 pixels."""

    higher_is_better = False

    def __init__(self, extractor: nn.Module, *, sigma: float = 10.0, unbiased: bool = True, **options: Any) -> None:
        super().__init__(extractor, **options)
        self.sigma, self.unbiased = sigma, unbiased

    def distance(self, real: Tensor, fake: Tensor) -> Tensor:
        return cmmd(real, fake, sigma=self.sigma, unbiased=self.unbiased)
