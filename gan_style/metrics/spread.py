"""Spread of several translations of one input, over that of the truth."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_DEVIATION = 1e-3  # on [-1, 1]: samples that differ by less are one truth, which has no spread to compare with


def spread(several: Tensor, samples: Tensor) -> Tensor:
    """Return the standard deviation over translations, by that over samples of the truth: [B], 1 for a true painter.

    Args:
        several: translations of each input by other noise, or by models of other seeds, [B, K, C, H, W] in [-1, 1].
        samples: true pictures of each, [B, S, C, H, W] in [-1, 1].

    Returns: NaN where there is one translation, or one truth.
    """
    if min(several.shape[1], samples.shape[1]) < 2:
        return torch.full((len(several),), torch.nan, device=several.device)
    made, true = (x.float().var(1).mean((1, 2, 3)).sqrt() for x in (several, samples))
    return torch.where(true > MIN_DEVIATION, made / true.clamp_min(MIN_DEVIATION), torch.nan)
