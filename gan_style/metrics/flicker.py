"""Flicker of a translated video: along the motion in it, and between shifted copies of a picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Shift = tuple[int, int]  # pixels down and to the right
SHIFTS: tuple[Shift, ...] = ((1, 0), (0, 1), (2, 3))


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Look up each pixel where the flow says that it was, bilinearly; the border is repeated.

    Args:
        images: [B, C, H, W].
        flow: [B, 2, H, W] or [1, 2, H, W]: pixel (x, y) of the result is `images` at (x + flow[0], y + flow[1]).
    """
    height, width = images.shape[-2:]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)[None]
    # grid_sample counts from -1, the middle of the first pixel, to 1, the middle of the last one
    grid = torch.stack([(x + flow[:, 0]) * 2 / max(width - 1, 1), (y + flow[:, 1]) * 2 / max(height - 1, 1)], -1) - 1
    grid = grid.expand(len(images), -1, -1, -1).to(images)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)


def warped_error(images: Tensor, previous: Tensor, flow: Tensor, steady: Tensor) -> Tensor:
    """Return mean squared difference of frames and the ones before them, moved by the flow (Lai et al. 2018, eq. 11).

    The same of the inputs is the floor: noise, light and errors of the flow. 0 for a picture that stands still; for
    independent noise of deviation s and a flow of whole pixels the expectation is 2 s^2.

    Args:
        images, previous: [B, C, H, W] in [-1, 1], or of any other range.
        flow: [B, 2, H, W], where each pixel of `images` was in `previous`; from the input frames.
        steady: [B, 1, H, W] in [0, 1], how far the flow can be trusted; the weights of the mean.

    Returns: [B]; NaN where no pixel can be trusted.
    """
    error = (images - warp(previous, flow)).square().mean(dim=1, keepdim=True)
    return (error * steady).sum(dim=(1, 2, 3)) / steady.sum(dim=(1, 2, 3))


def moved(images: Tensor, shift: Shift) -> Tensor:
    """Return pictures [B, C, H, W], or none of them, moved by whole pixels; the border is repeated behind them."""
    down, right = shift
    height, width = images.shape[-2:]
    rows = (torch.arange(height, device=images.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) - right).clamp(0, width - 1)
    return images[..., rows[:, None], columns[None]]


def shift_error(images: Tensor, of_moved: Tensor, shift: Shift, *, margin: int = 0) -> Tensor:
    """Return mean squared difference between the moved translation and the translation of the moved picture.

    A camera that moves by some pixels does what a shift does, so a network that is not consistent under shifts
    flickers in every video. 0 for whatever treats each pixel, or each neighbourhood, alike.

    Args:
        images: [B, C, H, W], translations of some pictures.
        of_moved: likewise, of the same pictures after `moved(pictures, shift)`.
        shift: by how much.
        margin: pixels at the border that do not count, beside those that the shift brought in.

    Returns: [B]; NaN where nothing is left to compare.
    """
    down, right = shift
    height, width = images.shape[-2:]
    rows = slice(margin + max(down, 0), height - margin + min(down, 0))
    columns = slice(margin + max(right, 0), width - margin + min(right, 0))
    return (moved(images, shift) - of_moved)[..., rows, columns].square().mean(dim=(1, 2, 3))
