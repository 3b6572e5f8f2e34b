"""Restoring a run from a checkpoint: before it starts, or in the middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.memory import raise_if_out
from gan_style.core.sizes import parsed
from gan_style.core.terminal import say
from gan_style.models.translator import Translator
from gan_style.training.callbacks.score_file import cut
from gan_style.training.engine.engine import Engine
from gan_style.training.engine.hooks import RewindingLogger, run_callbacks
from gan_style.training.engine.optimizers import goes_on
from gan_style.training.engine.players import own_gradients


def restore(trainer: pl.Trainer, engine: Engine, state: Mapping[str, Any]) -> None:
    """Load the networks, the state of training and the callbacks; print notes about what does not fit.

    Raises:
        UserError: a checkpoint of another architecture.
    """
    load_weights(engine.method, state)
    state, left_out = fitting(state, engine, trainer.datamodule)  # type: ignore[attr-defined]
    engine.load_training_state(state)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if callback.state_key in state["callbacks"]:
            callback.load_state_dict(state["callbacks"][callback.state_key])
    trainer.precision_plugin.load_state_dict(state["precision"])
    fast_forward(trainer, engine.iteration)
    if trainer.is_global_zero:
        cut(Path(trainer.default_root_dir), engine.iteration)
        for note in left_out:
            say(f"note: {note}", flush=True)


def fitting(state: Mapping[str, Any], engine: Engine, data: Any) -> tuple[dict[str, Any], list[str]]:
    """Drop from a checkpoint's state what does not fit the present settings. Returns: the state, and notes.

    The networks fit, or the checkpoint would have been refused; state that depends on sizes, on the optimiser, on
    accumulation or on precision need not.
    """
    fits, notes = dict(state), []
    fits["pools"], dropped = _pools_of_size(state["pools"], _sizes_kept(state["preprocessing"], data))
    if dropped:
        notes.append(f"{dropped} remembered pictures of another size are left out: the image pools begin empty")
    fits["optimizers"] = dict(state["optimizers"])
    for player, optimizer in engine.optimizer_of().items():
        if not goes_on(optimizer, engine.method.make_optimizer[player], state["optimizers"][player]):
            fits["optimizers"][player] = {**optimizer.state_dict(), "state": {}}
            notes.append(f"the optimiser of {player} is of another kind than the one that was saved: it begins anew")
    gradients = own_gradients(state["gradients"], engine.global_rank)
    if gradients and _gathered_otherwise(state, gradients, engine):
        fits["gradients"] = {}
        notes.append("the gradients of an unfinished step, which were accumulated or scaled otherwise, are left out")
    return fits, notes


def _sizes_kept(preprocessing: Mapping[str, Any], data: Any) -> Sequence[tuple[int, int]] | None:
    """Return heights and widths that pictures of a checkpoint may have to be kept; None for any."""
    then = preprocessing.get("preprocess"), parsed(preprocessing.get("image_size"))
    if then == (data.transform.preprocess, data.image_size) or not data.transform.fixed_size:
        return None
    # Of one other size there is none to keep. Of many, a pool of turned pictures (GcGAN) has no shape of its own here.
    height, width = data.transform.size
    return [(height, width)] if height == width and not str(then[0]).endswith("crop") else []


def _pools_of_size(per_rank: Any, sizes: Sequence[tuple[int, int]] | None) -> tuple[Any, int]:
    """Drop images of other heights and widths from the pools, and count them; None keeps every size."""
    kept, dropped = [], 0
    for pools in per_rank:
        fit = {
            name: [x for x in pool["images"] if sizes is None or x.shape[-2:] in sizes] for name, pool in pools.items()
        }
        kept.append({name: {**pool, "images": fit[name]} for name, pool in pools.items()})
        dropped += sum(len(pool["images"]) - len(fit[name]) for name, pool in pools.items())
    return kept, dropped


def _gathered_otherwise(state: Mapping[str, Any], gradients: Mapping[str, Tensor], engine: Engine) -> bool:
    """Check whether the open gradients of a checkpoint have other accumulation, scale or type."""
    accumulate = state["config"]["model"].get("accumulate", 1)
    then = accumulate, bool(state.get("scalers")), {gradient.dtype for gradient in gradients.values()}
    now = engine.method.accumulate, bool(engine.scalers), {parameter.dtype for parameter in engine.parameters()}
    return then != now


def rewind(trainer: pl.Trainer, engine: Engine, state: Mapping[str, Any]) -> None:
    """Go back within a run; batches and random draws go on after those seen, so that the fault does not recur."""
    seen = engine.position
    restore(trainer, engine, state)
    engine.method.skipped = seen - engine.iteration
    engine.restore_gradients()
    for callback in run_callbacks(trainer.callbacks):  # type: ignore[attr-defined]
        callback.rewound(engine)
    for logger in trainer.loggers:
        if isinstance(logger, RewindingLogger):
            logger.rewind(engine.iteration)


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
