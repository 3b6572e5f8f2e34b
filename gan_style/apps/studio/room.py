"""How much the page's server keeps of what was sent to it, on the disk above all."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

MOST = 2_000_000_000  # bytes of all files together
LEAST = 100_000  # bytes that a file counts for, however small: the number of files is bounded too
REST = 600.0  # seconds for which a file is not removed, for somebody may be at work with it
FULL = (
    f"there is no room: the studio keeps {MOST / 1e9:.0f} GB of uploads and results, of which those older than "
    f"{REST / 60:.0f} minutes go first; try again later"
)


class Room:
    """Removes the oldest files where new ones need their room.

    Args:
        folder: of the temporary files.
        most: bytes of all of them together.
        rest: seconds for which a new file stays.
    """

    def __init__(self, folder: Path, most: int = MOST, rest: float = REST) -> None:
        self.folder, self.most, self.rest = folder, most, rest
        self._kept: frozenset[Path] = frozenset()
        self._lock = threading.Lock()

    def keep(self) -> None:
        """What lies there now, such as the samples, is never removed and does not count."""
        self._kept = frozenset(self._files())

    def make(self, needed: int) -> bool:
        """Whether there is room for so many bytes more, after the oldest files were removed for it where it must be."""
        with self._lock:
            found = []
            for path in self._files():
                with suppress(FileNotFoundError):  # Gradio removes some too
                    stat = path.lstat()
                    found.append((stat.st_mtime, max(stat.st_size, LEAST), path))
            total = needed + sum(size for _, size, _ in found)
            old = time.time() - self.rest
            for written, size, path in sorted(found):
                if total <= self.most or written > old:
                    break
                path.unlink(missing_ok=True)
                with suppress(OSError):  # other files are in there
                    path.parent.rmdir()
                total -= size
            return total <= self.most

    def _files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path not in self._kept and not path.is_dir()]


def oldest_above(sizes: Mapping[str, int], number: int, most: int) -> list[str]:
    """Which to let go.

    Args:
        sizes: in bytes, by name, the oldest first.
        number: that may stay.
        most: bytes that they may have together.
    """
    left, total, found = len(sizes), sum(sizes.values()), []
    for name, size in sizes.items():
        if left <= number and total <= most:
            break
        found.append(name)
        left, total = left - 1, total - size
    return found
