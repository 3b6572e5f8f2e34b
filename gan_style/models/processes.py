"""Communication between the processes of a run: means of what is learned without gradients, gathered values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_alone = False


def count() -> int:
    """Return how many processes compute together; 1 inside `alone`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() and not _alone else 1


@contextmanager
def alone() -> Iterator[None]:
    """Let this process wait for no other inside a `with` block: sums over processes are its own part."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


@torch.no_grad()
def summed(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Sum each tensor over all processes, to the same bits on each; in a single process return them as they are."""
    if count() == 1:
        return list(tensors)
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    parts = flat.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def averaged(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Average each tensor over all processes, to the same bits on each."""
    return [total / count() for total in summed(tensors)] if count() > 1 else list(tensors)


def gather(value: Any) -> list[Any]:
    """Return the value of every rank, in order, on every rank."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values
