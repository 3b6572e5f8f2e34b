"""Progress bars on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.text import Text

from gan_style.core.paths import printable
from gan_style.core.terminal import is_quiet

if TYPE_CHECKING:
    from gan_style.inference.tiling.tiled import Watch


def progress_bars(*columns: ProgressColumn) -> Progress:
    """Make progress bars of such columns for a terminal; none in a file, where each would leave an empty line."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=is_quiet() or not console.is_terminal)


def watch_in(progress: Progress) -> Watch:
    """Add a bar for the tiles of a picture; a sentence about disk space is printed once."""
    task, said = progress.add_task("tiles", visible=False), set()

    def watch(done: int, total: int, sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            progress.console.print(Text(printable(f"gan_style: {sentence}")), soft_wrap=True)
        progress.update(task, completed=done, total=total, visible=done < total)

    return watch
