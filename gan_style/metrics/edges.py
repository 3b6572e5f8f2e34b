"""Agreement of edges: faithfulness without any weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
FLAT = 1e-4  # deviation of edge strengths below which a picture has no edges: a hundredth of a step of 8 bits


def sobel(images: Tensor) -> Tensor:
    """Return edge strengths, the length of the Sobel gradient of the luma: [B, 3 or 1, H, W] -> [B, H, W]."""
    images = images.float()
    if images.shape[1] == 3:
        luma = torch.tensor(LUMA, device=images.device)[None, :, None, None]
        images = (images * luma).sum(1, keepdim=True)
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=images.device) / 8
    kernel = torch.stack([across, across.T])[:, None]
    return F.conv2d(F.pad(images, (1, 1, 1, 1), "replicate"), kernel).square().sum(1).sqrt()


def edge_agreement(images: Tensor, others: Tensor) -> Tensor:
    """Return the correlation of the edge strengths of two images, [B, C, H, W] twice -> [B] in [-1, 1].

    1 where edges have the same positions and relative strengths, about 0 for unrelated pictures. It does not depend on
    brightness, contrast or sign, and so suits translation between domains. A picture without edges agrees with another
    one without (1) and with no other (0).
    """
    a, b = (sobel(x).flatten(1) for x in (images, others))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    sizes = a.square().mean(1).sqrt(), b.square().mean(1).sqrt()
    value = (a * b).mean(1) / (sizes[0] * sizes[1]).clamp_min(FLAT**2)
    flat = [size < FLAT for size in sizes]
    value = torch.where(flat[0] | flat[1], torch.zeros_like(value), value)
    return torch.where(flat[0] & flat[1], torch.ones_like(value), value).clamp(-1, 1)
