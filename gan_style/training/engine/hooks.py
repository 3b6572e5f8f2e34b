"""What a callback may say and hear beside Lightning's hooks, and a logger can do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from gan_style.models.translator import Translator
from gan_style.training.engine.engine import Engine


class RunCallback(pl.Callback):
    """A callback that knows our runs; those of other packages are plain callbacks of Lightning."""

    averages_weights: ClassVar[bool] = False  # whether in validations it puts averaged weights in place of the raw ones

    def offers(self, model: Translator, data: Any) -> dict[str, str]:
        """Scores that best.ckpt may be chosen by, and their better ends.

        Args:
            data: the data module.

        Returns: column -> "highest" or "lowest".
        """
        return {}

    def takes_not_finite(self, trainer: pl.Trainer, engine: Engine, what: str) -> bool:
        """Hear of a number that is not finite; whether the run goes back, so that training need not end."""
        return False

    def rewound(self, engine: Engine) -> None:
        """Hear that the run goes on from an earlier iteration: what was kept of later ones is nothing any more."""


def run_callbacks(callbacks: Iterable[pl.Callback]) -> list[RunCallback]:
    """Those that know our runs."""
    return [callback for callback in callbacks if isinstance(callback, RunCallback)]


class RewindingLogger(Logger):
    """A logger that can drop what it was told of later iterations."""

    @abstractmethod
    def rewind(self, iteration: int) -> None:
        """Drop the rows of later iterations: they will be written again."""
