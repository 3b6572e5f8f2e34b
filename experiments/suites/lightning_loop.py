"""`train.py`'s own loop, held at every iteration so that it can take turns with another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gan_style.core.config import build
from gan_style.training.best_rule import BestRule
from gan_style.training.callbacks.keeper import Keeper
from gan_style.training.trainer import quiet_lightning


class LightningLoop:
    """`train.py`'s own loop, held at every iteration so that it can take turns with another."""

    def __init__(self, config: dict[str, Any], folder: Path, batches: int) -> None:
        from gan_style.training import run as train_run

        config = {**config, "run_dir": str(folder), "trainer": {**config["trainer"], "max_steps": batches}}
        config["trainer"]["val_every"] = 10 * batches
        config["best"] = {"monitor": None}  # nothing is validated
        data = build(config["data"])
        data.setup()
        self.batches = [{k: v[None] for k, v in data.train_set[i].items() if k in "AB"} for i in range(4)]
        self.batches = [{d: torch.cat([b[d]] * config["data"]["batch_size"]) for d in "AB"} for b in self.batches]
        self.batches = [data.on_after_batch_transfer(batch, 0) for batch in self.batches]  # uint8 until then
        torch.manual_seed(0)
        model = build(config["model"], channels_A=3, channels_B=3)
        settings = build(config["trainer"])
        chosen = [build(node) for node in config["callbacks"].values() if node]
        engine = train_run.engine_of_run(model, settings, data)
        settings.tell(engine, data.image_size)
        kept = train_run.kept_by(BestRule(**config["best"]), settings, batches)
        keeper = Keeper(folder / "checkpoints", {"config": config, **data.describe()}, **kept)
        trainer = train_run.trainer_of(settings, chosen, [], keeper, folder)
        quiet_lightning()
        self.go, self.done, self.failed = threading.Semaphore(0), threading.Semaphore(0), None
        self.others: list[Callable[[], None]] = []
        trainer.callbacks.insert(0, hold(self))
        self.model, self.device = model, trainer.strategy.root_device
        data.val_dataloader = lambda: []

        def fit() -> None:
            try:
                trainer.fit(engine, datamodule=data)
            except Exception as error:
                self.failed = error
            self.done.release()

        self.thread = threading.Thread(target=fit, daemon=True)
        self.thread.start()
        self.done.acquire()  # it stands before its first batch
        if self.failed:
            raise self.failed

    def step(self) -> None:
        self.go.release()
        self.done.acquire()
        if self.failed:
            raise self.failed

    def run(self, other: Callable[[], None]) -> None:
        """Something else, in the loop's own thread: each thread of Python has threads of OpenMP of its own."""
        self.others.append(other)
        self.step()

    def close(self) -> None:
        while self.thread.is_alive():
            self.go.release()
            self.thread.join(0.1)


def hold(loop: LightningLoop) -> Any:
    """A callback that waits before every batch; the time between two batches is a whole iteration."""
    import pytorch_lightning as pl

    class Hold(pl.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            loop.done.release()
            loop.go.acquire()
            while loop.others:
                loop.others.pop()()
                loop.done.release()
                loop.go.acquire()

    return Hold()
