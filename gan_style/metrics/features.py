"""Accumulated features of two sets: what every distance between sets has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from gan_style.core.errors import UserError


class FeatureMetric(Metric):
    """A distance between the features of real and fake pictures; keeps the features, so that they can be resampled.

    Sharded over ranks: torchmetrics gathers the features of all of them before `compute`.

    Args:
        extractor: pictures [B, 3, H, W] in [-1, 1] -> features [B, D]; shared between metrics, not a part of this
            one's state.
        keep_real: `reset` forgets the fake pictures only, so that real ones are passed through the network once.
    """

    full_state_update = False
    is_differentiable = False
    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, extractor: nn.Module, *, keep_real: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._extractor = [extractor]  # not a module of this one: checkpoints do not carry it
        self.keep_real = keep_real
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    @property
    def extractor(self) -> Any:
        return self._extractor[0]

    def update(self, images: Tensor, real: bool) -> None:
        """Add pictures [B, 3, H, W] in [-1, 1] to one of the two sets."""
        (self.real if real else self.fake).append(self.extractor(images))

    def update_features(self, features: Tensor, real: bool) -> None:
        """Add features [B, D] that were extracted before, e.g. for several metrics at once or from a cache."""
        self._update_count += 1
        self._computed = None
        (self.real if real else self.fake).append(features)

    def features(self) -> tuple[Tensor, Tensor]:
        """Features of the real and of the fake pictures, [N, D] and [M, D].

        Raises:
            UserError: fewer than two pictures in one of the sets.
        """
        found = []
        for name, state in (("real", self.real), ("fake", self.fake)):
            held = dim_zero_cat(state) if len(state) else torch.empty(0)
            if len(held) < 2:
                raise UserError(f"a distance between sets needs two {name} pictures at least, not {len(held)}")
            found.append(held)
        return found[0], found[1]

    def distance(self, real: Tensor, fake: Tensor) -> Tensor:
        """The pure function behind it, with this metric's options; for resampling."""
        raise NotImplementedError

    def compute(self) -> Tensor:
        return self.distance(*self.features())

    def reset(self) -> None:
        kept = list(self.real) if self.keep_real and isinstance(self.real, list) else []
        super().reset()
        self.real = kept

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Any = "") -> nn.Module:
        self.extractor._apply(fn)  # to the device of the rest
        applied: nn.Module = super()._apply(fn, exclude_state)
        return applied


def checked(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Both as float64 [N, D]; a mistake of shape or a value that is not finite is said in a sentence."""
    if real.dim() != 2 or fake.dim() != 2 or real.shape[1] != fake.shape[1]:
        raise UserError(
            f"features of two sets must be [N, D] and [M, D], not {list(real.shape)} and {list(fake.shape)}: "
            "take both from one extractor"
        )
    if min(len(real), len(fake)) < 2:
        raise UserError(f"a distance between sets needs two pictures of each, not {len(real)} and {len(fake)}")
    if not (bool(real.isfinite().all()) and bool(fake.isfinite().all())):
        raise UserError("some features are NaN or infinite: check the pictures and the weights of the extractor")
    return real.double(), fake.double()
