"""Trainings in separate processes: started, watched and ended."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_style.core.machine import KILL, ask_to_end, kill_group, own_group

GRACE_SECONDS = 120.0  # to finish an iteration and save, before a training is killed
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def quoted(path: Path) -> str:
    """Quote a path as a value that Hydra reads back unchanged."""
    text = str(path)
    return text if re.fullmatch(r"[\w./-]+", text) else "'" + text.replace("'", "\\'") + "'"


def unquoted(text: str) -> str:
    """Return what `quoted` quoted."""
    return text[1:-1].replace("\\'", "'") if text.startswith("'") else text


class Training:
    """Process that trains into a folder, with its output in `train.out` and `train.err` there.

    Args:
        command: with all overrides but run_dir.
        folder: the run folder, absolute.
        environment: variables beside this process's own.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.resumed = (folder / "checkpoints" / "last.ckpt").is_file()
        resume = ["resume=last"] if self.resumed else []
        self._errors = folder / "train.err"
        self._said = self._errors.stat().st_size if self._errors.is_file() else 0
        self.asked_to_stop: float | None = None
        self.started = time.monotonic()
        with open(folder / "train.out", "ab") as out, open(self._errors, "ab") as err:
            # A group of its own, so that Ctrl-C reaches only the program that started it, which ends them itself.
            self._process = subprocess.Popen(
                [*command, *resume, f"run_dir={quoted(folder)}"],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                **own_group(),
            )

    def poll(self) -> int | None:
        """Return the exit status, None while it runs; kills a training that does not stop within GRACE_SECONDS."""
        status = self._process.poll()
        if status is None and self.asked_to_stop is not None and time.monotonic() - self.asked_to_stop > GRACE_SECONDS:
            self.kill()
        return status

    def stop(self) -> None:
        """Ask it to save and end."""
        if self.asked_to_stop is None and self._process.poll() is None:
            self.asked_to_stop = time.monotonic()
            ask_to_end(self._process)

    def kill(self) -> None:
        """Kill it and the processes that it started."""
        kill_group(self._process)

    def wait(self) -> int:
        while (status := self.poll()) is None:
            time.sleep(0.1)
        return status

    def last_words(self) -> str:
        """Return the last line that this process wrote to stderr, without those of earlier attempts."""
        with open(self._errors, "rb") as file:
            file.seek(self._said)
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return _COLOUR.sub("", lines[-1]).removeprefix("gan_style: ") if lines else ""


def end_orphans(folder: Path, below: str = "/trial-") -> int:
    """End trainings that outlived a killed sweep or benchmark, so that none runs twice, and return their number.

    They save first. They are found by the run_dir on their command line.
    """
    ended = 0
    deadline = time.monotonic() + GRACE_SECONDS
    while found := [pid for pid, words in _processes() if any(_is_below(word, f"{folder}{below}") for word in words)]:
        late = time.monotonic() > deadline
        for pid in found:
            try:
                if late or not ended:
                    os.kill(pid, KILL if late else signal.SIGTERM)
            except ProcessLookupError:
                continue
        ended = max(ended, len(found))
        time.sleep(0.2)
    return ended


def _is_below(word: str, start: str) -> bool:
    """Check whether a word of a command line is the run_dir of a training in a folder."""
    return word.startswith("run_dir=") and unquoted(word.removeprefix("run_dir=")).startswith(start)


def _processes() -> list[tuple[int, list[str]]]:
    """List the id and arguments of every other process; none where the system does not tell, as Windows."""
    found = []
    if Path("/proc/self/cmdline").is_file():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                except OSError:  # it ended, or is another user's
                    continue
                found.append((int(entry.name), words))
    elif shutil.which("ps"):
        listing = subprocess.run(["ps", "-axww", "-o", "pid=,args="], capture_output=True, text=True).stdout
        found = [(int(line.split()[0]), line.split()[1:]) for line in listing.splitlines() if line.strip()]
    return [(pid, words) for pid, words in found if pid != os.getpid()]
