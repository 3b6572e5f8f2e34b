"""Activations that are recomputed in the backward pass instead of being kept (Chen et al. 2016, arXiv:1604.06174).

`recomputed` recomputes only cheap layers: the norm, the activation and the padding between two convolutions. The
outputs of convolutions are kept, so that a generator of the paper keeps two thirds of its activations at little extra
work. `checkpointed` keeps only the input of a residual block, and computes the whole block twice.
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
from gan_style.networks.wrap import directions, wrapping_again

Layer = Callable[[Tensor], Tensor]
_in_blocks: list[nn.Module] = []  # that `checkpointed` is computing: `recomputed` has nothing to save in them


def recomputed(layers: Sequence[Layer], last: Layer, x: Tensor) -> Tensor:
    """Compute `last(layers[-1](...layers[0](x)))`, keeping only x for the backward pass.

    Args:
        layers: deterministic layers. The first one does not change x in place; the others may overwrite their input if
            their gradient follows from their output, as that of a ReLU does.
        last: a layer that keeps its input for the backward pass, such as a convolution.
        x: any tensor.
    """
    if not torch.is_grad_enabled() or _in_blocks:
        for layer in layers:
            x = layer(x)
        return last(x)
    recomputation, y = _Recomputation(layers, x.detach()), x
    for index, layer in enumerate((*layers, last)):
        with saved_tensors_hooks(recomputation.packer(index, y), _unpack):
            y = layer(y)
    return y


class _Recomputation:
    """Outputs of the layers for an input x, recomputed when the first of them is asked for."""

    def __init__(self, layers: Sequence[Layer], x: Tensor) -> None:
        self.layers, self.x, self.wrap = layers, x, directions()
        self.outputs: list[Tensor] = []

    def packer(self, index: int, layer_input: Tensor) -> Callable[[Tensor], Any]:
        """Return a hook that saves the input of layer `index` as a reference to its recomputation, but x as it is."""
        # The autograd graph keeps `pack`, which therefore must not keep the input itself.
        address, shape = layer_input.data_ptr(), layer_input.shape

        def pack(tensor: Tensor) -> Any:
            is_input = tensor.data_ptr() == address and tensor.shape == shape
            return (self, index - 1) if index and is_input else tensor

        return pack

    @torch.no_grad()
    def output(self, index: int) -> Tensor:
        if not self.outputs:
            y = self.x
            with wrapping_again(self.wrap):
                for layer in self.layers:
                    y = layer(y)
                    self.outputs.append(y)
        return self.outputs[index]


def _unpack(packed: Any) -> Tensor:
    if isinstance(packed, Tensor):
        return packed
    recomputation, index = packed
    output: Tensor = recomputation.output(index)
    return output


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
        return _computing(block), _with_buffers(block, first_pass, directions())

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
def _with_buffers(block: nn.Module, first_pass: Mapping[str, Tensor], wrap: str) -> Iterator[None]:
    """Compute with buffers and `wrap` of the first pass, and restore the current buffers, unseen by autograd."""
    current = {name: buffer.clone() for name, buffer in block.named_buffers()}
    _set_buffers(block, first_pass)
    try:
        with _computing(block), wrapping_again(wrap):
            yield
    finally:
        _set_buffers(block, current)


def _set_buffers(block: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, buffer in block.named_buffers():
        buffer.data.copy_(values[name])
