"""Trainings as children of a process that has imported everything: each starts in no time and can be killed."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gan_style.cli.train import refused
from gan_style.core.errors import Interrupted, TrainingFailed, UserError
from tests.conftest import composed

LONGEST = 120.0  # seconds that anything is waited for
STATUS = {UserError: 2, OSError: 2, TrainingFailed: 1, Interrupted: 130}
Prepare = Callable[[], object]


@dataclass
class Child:
    """A training in a process of its own.

    Attributes:
        pid: of the process, which leads a group.
        said: what it prints, both streams.
    """

    pid: int
    said: Path
    status: int | None = None

    def ended(self) -> bool:
        """Whether it has ended; then `status` is its exit status, or minus the signal that ended it."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait(self, seconds: float = LONGEST) -> int:
        """Its exit status.

        Raises:
            TimeoutError: it goes on; then it is killed.
        """
        until(self.ended, seconds, self)
        assert self.status is not None
        return self.status

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the training alone."""
        if not self.ended():
            os.kill(self.pid, number)

    def text(self) -> str:
        """What it has said."""
        return self.said.read_text(errors="replace")


def until(true: Callable[[], bool], seconds: float = LONGEST, child: Child | None = None, pause: float = 0.002) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it does not come; the child is killed.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            if child is not None:
                child.kill()
            raise TimeoutError(f"nothing came in {seconds} s; it said: {child.text()[-500:] if child else ''}")
        time.sleep(pause)


def start(folder: Path, words: tuple[str, ...], prepare: Prepare | None = None, said: Path | None = None) -> Child:
    """Train into a folder in a forked process.

    Args:
        folder: of the run.
        words: of the command.
        prepare: called in the child before it trains.
        said: where what it prints goes; default: beside the folder.
    """
    said = said or folder.with_name(f"{folder.name}-said.txt")
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return Child(pid, said)
    status = 3
    try:
        os.setsid()
        with open(said, "ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        status = _train((*words, f"run_dir={folder}"), prepare)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _train(words: tuple[str, ...], prepare: Prepare | None) -> int:
    from gan_style.core.signals import listening
    from gan_style.training.run import train

    try:
        with listening():
            if prepare:
                prepare()
            train(composed(*words))
    except tuple(STATUS) as error:
        said = refused(error) if isinstance(error, OSError) else str(error)
        print(f"gan_style: {said}", file=sys.stderr)
        return next(status for kind, status in STATUS.items() if isinstance(error, kind))
    return 0


@contextmanager
def quiet_end(child: Child) -> Iterator[Child]:
    """Leave no child behind, nor its workers."""
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)
