"""Progress of a command: bars on a terminal, plain lines on stderr elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress, ProgressColumn, Task, TaskID

from gan_style.core.terminal import is_quiet, warn

FIRST_SECONDS, MOST_SECONDS = 5.0, 60.0  # between two lines: each time twice as long, up to a minute


class Lines(Progress):
    """Progress as lines on stderr, for whatever is no terminal; a command of a few seconds prints none.

    A task may have a field `said`, the whole text of its line; else that is made of its numbers.

    Args:
        sizes: whether numbers are of bytes.
    """

    def __init__(self, sizes: bool = False) -> None:
        super().__init__(console=Console(stderr=True), disable=True)
        self._sizes = sizes
        self._wait = FIRST_SECONDS
        self._next = time.monotonic() + self._wait

    def update(self, task_id: TaskID, **values: Any) -> None:
        super().update(task_id, **values)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        now = time.monotonic()
        task = next((one for one in self.tasks if one.id == task_id), None)
        if task is None or not task.visible or not task.completed or now < self._next:
            return
        self._wait = min(2 * self._wait, MOST_SECONDS)
        self._next = now + self._wait
        warn(task.fields.get("said") or self._line(task))

    def _line(self, task: Task) -> str:
        done, total = (
            None if x is None else decimal(int(x)) if self._sizes else int(x) for x in (task.completed, task.total)
        )
        numbers = f"{done}" if total is None else f"{done} of {total}"
        left = task.time_remaining
        end = "" if total is None or left is None or task.finished else f", {duration(left)} left"
        return ": ".join(part for part in (task.description, numbers) if part) + end


def progress_bars(*columns: ProgressColumn, sizes: bool = False) -> Progress:
    """Make progress bars for a terminal, plain lines for anything else, and nothing where a command is quiet.

    Args:
        columns: of a bar; none are rich's own.
        sizes: as of `Lines`.
    """
    console = Console(stderr=True)
    if is_quiet() or console.is_terminal:
        return Progress(*columns, console=console, transient=True, disable=is_quiet())
    return Lines(sizes)


def duration(seconds: float) -> str:
    """Format seconds as a person says them: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
