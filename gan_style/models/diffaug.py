"""Differentiable augmentation of what a discriminator sees, for training on few pictures.

Zhao, Liu, Lin, Zhu, Han 2020, arXiv:2006.10738: real pictures and fakes go through the same random T, in the turns of
both players, so that a discriminator cannot learn pictures by heart and a generator does not learn T. T is the paper's
colour, translation and cutout, drawn anew for each picture of each pass; pictures of a joined pass have draws of their
own, as in passes of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.precision import at_least_float32

TRANSLATION = 1 / 8  # of a side, at most
CUTOUT = 1 / 2  # of a side


def show_augmented(discriminators: Sequence[nn.Module]) -> None:
    """Let networks see their pictures, the first argument of a pass, through `diffaug` wherever they are trained.

    In evaluation mode they see them as they are. A gradient penalty is that of D(T(x)) by x.
    """

    def augmented(network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return (diffaug(inputs[0]), *inputs[1:]) if network.training else None

    for network in discriminators:
        network.register_forward_pre_hook(augmented)


def diffaug(images: Tensor) -> Tensor:
    """Augment pictures [B, C, H, W], differentiably, at least in float32; the output may leave [-1, 1].

    Draws come from torch's global generator.
    """
    return cut_out(translated(coloured(at_least_float32(images))))


def coloured(images: Tensor) -> Tensor:
    """Change brightness (by -0.5 to 0.5), saturation (0 to 2 times) and contrast (0.5 to 1.5 times)."""
    brightness, saturation, contrast = (_uniform(images)[:, None, None, None] for _ in range(3))
    brighter = images + (brightness - 0.5)
    grey = brighter.mean(dim=1, keepdim=True)
    saturated = torch.lerp(grey, brighter, 2 * saturation)
    mean = saturated.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, saturated, contrast + 0.5)


def translated(images: Tensor) -> Tensor:
    """Move by whole pixels, at most an eighth of a side each way; zeros come in at the border."""
    height, width = images.shape[-2:]
    most = [int(side * TRANSLATION + 0.5) for side in (height, width)]
    padded = F.pad(images, (most[1], most[1], most[0], most[0]))
    # Draw the corner of the window that is left of the padded picture.
    rows, columns = (
        torch.arange(side, device=images.device) + _whole(images, 2 * one + 1)[:, None]
        for side, one in zip((height, width), most, strict=True)
    )
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    # Indexed by rows and columns of each picture's own: [B, H, W, C].
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cut_out(images: Tensor) -> Tensor:
    """Set a rectangle of half the sides to 0, whose centre is anywhere in the picture."""
    inside = []
    for side in images.shape[-2:]:
        hidden = int(side * CUTOUT + 0.5)
        first = _whole(images, side + 1 - hidden % 2) - hidden // 2
        places = torch.arange(side, device=images.device)
        inside.append((places >= first[:, None]) & (places < first[:, None] + hidden))
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return images.masked_fill(hole[:, None], 0.0)


def _uniform(images: Tensor) -> Tensor:
    """Draw a number in [0, 1) for each picture."""
    return torch.rand(len(images), device=images.device, dtype=images.dtype)


def _whole(images: Tensor, end: int) -> Tensor:
    """Draw a whole number from 0 to `end` - 1 for each picture."""
    return torch.randint(end, (len(images),), device=images.device)
