"""Passes of a method's networks: several inputs joined in one pass, and how the passes are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from gan_style.networks.contract import can_join
from gan_style.networks.fast_convolutions import fast_convolutions
from gan_style.networks.recomputed import checkpointed
from gan_style.networks.stages import stages
from gan_style.networks.wrap import wrapping_but

# Joining two inputs saves kernel launches on a GPU and for small images; on a CPU, above this many pixels of one
# image, the larger batch no longer fits the cache and costs time (experiments/benchmark.py suite=step).
MAX_PIXELS_TO_JOIN_ON_CPU = 128 * 128


def compile_networks(networks: Sequence[nn.Module], how: Literal["default", "max"]) -> str | None:
    """Compile networks in place: their keys stay, and the first pass of each size takes a minute or more.

    Args:
        networks: each is one graph.
        how: "max" records CUDA graphs on a GPU, for batches of one size; on a CPU both are the same.

    Returns: why nothing was compiled, as a sentence, or None.
    """
    on_gpu = all(parameter.is_cuda for network in networks for parameter in network.parameters())
    if not on_gpu and (missing := missing_compiler()):
        return f"nothing is compiled: {missing}"
    for network in networks:
        network.compile(mode="reduce-overhead" if how == "max" and on_gpu else None, dynamic=False)
    return None


def missing_compiler() -> str | None:
    """Return what to install before a network can be compiled for a CPU, or None."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "torch.compile needs a C++ compiler on a CPU, such as g++"
    return None


@contextmanager
def compute_modes(
    trained_with_G: Sequence[nn.Module],
    faster: bool,
    checkpointing: bool = False,
    wrap: str | None = None,
    discriminators: Sequence[nn.Module] = (),
    penalised: bool = False,
) -> Iterator[None]:
    """Set how networks compute inside a `with` block.

    Args:
        faster: whether they compute in stages, by fast convolutions (`networks.stages`).
        checkpointing: whether residual blocks keep only their inputs and are recomputed in the backward pass.
        wrap: directions in which pictures go round, for all but the discriminators, which see them rolled.
        discriminators: the networks that are trained with them.
        penalised: whether these are differentiated twice, which stages cannot be.
    """
    with ExitStack() as entered:
        if wrap:
            entered.enter_context(wrapping_but(wrap, *discriminators))
        if faster:
            in_stages = [*(() if wrap else trained_with_G), *(() if penalised else discriminators)]
            entered.enter_context(stages(*in_stages))
        if faster and wrap:  # stages pad by reflection alone
            entered.enter_context(fast_convolutions(*trained_with_G))
        if checkpointing:  # entered last, so that a recomputed block uses the same convolutions
            entered.enter_context(checkpointed(*trained_with_G))
        yield


def joined(network: nn.Module, *inputs: Tensor, join: bool | None = None, method: str | None = None) -> list[Any]:
    """Return `[network(x) for x in inputs]`, in one pass over the joined batch where that is exact and faster.

    Exact when the network treats every picture by itself (`per_sample`: instance norm, no dropout).

    Args:
        join: whether to join; None decides by device and size (see `MAX_PIXELS_TO_JOIN_ON_CPU`).
        method: called in place of the network itself.
    """
    call = network if method is None else getattr(network, method)
    alike = len({(x.shape[1:], x.device) for x in inputs}) == 1  # under autocast a fake may be in bfloat16
    if join is None:
        join = inputs[0].is_cuda or inputs[0].shape[-2] * inputs[0].shape[-1] <= MAX_PIXELS_TO_JOIN_ON_CPU
    if not (join and alike and can_join(network)):
        return [call(x) for x in inputs]
    output = call(torch.cat(inputs))
    parts, start = [], 0
    for x in inputs:
        window = slice(start, start + len(x))
        parts.append(tree_map(lambda y, window=window: y[window], output))
        start += len(x)
    return parts
