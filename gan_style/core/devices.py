"""The device that computes."""

from __future__ import annotations

from typing import Any

import torch

from gan_style.core import memory
from gan_style.core.errors import UserError


def device_of(device: Any) -> torch.device:
    """Return the device of this name, which must be there; for None a GPU where there is one.

    Raises:
        UserError: torch knows no such device, or sees none.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        memory.raise_if_out(error)
        there = "cpu, cuda" if torch.cuda.is_available() else "cpu (torch sees no CUDA device)"
        raise UserError(f"device={device} cannot be used: take {there}") from error
