"""Trainings that get Ctrl-C six times within a second, each at one moment: `six_signals.py FOLDER`, a JSON line each.

The moments are in children of one process that has imported everything, which are else what `train.py` is.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_style.core import signals

ROUNDS = 6


def six(pid: int, *, again: bool = False) -> None:
    """To the whole group, as a terminal sends them; or six, and six more when they are another wish."""
    for round in range(2 * ROUNDS if again else ROUNDS):
        if round == ROUNDS:
            time.sleep(signals.BURST_SECONDS)
        try:
            os.killpg(pid, signal.SIGINT)
        except ProcessLookupError:
            return
        time.sleep(0.15)


def paused(place: Any, name: str, there: Path, count: int = 1, half: Callable[..., None] | None = None) -> None:
    """In the child: this call of a function stops for two seconds before it goes on."""
    original = getattr(place, name)
    calls = 0

    def slow(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            if half:
                half(*args)
            pause(there)
        return original(*args, **options)

    setattr(place, name, slow)


def pause(there: Path, seconds: float = 2.0) -> None:
    there.touch()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


class Slow:
    """A file whose first write takes long, deep in torch's writer."""

    def __init__(self, file: Any, there: Path) -> None:
        self.file, self.there = file, there

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: Any) -> int:
        self.file.write(data)
        if not self.there.exists():
            pause(self.there, 6.0)
        return len(data)


def prepare(moment: str, there: Path) -> None:
    import torch

    from gan_style.data.datamodule import UnpairedDataModule
    from gan_style.training import run
    from gan_style.training.callbacks import keeper
    from gan_style.training.engine.engine import Engine

    def half(content: object, file: Any) -> None:
        file.write(b"PK" + bytes(5000))

    if moment == "data":
        paused(UnpairedDataModule, "setup", there)
    elif moment == "config":
        paused(run, "write_whole", there)
    elif moment == "training":
        paused(Engine, "training_step", there, 3)
    elif moment == "saving":
        paused(torch, "save", there, 3, half)
    elif moment == "saving twice":
        save = torch.save
        torch.save = lambda content, file: save(content, Slow(file, there))
    elif moment == "validation":
        paused(keeper.Keeper, "on_validation_start", there, 2)
    elif moment == "report":
        paused(run, "write_report", there)
    elif moment == "summary":
        paused(run, "summarise", there)


def main(folder: Path) -> None:
    from gan_style.cli.train import main as train
    from gan_style.training import run  # noqa: F401 (for the children)
    from tests.faults.harness import WORDS

    words = [*WORDS, "trainer.max_steps=8", "trainer.save_every=2", "trainer.val_every=4"]
    for moment in ("data", "config", "training", "saving", "saving twice", "validation", "report", "summary"):
        there, said = folder / f"{moment}-there", folder / f"{moment}-said"
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for number in (1, 2):
                with open(f"{said}{number}", "wb", buffering=0) as file:
                    os.dup2(file.fileno(), number)
            with signals.command():
                prepare(moment, there)
                workers = 2 if moment == "training" else 0
                sys.argv = ["train.py", *words, f"data.num_workers={workers}", f"run_dir={folder / moment}"]
                train()
            sys.exit()
        while not there.exists() and os.waitpid(pid, os.WNOHANG) == (0, 0):
            time.sleep(0.01)
        six(pid, again="twice" in moment)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"moment": moment, "status": status, "said": Path(f"{said}2").read_text()}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
