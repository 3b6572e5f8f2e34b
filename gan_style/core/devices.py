"""The device that computes."""

from __future__ import annotations

import functools
from typing import Any

import torch

from gan_style.core import memory
from gan_style.core.errors import UserError


def device_of(device: Any) -> torch.device:
    """Return the device of this name, which must be there; for None a CUDA GPU where there is one, else the CPU.

    Apple's and Intel's GPUs, "mps" and "xpu", are taken where they are named: float64 is missing there.

    Raises:
        UserError: torch knows no such device, or sees none.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError, ImportError) as error:
        memory.raise_if_out(error)
        others = there()
        seen = ", ".join(["cpu", *others]) if others else "cpu (torch sees no CUDA device, no mps and no xpu)"
        raise UserError(f"device={device} cannot be used: take {seen}") from error


@functools.cache
def has_amx() -> bool:
    """Check whether the processor has units that multiply matrices of bfloat16, and oneDNN to use them."""
    return torch.backends.mkldnn.is_available() and torch.cpu._is_amx_tile_supported()


def multiplies_bf16(device: Any) -> bool:
    """Check whether a device, as `device_of` takes it, has units that multiply matrices of bfloat16."""
    found = device_of(device)
    if found.type == "cpu":
        return has_amx()
    return found.type == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))


def there() -> list[str]:
    """List the kinds of accelerator that torch sees on this machine."""
    backends = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": getattr(torch, "xpu", None)}
    return [name for name, one in backends.items() if one is not None and one.is_available()]
