"""Disk space of the page's server: bounds on uploads and results."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

MAX_TOTAL_BYTES = 2_000_000_000  # of all files
MIN_COUNTED_BYTES = 100_000  # that a file counts as, however small, which bounds the number of files, too
MIN_AGE_SECONDS = 600.0  # of a file that may be removed: a newer one may be in use
FULL = (
    f"there is no room: the studio keeps {MAX_TOTAL_BYTES / 1e9:.0f} GB of uploads and results, of which those older "
    f"than {MIN_AGE_SECONDS / 60:.0f} minutes go first; try again later"
)


class Room:
    """Folder of temporary files, in which the oldest ones make room for new ones.

    Args:
        folder: of the temporary files.
        most: bytes of all of them.
        rest: seconds for which a new file is kept.
    """

    def __init__(self, folder: Path, most: int = MAX_TOTAL_BYTES, rest: float = MIN_AGE_SECONDS) -> None:
        self.folder, self.most, self.rest = folder, most, rest
        self._kept: frozenset[Path] = frozenset()
        self._lock = threading.Lock()

    def keep(self) -> None:
        """Exempt the present files, such as the samples: they are never removed and do not count."""
        self._kept = frozenset(self._files())

    def make(self, needed: int) -> bool:
        """Remove the oldest files until there is room for so many bytes more, and return whether there is."""
        with self._lock:
            found = []
            for path in self._files():
                with suppress(FileNotFoundError):  # Gradio removes some too
                    stat = path.lstat()
                    found.append((stat.st_mtime, max(stat.st_size, MIN_COUNTED_BYTES), path))
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
    """Return the names to remove, the oldest first, until the bounds hold.

    Args:
        sizes: in bytes, by name, the oldest first.
        number: of names that may stay.
        most: bytes that they may have in all.
    """
    left, total, found = len(sizes), sum(sizes.values()), []
    for name, size in sizes.items():
        if left <= number and total <= most:
            break
        found.append(name)
        left, total = left - 1, total - size
    return found
