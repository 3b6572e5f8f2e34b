"""What a fault is held against: the run that nobody disturbed, and what a resumed run must have kept."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_style.checkpoints import checkpoint
from tests.conftest import HARD, SMALL, SMALL_RESNET, differences
from tests.faults.children import Child, quiet_end, start, until
from tests.test_resume import rows, state

ITERATIONS = 24
WORDS = (*SMALL, *SMALL_RESNET, *HARD, "trainer=cpu", "~callbacks.set_scores", "~callbacks.cycle_scores")
OFTEN = ("trainer.save_every=2", "trainer.val_every=6")  # the later word wins
END = f"trainer.max_steps={ITERATIONS}"


@dataclass
class Bench:
    """A folder for runs, the words of every training, and the undisturbed run, which is trained once.

    Attributes:
        folder: for everything.
        words: of the command, without data of another kind.
        seed: of the moments at which something happens.
    """

    folder: Path
    words: tuple[str, ...] = (*WORDS, *OFTEN)
    seed: int = 0
    _whole: dict[tuple[str, ...], Path] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def new(self) -> Path:
        """A folder for one run; it does not exist yet."""
        self._count += 1
        return self.folder / f"run-{self._count:03d}"

    def whole(self, words: tuple[str, ...] = ()) -> Path:
        """The undisturbed run of these words."""
        if words not in self._whole:
            folder = self.new()
            with quiet_end(start(folder, (*self.words, *words, END))) as child:
                assert child.wait() == 0, child.text()
            self._whole[words] = folder
        return self._whole[words]

    def begin(
        self, folder: Path, *words: str, prepare: Callable[[], object] | None = None, said: Path | None = None
    ) -> Child:
        """Start a training into a folder."""
        return start(folder, (*self.words, *words, END), prepare, said)

    def go_on(self, folder: Path, *words: str) -> Child:
        """Go on with a run to its end, as a user does: from the newest checkpoint, or anew where there is none."""
        there = any((folder / "checkpoints" / name).is_file() for name in ("last.ckpt", "previous.ckpt"))
        child = self.begin(folder, *words, *(["resume=last"] if there else []))
        with quiet_end(child):
            assert child.wait() == 0, child.text()
        return child

    def lost(self, folder: Path, words: tuple[str, ...] = ()) -> list[str]:
        """Where a finished run differs from the undisturbed one: weights, optimisers, pools, averages, rows."""
        whole = self.whole(words)
        a, b = ({k: v for k, v in state(run).items() if k != "wandb_id"} for run in (whole, folder))
        found = differences(a, b)
        found += [] if rows(whole) == rows(folder) else ["rows of metrics.csv"]
        left = [path.name for path in (folder / "checkpoints").iterdir() if path.name.startswith(".")]
        return found + [f"left {name}" for name in left if int(name.split(".")[1]) == os.getpid()]


def iterations_of(folder: Path) -> int:
    """How many rows a run has written."""
    path = folder / "metrics.csv"
    return max(0, path.read_bytes().count(b"\n") - 1) if path.is_file() else 0


def when_at(folder: Path, iteration: int, child: Child) -> None:
    """Wait until a run has written so many rows, or has ended."""
    until(lambda: iterations_of(folder) >= iteration or child.ended(), child=child)


def readable(folder: Path) -> bool:
    """Whether every checkpoint that a run has under its name is whole."""
    for path in (folder / "checkpoints").glob("[!.]*.ckpt"):
        checkpoint.load(path)
    return True


def images(folder: Path, count: int = 6) -> tuple[str, ...]:
    """Two small domains on disk, and the words that train on them."""
    for number, part in enumerate(("trainA", "trainB", "testA", "testB")):
        (folder / part).mkdir(parents=True)
        for i in range(count):
            noise = np.random.default_rng([number, i]).integers(0, 256, (36, 36, 3), np.uint8)
            Image.fromarray(noise).save(folder / part / f"{i}.png")
    return ("data=folders", f"data.root={folder}", "data.image_size=32", "data.load_size=32", "data.val_count=2")


def joined(words: Sequence[Any]) -> str:
    """For a cell of a table."""
    return ", ".join(str(word) for word in words)
