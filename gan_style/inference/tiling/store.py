"""Feature maps on disk, read and written by windows, and the folder for them.

Files are read and written explicitly, because the pages of a memory map count as memory of the process.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.paths import resolved
from gan_style.inference.tiling.steps import Window

FLOAT32_BYTES = 4
IN_MEMORY = ("tmpfs", "ramfs")  # file systems


class Stored:
    """Feature map [1, C, H, W] in float32 in a file without a name, which is removed however the process ends.

    It is stored channels-last, so that a row of a window is contiguous in the file.

    Args:
        folder: of the file.
        shape: C, H, W.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        self.folder, self.shape = folder, shape
        with self._explained():
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0, prefix="gan-style-")  # noqa: SIM115

    def read(self, window: Window) -> Tensor:
        """Read a window, [1, C, h, w], channels-last in memory."""
        array = np.empty((window.height, window.width, self.shape[0]), np.float32)
        with self._explained():
            for position, part in self._segments(window, array):
                self._file.seek(position)
                while len(part):
                    count = self._file.readinto(part)
                    if not count:
                        raise OSError("the file ends too early")
                    part = part[count:]
        return torch.from_numpy(array).permute(2, 0, 1)[None]

    def write(self, tile: Tensor, window: Window) -> None:
        """Write a window, [1, C, h, w] of any type and device."""
        array = tile.detach().to("cpu", torch.float32)[0].permute(1, 2, 0).contiguous().numpy()
        with self._explained():
            for position, part in self._segments(window, array):
                self._file.seek(position)
                while len(part):
                    part = part[self._file.write(part) :]

    def close(self) -> None:
        self._file.close()

    def _segments(self, window: Window, array: np.ndarray) -> Iterator[tuple[int, memoryview]]:
        """Yield positions in the file, each with its part of the array: rows, or all at once where they are whole."""
        channels, _, width = self.shape
        row, whole = width * channels * FLOAT32_BYTES, window.width == width
        first = window.rows[0] * row + window.columns[0] * channels * FLOAT32_BYTES
        for i, part in enumerate(array[None] if whole else array):
            yield first + i * row, memoryview(part).cast("B")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"a temporary file in {self.folder} failed ({error.strerror or error}): make room there, or set "
                "TMPDIR to another folder"
            ) from error


def scratch_folder(needed: int, what: str) -> Path:
    """Find a folder on a disk with so many bytes free: TMPDIR where that is set, else /var/tmp and the like.

    Args:
        needed: bytes.
        what: their purpose, for the message.

    Raises:
        UserError: there is none.
    """
    named = os.environ.get("TMPDIR")
    folders = [Path(named)] if named else [Path("/var/tmp"), Path(tempfile.gettempdir()), Path.cwd()]
    seen = []
    for folder in folders:
        if not os.access(folder, os.W_OK):
            seen.append(f"{folder} cannot be written to")
        elif _file_system(folder) in IN_MEMORY:
            seen.append(f"{folder} lies in memory")
        elif (free := shutil.disk_usage(folder).free) < needed:
            seen.append(f"{folder} has {free / 1e9:.1f}")
        else:
            return folder
    raise UserError(
        f"{what} needs {needed / 1e9:.1f} GB of disk for a while, but {', '.join(dict.fromkeys(seen))}: make room, "
        "set TMPDIR to a folder on another disk, or take --tile-mode fast, which needs none"
    )


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder; "" where the system does not say."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    where = resolved(folder)
    mounts = [(Path(words[1]), words[2]) for words in map(str.split, lines) if len(words) > 2]
    inside = [(len(mount.parts), kind) for mount, kind in mounts if mount in (where, *where.parents)]
    return max(inside, key=lambda entry: entry[0])[1] if inside else ""
