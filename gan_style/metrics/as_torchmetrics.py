"""A score of two sets as a torchmetrics Metric, for training loops and notebooks of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from gan_style.core.errors import UserError, did_you_mean
from gan_style.metrics.extractor import Extractor
from gan_style.metrics.extractors import column
from gan_style.metrics.extractors import extractor as extractor_of
from gan_style.metrics.sliced import LaplacianPatches
from gan_style.metrics.table import NAMED, PATCHES, TABLE


class SetMetric(Metric):
    """Score two sets of pictures by the table: the number that `gan-style evaluate` gives of the same pictures.

    It keeps the features of every picture, and on several processes gathers those of all of them.

    Args:
        name: of a row of sets: `kid`, `frechet`, `cmmd`, `swd`, `patch_distance`, `texture`, `grid`, `domain_detail`,
            `domain_fine_detail`, `precision`, `recall`, `density` or `coverage`.
        extractor: a name such as `random` or `inception`, or an `Extractor`; those of patches and pixels need none.
        weights: the file of its weights; None takes the published ones.
        options: of `torchmetrics.Metric`.

    Attributes:
        score: the name of the score in result files, such as `kid_random0`.

    Raises:
        UserError: no such score, extractor or weights.
    """

    full_state_update = False
    is_differentiable = False
    real: list[Tensor]
    fake: list[Tensor]

    def __init__(
        self, name: str, extractor: str | Extractor = "random", weights: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        row = NAMED.get(name)
        if row is None or not row.of_sets:
            known = [other.name for other in TABLE if other.of_sets]
            raise UserError(f"there is no score of sets {name}{did_you_mean(name, known)}")
        network = extractor_of(extractor, weights) if isinstance(extractor, str) else extractor
        self.row, self.score = row, column(row, network)
        # in a list, so that it is no module of this one: checkpoints do not carry its weights
        self._extractor: list[Extractor] = [LaplacianPatches() if row.features == PATCHES else network]
        self._look = row.look()  # a function, where the features are no network's
        self._distance = row.compute()
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """True where higher is better."""
        return self.row.higher

    def update(self, images: Tensor, real: bool) -> None:
        """Add pictures [B, 3, H, W] in [-1, 1] to one of the two sets."""
        (self.real if real else self.fake).append((self._look or self._extractor[0])(images))

    def compute(self) -> Tensor:
        """Return the score, float64.

        Raises:
            UserError: a set of too few pictures.
        """
        for name, held in (("real", self.real), ("fake", self.fake)):
            if not len(held):
                raise UserError(f"there is no {name} picture to score: call update with real={name == 'real'} first")
        found: Tensor = self._distance(dim_zero_cat(self.real), dim_zero_cat(self.fake))
        return found

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Any = "") -> nn.Module:
        self._extractor[0]._apply(fn)  # to the device of the rest
        applied: nn.Module = super()._apply(fn, exclude_state)
        return applied
