"""Likeness of the feature maps of two networks, whatever their channels."""

from __future__ import annotations

import torch
from torch import Tensor


def kernel_alignment(x: Tensor, y: Tensor) -> Tensor:
    """Return how alike two feature maps say that places are to each other, in [0, 1]; 1 where they say the same.

    With X and Y the maps as matrices of a row a place and a column a channel, |Y^T X|^2 / (|X^T X| |Y^T Y|) by
    Frobenius norms: the cosine of the two tables of products between places (Jin et al. 2021, CVPR, arXiv:2103.03467,
    section 3.1). It has no weights, and does not change when a map is scaled or its channels are rotated.

    Args:
        x, y: [B, C, H, W] and [B, D, H, W].
    """
    # autocast would round the sums over places to 8 bits
    with torch.autocast(x.device.type, enabled=False):
        a, b = (z.float() if z.dtype.itemsize < 4 else z for z in (x, y))
        a, b = (z.transpose(0, 1).flatten(1) for z in (a, b))  # [C, places]
        a, b = (z / z.norm().clamp_min(torch.finfo(z.dtype).tiny) for z in (a, b))  # products of 10^4 places fit
        own = (a @ a.T).norm() * (b @ b.T).norm()
        return (b @ a.T).square().sum() / own.clamp_min(torch.finfo(own.dtype).tiny)
