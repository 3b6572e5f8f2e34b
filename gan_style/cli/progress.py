"""Progress of the tiles of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import Progress
from rich.text import Text

from gan_style.core.paths import printable

if TYPE_CHECKING:
    from gan_style.inference.tiling.tiled import Watch


def watch_in(progress: Progress) -> Watch:
    """Add a bar for the tiles of a picture; a sentence about disk space is printed once."""
    task, said = progress.add_task("tiles", visible=False), set()

    def watch(done: int, total: int, sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            progress.console.print(Text(printable(f"gan_style: {sentence}")), soft_wrap=True)
        progress.update(task, completed=done, total=total, visible=done < total)

    return watch
