"""Response to a number that is not finite: the run ends, or goes back where a callback sees to that."""

from __future__ import annotations

import pytorch_lightning as pl

from gan_style.core.errors import TrainingFailed
from gan_style.training.doctor.codes import change_for
from gan_style.training.engine.engine import Engine
from gan_style.training.engine.hooks import run_callbacks


def end_or_go_back(trainer: pl.Trainer, engine: Engine, what: str) -> None:
    """Let the doctor, where there is one, record the fault and go back; else end training.

    Args:
        what: description of the fault, as the beginning of a sentence.

    Raises:
        TrainingFailed: with that sentence and what to change.
    """
    for callback in run_callbacks(trainer.callbacks):  # type: ignore[attr-defined]
        if callback.takes_not_finite(trainer, engine, what):
            return
    raise TrainingFailed(
        f"{what}: training stopped, the last checkpoint is kept; {change_for('not-finite', type(engine.method))}"
    )
