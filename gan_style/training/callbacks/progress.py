"""A bar on a terminal and in a notebook, plain lines in a file."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tqdm import tqdm

from gan_style.core.terminal import is_quiet, say
from gan_style.training.callbacks.losses import LogLosses
from gan_style.training.engine.engine import engine_of


class ShowProgress(ProgressBar):
    """Callback that shows iteration, images per second, time left and the main losses.

    Args:
        losses: holds the newest values.
        iterations: the last iteration of the run.
        seconds: least time between two plain lines.
    """

    def __init__(self, losses: LogLosses, iterations: int, seconds: float = 10.0) -> None:
        super().__init__()
        self.losses = losses
        self.iterations = iterations
        self.seconds = seconds
        self.console = Console()
        self._bar: Progress | None = None
        self._cell: tqdm[Any] | None = None  # the bar of a notebook, where rich's wants widgets
        self._last_line, self._processes = 0.0, 1

    def disable(self) -> None:
        """Turn the display off; Lightning calls it on every rank but the first."""
        self.iterations = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        iteration = engine_of(pl_module).iteration
        self._last_line, self._processes = time.monotonic(), trainer.world_size
        if self.iterations and self.console.is_jupyter:
            form = "{desc}: {percentage:3.0f}% {bar:20} {n_fmt}/{total_fmt}, {remaining} left{postfix}"
            self._cell = tqdm(
                total=self.iterations, initial=iteration, desc="train", file=sys.stdout, bar_format=form, ncols=160
            )
        elif self.iterations and self.console.is_terminal and not is_quiet():
            self._bar = Progress(
                TextColumn("[bold]train"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
            )
            self._task = self._bar.add_task("train", total=self.iterations, completed=iteration, note="")
            self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        iteration = engine_of(pl_module).iteration
        if self._cell is not None:
            self._cell.set_postfix_str(self._note(terms=3), refresh=False)
            self._cell.update(iteration - self._cell.n)
        elif self._bar is not None:
            self._bar.update(self._task, completed=iteration, note=self._note())
        elif self.iterations and self._line_is_due(iteration):
            self._last_line = time.monotonic()
            left = self._time_left(iteration, trainer)
            say(f"iteration {iteration}/{self.iterations}  {left}  {self._note()}", flush=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _note(self, terms: int = 6) -> str:
        if not self.losses.values:
            return ""
        named = "  ".join(f"{name} {value:.3f}" for name, value in list(self.losses.values.items())[:terms])
        speed = f"{self.losses.images_per_s:.1f} images/s"
        if self._processes > 1:
            speed += f" ({self.losses.images_per_s / self._processes:.1f} per process)"
        return f"{speed}  {self.losses.cost.peak_gigabytes:.1f} GB  {named}"

    def _line_is_due(self, iteration: int) -> bool:
        waited = time.monotonic() - self._last_line >= self.seconds
        return iteration == self.iterations or (waited and bool(self.losses.values))

    def _time_left(self, iteration: int, trainer: pl.Trainer) -> str:
        speed = self.losses.images_per_s / trainer.datamodule.images_per_iteration  # type: ignore[attr-defined]
        if not speed > 0:
            return "time left unknown"
        seconds = round((self.iterations - iteration) / speed)
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"

    def _stop(self) -> None:
        if self._cell is not None:
            self._cell.close()
            self._cell = None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
