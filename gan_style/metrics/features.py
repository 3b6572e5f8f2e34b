"""Checks of features, for every distance between two sets."""

from __future__ import annotations

from torch import Tensor

from gan_style.core.errors import UserError


def checked(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Check two sets of features and return them as float64 [N, D]."""
    if real.dim() != 2 or fake.dim() != 2 or real.shape[1] != fake.shape[1]:
        raise UserError(
            f"features of two sets must be [N, D] and [M, D], not {list(real.shape)} and {list(fake.shape)}: "
            "take both from one extractor"
        )
    if min(len(real), len(fake)) < 2:
        raise UserError(f"a distance between sets needs two pictures of each, not {len(real)} and {len(fake)}")
    if not (bool(real.isfinite().all()) and bool(fake.isfinite().all())):
        raise UserError("some features are NaN or infinite: check the pictures and the weights of the extractor")
    return real.double(), fake.double()
