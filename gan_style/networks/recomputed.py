"""Blocks that are recomputed in the backward pass instead of being kept (Chen et al. 2016, arXiv:1604.06174)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gan_style.networks.contract import is_recomputable
from gan_style.networks.wrap import directions, wrapping_again


def blocks_of(*models: nn.Module) -> list[nn.Module]:
    """List the modules of models that declare by `recomputable` that `checkpointed` may compute them twice."""
    return [module for model in models for module in model.modules() if is_recomputable(module)]


@contextmanager
def checkpointed(*models: nn.Module) -> Iterator[None]:
    """Keep only the inputs of the models' recomputable blocks for the backward pass; the numbers stay the same.

    The backward pass has to run inside the block, too. Where it recomputes, dropout repeats its draw and the buffers
    are those of the first pass, so that a batch norm counts a batch once and a spectral norm takes one step.
    """
    blocks = blocks_of(*models)
    before = [vars(block).get("forward") for block in blocks]
    for block in blocks:
        block.forward = functools.partial(_checkpoint_block, block, block.forward)
    try:
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            if forward is None:
                del block.forward
            else:
                block.forward = forward


def _checkpoint_block(block: nn.Module, forward: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return forward(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        first_pass = {name: buffer.clone() for name, buffer in block.named_buffers()}
        return nullcontext(), _with_buffers(block, first_pass, directions())

    result: Tensor = checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)
    return result


@contextmanager
def _with_buffers(block: nn.Module, first_pass: Mapping[str, Tensor], wrap: str) -> Iterator[None]:
    """Compute with buffers and `wrap` of the first pass, and restore the current buffers, unseen by autograd."""
    current = {name: buffer.clone() for name, buffer in block.named_buffers()}
    _set_buffers(block, first_pass)
    try:
        with wrapping_again(wrap):
            yield
    finally:
        _set_buffers(block, current)


def _set_buffers(block: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, buffer in block.named_buffers():
        buffer.data.copy_(values[name])
