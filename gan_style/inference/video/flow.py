"""Optical flow: where each pixel of a frame was in the frame before it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_style.data.images import to_uint8
from gan_style.metrics.flicker import warp

MIN_SIDE = 16  # pixels: below, the flow's patches of 8 do not fit its coarser levels


def flow_between(frame: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate the optical flow from a frame back to the one before it, and how far it can be trusted.

    Dense inverse search (Kroeger et al. 2016, OpenCV) in both directions. The trust of a pixel is 0 where the flow
    leads out of the frame, or where forward and backward flow disagree: |f + b|^2 >= 0.01 (|f|^2 + |b|^2) + 0.5
    (Sundaram et al. 2010, eq. 5). Elsewhere it falls with the change of colour, exp(-50 |I - warp(I')|^2) for colours
    in [0, 1] (Lai et al. 2018, section 3.2), because between frames with nothing in common the flow is consistent, too:
    near zero.

    Args:
        frame, previous: [1, C, H, W] in [-1, 1], of one size.

    Returns: [1, 2, H, W] in pixels, as `warp` takes it, and [1, 1, H, W] in [0, 1].
    """
    height, width = frame.shape[-2:]
    if min(height, width) < MIN_SIDE:  # nothing to follow
        return frame.new_zeros(1, 2, height, width), frame.new_zeros(1, 1, height, width)
    now, before = _grey(frame), _grey(previous)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    back, forth = (
        torch.from_numpy(search.calc(a, b, None)).movedim(-1, 0)[None].to(frame)  # type: ignore[call-overload]
        for a, b in ((now, before), (before, now))
    )
    forth = warp(forth, back)
    lengths = back.square().sum(dim=1, keepdim=True) + forth.square().sum(dim=1, keepdim=True)
    steady = (back + forth).square().sum(dim=1, keepdim=True) < 0.01 * lengths + 0.5
    x = torch.arange(width, device=frame.device) + back[:, :1]
    y = torch.arange(height, device=frame.device)[:, None] + back[:, 1:]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    unlike = ((frame - warp(previous, back)) / 2).square().sum(dim=1, keepdim=True)
    return back, (steady & inside) * torch.exp(-50 * unlike)


def _grey(frame: Tensor) -> NDArray[np.uint8]:
    array = to_uint8(frame)[0]
    grey = cv2.cvtColor(array, cv2.COLOR_RGB2GRAY) if array.shape[-1] == 3 else array[..., 0]
    return np.ascontiguousarray(grey)
