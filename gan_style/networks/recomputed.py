"""Activations that are made again in the backward pass instead of being kept (Chen et al. 2016, arXiv:1604.06174).

`recomputed` makes only again what costs little: the norm, the activation and the padding between two convolutions. What
a convolution gives is kept: a generator of the paper keeps two thirds of its activations and computes little twice.
`checkpointed` keeps of a residual block its input alone, and computes the block twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from gan_style.networks.contract import is_recomputable

Layer = Callable[[Tensor], Tensor]
_in_blocks: list[nn.Module] = []  # being computed by `checkpointed`, which keeps nothing of theirs anyway


def recomputed(light: Sequence[Layer], last: Layer, x: Tensor) -> Tensor:
    """`last(light[-1](...light[0](x)))`, of which only x is kept for the backward pass.

    Args:
        light: layers that give the same in every call. The first one leaves x as it is; the others may overwrite their
            input if their gradient can be had from their output, as that of a ReLU.
        last: takes the gradient of its input from its input.
        x: any tensor.
    """
    if not torch.is_grad_enabled() or _in_blocks:
        for layer in light:
            x = layer(x)
        return last(x)
    again, y = _Again(light, x.detach()), x
    for place, layer in enumerate((*light, last)):
        with saved_tensors_hooks(again.packer(place, y), _unpack):
            y = layer(y)
    return y


class _Again:
    """What the light layers made of x, made again when it is first asked for."""

    def __init__(self, light: Sequence[Layer], x: Tensor) -> None:
        self.light, self.x = light, x
        self.made: list[Tensor] = []

    def packer(self, place: int, given: Tensor) -> Callable[[Tensor], Any]:
        """In place of the input of a layer, where it is not x itself, the way to have it again."""
        address, shape = given.data_ptr(), given.shape  # the gradient keeps this function: it must not keep the input

        def pack(tensor: Tensor) -> Any:
            return (self, place - 1) if place and tensor.data_ptr() == address and tensor.shape == shape else tensor

        return pack

    @torch.no_grad()
    def output(self, place: int) -> Tensor:
        if not self.made:
            y = self.x
            for layer in self.light:
                y = layer(y)
                self.made.append(y)
        return self.made[place]


def _unpack(packed: Any) -> Tensor:
    if isinstance(packed, Tensor):
        return packed
    again, place = packed
    made: Tensor = again.output(place)
    return made


def blocks_of(*models: nn.Module) -> list[nn.Module]:
    """The modules that say by `recomputable` that `checkpointed` may compute them twice."""
    return [module for model in models for module in model.modules() if is_recomputable(module)]


@contextmanager
def checkpointed(*models: nn.Module) -> Iterator[None]:
    """Inside, blocks of models keep their input for the backward pass, which has to be inside too; same numbers.

    Dropout draws what it drew, and the block computes with the buffers that it had: a batch norm counts a batch once, a
    spectral norm takes one step. The models themselves stay as they are.
    """
    blocks = blocks_of(*models)
    before = [vars(block).get("forward") for block in blocks]
    for block in blocks:
        block.forward = functools.partial(_twice, block, block.forward)
    try:
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            if forward is None:
                del block.forward
            else:
                block.forward = forward


def _twice(block: nn.Module, forward: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return forward(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        entered = {name: buffer.clone() for name, buffer in block.named_buffers()}
        return _computing(block), _with_buffers(block, entered)

    result: Tensor = checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)
    return result


@contextmanager
def _computing(block: nn.Module) -> Iterator[None]:
    _in_blocks.append(block)
    try:
        yield
    finally:
        _in_blocks.pop()


@contextmanager
def _with_buffers(block: nn.Module, entered: Mapping[str, Tensor]) -> Iterator[None]:
    """Compute with the buffers of the first time and put those of now back, past autograd, which kept neither."""
    now = {name: buffer.clone() for name, buffer in block.named_buffers()}
    _set_buffers(block, entered)
    try:
        with _computing(block):
            yield
    finally:
        _set_buffers(block, now)


def _set_buffers(block: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, buffer in block.named_buffers():
        buffer.data.copy_(values[name])
