"""How a method's networks are run: two inputs in one pass, and by which ways."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from gan_style.networks.quick import quick

# Joining two inputs saves launches on small pictures and on a GPU; on a CPU, above this many pixels of one
# input, the larger batch falls out of the cache and costs time (experiments/benchmark.py suite=step).
JOIN_PIXELS_ON_CPU = 128 * 128
# From this many pixels of a crop on, the ways of `networks.quick` pay in training (the same suite).
QUICK_PIXELS = 96 * 96


def ways(trained_with_G: Sequence[nn.Module], faster: bool) -> AbstractContextManager[None]:
    """By the ways of `networks.quick`, or plainly.

    Never for the discriminators: a gradient penalty differentiates theirs twice.
    """
    return quick(*trained_with_G) if faster else nullcontext()


def joined(network: nn.Module, *inputs: Tensor, join: bool | None = None, method: str | None = None) -> list[Any]:
    """`[network(x) for x in inputs]`, in one pass over the joined batch where that is exact and pays.

    Exact when the network treats every picture by itself (`per_sample`: instance norm, no dropout).

    Args:
        join: None measures nothing and follows the size (see `JOIN_PIXELS_ON_CPU`); True or False decides.
        method: called in place of the network itself.
    """
    call = network if method is None else getattr(network, method)
    alike = len({(x.shape[1:], x.dtype, x.device) for x in inputs}) == 1
    if join is None:
        join = inputs[0].is_cuda or inputs[0].shape[-2] * inputs[0].shape[-1] <= JOIN_PIXELS_ON_CPU
    if not (join and alike and getattr(network, "per_sample", False)):
        return [call(x) for x in inputs]
    output = call(torch.cat(inputs))
    parts, start = [], 0
    for x in inputs:
        window = slice(start, start + len(x))
        parts.append(tree_map(lambda y, window=window: y[window], output))
        start += len(x)
    return parts
