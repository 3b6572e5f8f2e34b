"""Hooks of callbacks and loggers beside Lightning's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from gan_style.models.translator import Translator
from gan_style.training.engine.engine import Engine


class RunCallback(pl.Callback):
    """A callback with hooks for our runs; those of other packages are plain callbacks of Lightning."""

    averages_weights: ClassVar[bool] = False  # whether it swaps averaged weights in for validations

    def offers(self, model: Translator, data: Any) -> dict[str, str]:
        """Return the scores that best.ckpt may be chosen by, and their better ends.

        Args:
            data: the data module.

        Returns: column -> "highest" or "lowest".
        """
        return {}

    def takes_not_finite(self, trainer: pl.Trainer, engine: Engine, what: str) -> bool:
        """Handle a number that is not finite. Returns: whether the run goes back, so that training need not end."""
        return False

    def rewound(self, engine: Engine) -> None:
        """Drop what was kept of later iterations: the run goes on from an earlier one."""


def run_callbacks(callbacks: Iterable[pl.Callback]) -> list[RunCallback]:
    """Return the callbacks that are a `RunCallback`."""
    return [callback for callback in callbacks if isinstance(callback, RunCallback)]


class RewindingLogger(Logger):
    """A logger that can drop rows of later iterations."""

    @abstractmethod
    def rewind(self, iteration: int) -> None:
        """Drop the rows of later iterations: they will be written again."""
