"""Likeness of the feature maps of two networks, whatever their channels."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_style.core.precision import at_least_float32


def kernel_alignment(x: Tensor, y: Tensor) -> Tensor:
    """Return whether two networks find the same places of pictures alike: from 0, not at all, to 1, just the same.

    Each map gives a table of the products of its features at every two places; the result is the cosine of the two
    tables. With matrices X and Y of a row per place of all B pictures and a column per channel that is
    |Y^T X|^2 / (|X^T X| |Y^T Y|) by Frobenius norms, the kernel alignment of Jin et al. 2021 (CVPR, arXiv:2103.03467).
    Their code has a row per picture, which says nothing of a batch of one. There are no weights, and scaling a map or
    rotating its channels changes nothing.

    Args:
        x, y: [B, C, H, W] and [B, D, H, W].

    Returns: [], in float32 at least.
    """
    # autocast would round the sums over places to 8 bits
    with torch.autocast(x.device.type, enabled=False):
        a, b = (at_least_float32(z).transpose(0, 1).flatten(1) for z in (x, y))  # [C, places]
        a, b = (z / z.norm().clamp_min(torch.finfo(z.dtype).tiny) for z in (a, b))  # else their product may overflow
        own = (a @ a.T).norm() * (b @ b.T).norm()
        return (b @ a.T).square().sum() / own.clamp_min(torch.finfo(own.dtype).tiny)
