"""The contrastive loss between patches of two pictures."""

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.precision import at_least_float32


def patch_nce(query: Tensor, key: Tensor, *, tau: float = 0.07, batch_negatives: bool = False) -> Tensor:
    """Compute the cross-entropy of finding each query's own key among all keys (Park et al. 2020, eq. 2 and 3).

    The other positions of the same picture are the negatives, which the paper calls internal.

    Args:
        query: [B, N, D], patches of the output as unit vectors, so that dot products are cosines; with gradient.
        key: [B, N, D], patches of the input at the same positions, likewise; they get no gradient.
        tau: temperature, > 0.
        batch_negatives: the patches of the other pictures of the batch are negatives, too.

    Returns:
        Mean over all queries, a scalar in [0, inf); log N where all patches are alike.
    """
    if batch_negatives:
        query, key = query.flatten(0, 1)[None], key.flatten(0, 1)[None]
    with torch.autocast(query.device.type, enabled=False):
        query, key = at_least_float32(query), at_least_float32(key.detach())
        logits = query @ key.transpose(1, 2) / tau
        own = torch.arange(logits.shape[1], device=logits.device).repeat(len(logits))
        return F.cross_entropy(logits.flatten(0, 1), own)
