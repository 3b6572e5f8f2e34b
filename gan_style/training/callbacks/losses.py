"""Loss terms, learning rates and speed to every logger, and an end to training on NaN."""

from __future__ import annotations

import math
import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from gan_style.training.callbacks.broken import end_or_go_back
from gan_style.training.callbacks.cost import Cost
from gan_style.training.engine.blame import first_broken_layer
from gan_style.training.engine.engine import Engine, engine_of
from gan_style.training.engine.hooks import RunCallback


class LogLosses(RunCallback):
    """Callback that logs a row every `every` iterations; the step of a row is its iteration.

    Between rows the values stay on the device, so that nothing waits for it; they are checked for NaN when a row is
    written, on a CPU in every iteration.

    Args:
        every: iterations between two rows.
        cost: meter of waiting time and memory.
    """

    def __init__(self, every: int, cost: Cost) -> None:
        self.every = every
        self.cost = cost
        self.values: dict[str, float] = {}  # the newest row, for the progress bar
        self.images_per_s = math.nan
        self._pending: list[tuple[int, list[str], Tensor]] = []
        self._clock = 0.0
        self._clocked_at = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        engine = engine_of(pl_module)
        self._clock, self._clocked_at = time.perf_counter(), engine.iteration

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        engine = engine_of(pl_module)
        iteration, losses = engine.iteration, outputs["losses"]
        stacked = torch.stack([value.detach().float().reshape(()) for value in losses.values()])
        self._pending.append((iteration, list(losses), stacked))
        due = iteration % self.every == 0
        if due or stacked.device.type == "cpu" or len(self._pending) >= 100:
            self._refuse_nan(trainer, engine, batch)
        if due:
            self.values = dict(zip(losses, stacked.tolist(), strict=True))
            self._write(trainer, engine)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._paused = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._clock += time.perf_counter() - self._paused  # the speed is that of training alone

    def _write(self, trainer: pl.Trainer, engine: Engine) -> None:
        now = time.perf_counter()
        images = (engine.iteration - self._clocked_at) * trainer.datamodule.images_per_iteration  # type: ignore[attr-defined]
        self.images_per_s = images / max(now - self._clock, 1e-9)
        self._clock, self._clocked_at = now, engine.iteration
        row = {f"train/{name}": value for name, value in self.values.items()}
        row |= {f"lr/{player}": rate for player, rate in engine.learning_rates().items()}
        row |= {f"weight/{name}": value for name, value in engine.weights(engine.iteration - 1).items()}
        row["time/images_per_s"] = round(self.images_per_s, 2)
        row |= self.cost.row()
        for logger in trainer.loggers:
            logger.log_metrics(row, step=engine.iteration)

    def rewound(self, engine: Engine) -> None:
        """Drop the values of later iterations: the run goes on from an earlier one."""
        self._pending, self._clock, self._clocked_at = [], time.perf_counter(), engine.iteration

    def _refuse_nan(self, trainer: pl.Trainer, engine: Engine, batch: Any) -> None:
        pending, self._pending = self._pending, []
        for iteration, names, values in pending:
            if not bool(torch.isfinite(values).all()):
                term = next(n for n, v in zip(names, values.tolist(), strict=True) if not math.isfinite(v))
                what = f"the loss term {term} is not finite at iteration {iteration}"
                end_or_go_back(trainer, engine, f"{what} ({first_broken_layer(engine, batch)})")
                return
