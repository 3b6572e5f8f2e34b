"""Cost of training beside computation: the share of time waited for data, and the peak of memory."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from gan_style.core.machine import peak_memory
from gan_style.core.terminal import say
from gan_style.data.datamodule import UnpairedDataModule

MAX_WAIT_SHARE = 0.05  # of the time, before a note is printed
MIN_ITERATIONS_FOR_NOTE = 20  # by then the loaders have started


class Cost(pl.Callback):
    """Meter of waiting time and memory. It must be the last callback: time from it to the next batch is waiting.

    Validation does not count; loading in this process (`data.num_workers=0`) does.
    """

    def __init__(self) -> None:
        self._waited, self._since, self._ended = 0.0, 0.0, 0.0
        self._iterations, self._advice = 0, ""
        self.peak_gigabytes = 0.0  # of the newest row, for the progress bar

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._advice = advice(trainer)
        self._since = self._ended = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        self._waited += time.perf_counter() - self._ended

    def on_train_batch_end(self, *_: Any) -> None:
        self._iterations += 1
        self._ended = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._paused = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pause = time.perf_counter() - self._paused
        self._since += pause
        self._ended += pause

    def row(self) -> dict[str, float]:
        """Return the share of time waited for data since the last call, and the peak of memory in GB so far."""
        now = time.perf_counter()
        share = min(1.0, self._waited / max(now - self._since, 1e-9))
        if share > MAX_WAIT_SHARE and self._iterations > MIN_ITERATIONS_FOR_NOTE and self._advice:
            text = f"note: training waits for its data for {share:.0%} of the time: {self._advice}"
            rank_zero_only(say)(text, flush=True)
            self._advice = ""  # once
        self._waited, self._since, self.peak_gigabytes = 0.0, now, peak_gigabytes()
        return {"time/data_wait": round(share, 4), "memory/peak_GB": round(self.peak_gigabytes, 3)}


def advice(trainer: pl.Trainer) -> str:
    """Return what to do about waiting; empty where no core is left for another loader process."""
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, UnpairedDataModule) or data.spare_cores <= data.workers:
        return ""
    return f"raise data.num_workers, which is {data.workers}, up to {data.spare_cores}"


def peak_gigabytes() -> float:
    """Return the most memory that this process held, in GB: a GPU's where there is one, else the host's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return peak_memory() / 1e9
