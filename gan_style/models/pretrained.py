"""Generators whose training is not known: weights that came from another tool, or one direction of a larger model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.types import Count
from gan_style.models.translator import Optimizers, Translator, network_of
from gan_style.networks.factory import make_generator


class Pretrained(Translator):
    """A method of one generator per direction: it translates, and has no losses to be trained by.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network; called once per direction.
        directions: `A2B`, `B2A` or both; a direction that is not there cannot be asked for.
        channels_A, channels_B: of the pictures of each domain.
        optimizer_G, **training: of `Translator`, for a method that has losses.

    Raises:
        UserError: no direction, or one twice.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        *,
        directions: Sequence[Literal["A2B", "B2A"]] = ("A2B",),
        channels_A: Count = 3,
        channels_B: Count = 3,
        optimizer_G: Optimizers = torch.optim.Adam,
        **training: Any,
    ) -> None:
        if not directions or len(set(directions)) < len(directions):
            raise UserError(f"model.directions={[*directions]} is to name A2B, B2A or both, each once")
        super().__init__(optimizer_G=optimizer_G, **training)
        self.directions = tuple(Direction(direction) for direction in directions)
        self._networks = {str(direction): network_of(direction) for direction in self.directions}
        self.generators = tuple(self._networks.values())
        self.channels = channels = {"A": channels_A, "B": channels_B}
        for direction in self.directions:
            source, target = channels[direction.source], channels[direction.target]
            made = make_generator(generator, in_channels=source, out_channels=target)
            setattr(self, network_of(direction), made)

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = getattr(self, self._networks[direction])(images)
        return output
