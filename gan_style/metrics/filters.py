"""Images as grey levels, and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def grey_levels(images: Tensor) -> Tensor:
    """Convert images in [-1, 1] to float32 in [0, 255]."""
    return (images.float() + 1) * 127.5


def from_grey_levels(images: NDArray[np.uint8]) -> Tensor:
    """Convert images [..., H, W, C] of 8 bits to float32 [..., C, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, -3).float() / 127.5 - 1
