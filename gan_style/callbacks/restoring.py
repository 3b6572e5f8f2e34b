"""Putting a run back to where a checkpoint was saved: before it starts, or in its midst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from gan_style.errors import UserError
from gan_style.memory import raise_if_out
from gan_style.models.translator import Translator


def restore(trainer: pl.Trainer, model: Translator, state: Mapping[str, Any]) -> None:
    """Load the networks, everything that training knows beside them, and the callbacks.

    Raises:
        UserError: a checkpoint of another architecture.
    """
    load_weights(model, state)
    model.load_training_state(state)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if callback.state_key in state["callbacks"]:
            callback.load_state_dict(state["callbacks"][callback.state_key])
    trainer.precision_plugin.load_state_dict(state["precision"])
    fast_forward(trainer, model.iteration)


def rewind(trainer: pl.Trainer, model: Translator, state: Mapping[str, Any]) -> None:
    """Go back within a run. Pictures and draws go on behind those that were seen, so that it does not happen again."""
    seen = model.iteration + model.skipped
    restore(trainer, model, state)
    model.skipped = seen - model.iteration
    model.restore_gradients()
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if hasattr(callback, "rewound"):
            callback.rewound(model)
    for logger in trainer.loggers:
        if hasattr(logger, "rewind"):
            logger.rewind(model.iteration)


def load_weights(model: Translator, state: Mapping[str, Any]) -> None:
    """Load the networks of a checkpoint.

    Raises:
        UserError: they have other names or shapes, which the checks of the config did not foresee.
    """
    try:
        model.load_state_dict(state["state_dict"])
    except RuntimeError as error:
        raise_if_out(error)
        reason = str(error).split("\n\t")[1] if "\n\t" in str(error) else str(error)
        raise UserError(f"the checkpoint is of another architecture: {' '.join(reason.split())[:200]}") from error


def fast_forward(trainer: pl.Trainer, iteration: int) -> None:
    """Tell Lightning's loop how many batches were done, so that its validations stay on the same iterations."""
    loop = trainer.fit_loop.epoch_loop
    loop.batch_progress.total.ready = iteration
    loop._batches_that_stepped = iteration
