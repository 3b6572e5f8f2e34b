"""Activations that are made again in the backward pass instead of being kept (Chen et al. 2016, arXiv:1604.06174).

Only what costs little is made again: the norm, the activation and the padding between two convolutions. What a
convolution gives is kept: a generator of the paper keeps two thirds of its activations and computes little twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

Layer = Callable[[Tensor], Tensor]


def recomputed(light: Sequence[Layer], last: Layer, x: Tensor) -> Tensor:
    """`last(light[-1](...light[0](x)))`, of which only x is kept for the backward pass.

    Args:
        light: layers that give the same in every call. The first one leaves x as it is; the others may overwrite their
            input if their gradient can be had from their output, as that of a ReLU.
        last: takes the gradient of its input from its input.
        x: any tensor.
    """
    if not torch.is_grad_enabled():
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
