"""Main loop of a benchmark: one process per training, several at a time, going on after being killed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from gan_style.apps.bench.cell import Spec
from gan_style.apps.bench.settings import LOCK, ORACLE, RESULT, ROWS, Settings
from gan_style.core.errors import Interrupted, UserError
from gan_style.core.machine import usable_cores
from gan_style.core.paths import cannot_use, write_whole
from gan_style.core.training_process import Training, end_orphans

POLL_SECONDS = 0.2
MAX_DEATHS = 3  # by signals from outside, before a training counts as failed
FAILED = "failed.json"


@dataclass
class Cell:
    """Training: its folder below the benchmark's, and its task.

    Attributes:
        spec: of its process.
        folder: with result.json when it is done, or failed.json.
        deaths: how often its process was ended from outside.
    """

    spec: Spec
    folder: Path
    deaths: int = 0

    @property
    def name(self) -> str:
        """Name for people: task, model and seed."""
        return f"{self.spec.task} {self.spec.model} seed {self.spec.seed}"

    @property
    def begun(self) -> bool:
        """True if it is done or has failed."""
        return self.done or (self.folder / FAILED).is_file()

    @property
    def done(self) -> bool:
        """True if its result is there."""
        return (self.folder / RESULT).is_file()


def cells_of(settings: Settings, folder: Path, config_dir: str | None, allow: tuple[str, ...]) -> list[Cell]:
    """List all trainings, those of the first seed before those of the second, so that a table is early whole."""
    models = {**settings.models, **({ORACLE: ()} if settings.oracle else {})}
    found = []
    for seed in range(settings.seeds):
        for task in settings.tasks:
            for model, words in models.items():
                spec = Spec(task, model, seed, tuple(words), settings.protocol, config_dir, allow)
                found.append(Cell(spec, folder / ROWS / task / model / f"seed-{seed}"))
    return found


@dataclass
class Progress:
    """Standing of a benchmark, for whoever shows it.

    Attributes:
        done, total: trainings.
        seconds_left: None before the first has ended.
        said: what has just happened.
    """

    done: int
    total: int
    seconds_left: float | None
    said: str


@dataclass
class Runner:
    """Loop that keeps up to `jobs` trainings running until every one has ended.

    Args:
        cells: all trainings, those that are done among them.
        jobs: at a time.
        tell: called after each training.
    """

    cells: list[Cell]
    jobs: int
    tell: Callable[[Progress], None]
    _running: list[tuple[Cell, Training]] = field(default_factory=list)
    _spent: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Run what is left.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; the trainings have saved, and the same command goes on.
        """
        waiting = [cell for cell in self.cells if not cell.done]
        self._say(f"{len(self.cells) - len(waiting)} of {len(self.cells)} trainings were there")
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.jobs:
                    self._start(waiting.pop(0))
                time.sleep(POLL_SECONDS)
                waiting += list(self._look())
        except KeyboardInterrupt:
            raise Interrupted("stopped; what is done is kept, and the same command goes on") from None
        finally:
            self._end_all()

    def _start(self, cell: Cell) -> None:
        command = [sys.executable, "-m", "gan_style.apps.bench.cell", cell.spec.to_json()]
        threads = str(max(1, usable_cores() // self.jobs))
        try:
            (cell.folder / FAILED).unlink(missing_ok=True)
            training = Training(command, cell.folder, {"OMP_NUM_THREADS": threads, "WANDB_MODE": "disabled"})
        except OSError as error:
            raise UserError(f"--out {cannot_use(error, str(cell.folder))}") from error
        self._running.append((cell, training))

    def _look(self) -> Iterator[Cell]:
        """Handle trainings that have ended; yield those that must go on."""
        for cell, training in list(self._running):
            status = training.poll()
            if status is None:
                continue
            self._running.remove((cell, training))
            self._spent.append(time.monotonic() - training.started)
            if status == 0 and cell.done:
                self._say(f"{cell.name}: done in {self._spent[-1]:.0f} s")
            elif (status < 0 or status == 130) and cell.deaths < MAX_DEATHS:
                cell.deaths += 1
                yield cell
            else:
                reason = training.last_words() or f"exit status {status}, and nothing on stderr"
                write_whole(cell.folder / FAILED, json.dumps({"reason": reason}) + "\n")
                self._say(f"{cell.name}: failed: {reason}")

    def _say(self, said: str) -> None:
        left = sum(not cell.begun for cell in self.cells)
        mean = sum(self._spent) / len(self._spent) if self._spent else None
        seconds = None if mean is None else mean * left / max(1, min(self.jobs, left))
        self.tell(Progress(len(self.cells) - left, len(self.cells), seconds, said))

    def _end_all(self) -> None:
        for _, training in self._running:
            training.stop()
        for _, training in self._running:
            training.wait()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a benchmark's folder inside a `with` block, and end what a killed benchmark left running there.

    Raises:
        UserError: another benchmark runs there, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK).acquire(timeout=0)
    except Timeout:
        raise UserError(f"another benchmark runs in {folder}: wait for it, or give another folder with --out") from None
    except OSError as error:
        raise UserError(f"--out {cannot_use(error, str(folder))}") from error
    with lock:
        end_orphans(folder, f"/{ROWS}/")
        yield
