"""Fitted pictures in memory that all workers and ranks of a machine share.

The first process that needs a picture decodes and fits it; all others find it there. The cache is one file per domain
in the memory file system, so that nothing is copied between processes. Its pages are reserved when it is created, so
that a lack of memory shows at the start and not in the middle of a run.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gan_style.core.errors import UserError
from gan_style.core.machine import physical_memory, require_unused, reserve, share
from gan_style.data.image_sets import content_of
from gan_style.data.transforms import TrainTransform
from gan_style.data.unpaired import StoredImages
from gan_style.data.values import Array, ValueRange

PREFIX = "gan_style-cache-"
TOKEN = "GAN_STYLE_CACHE_TOKEN"  # environment variable that the processes of one run inherit from the first
MAX_MEMORY_SHARE = 0.5  # of the free memory, for `auto`
MAX_FOLDER_SHARE = 0.8  # of the free space of the memory file system
GIGABYTE = 10**9
HEADER_BYTES = 8  # hold the number of slots

CacheSize = Literal["auto", "off"] | float


class CachedImages:
    """Pictures whose first use fills a slot in shared memory; those without a slot are read each time.

    Args:
        images: The pictures on disk.
        shapes: Height and width of each after `fit`.
        fit: The part of the transform that is not random; it must not change a picture that is fitted already.
        budget: Bytes at most.
        key: Part of the cache's name beside the pictures, such as the sizes of the fit.
    """

    def __init__(
        self,
        images: StoredImages,
        shapes: Sequence[tuple[int, int]],
        fit: Callable[[Array], Array],
        budget: int,
        key: str,
    ) -> None:
        self.images, self.fit = images, fit
        self.shapes = [(height, width, images.values.channels) for height, width in shapes]
        self.dtype = np.dtype(images.values.dtype)
        ends = np.cumsum([_slot_bytes(int(np.prod(shape)), images.values.dtype) for shape in self.shapes])
        self.starts = [0, *ends.tolist()]
        count = int(np.searchsorted(HEADER_BYTES + np.arange(1, len(ends) + 1) + ends, budget, side="right"))
        self.path = memory_folder() / f"{PREFIX}{_token()}-{_digest(images, self.shapes, key)}"
        self._size = HEADER_BYTES + count + self.starts[count]
        self._memory: mmap.mmap | None = attach(self.path, count, self._size)
        self.count = int.from_bytes(self._memory[:HEADER_BYTES], "little")
        weakref.finalize(self, _forget, self.path, os.getpid())

    @property
    def nbytes(self) -> int:
        """Size of the shared memory, in bytes."""
        return HEADER_BYTES + self.count + self.starts[self.count]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int, /) -> Array:
        """Return picture number `index`, fitted."""
        if not 0 <= index < self.count:
            return self.fit(self.images[index])
        if self._memory is None:
            self._memory = attach(self.path, self.count, self._size)
        memory = self._memory
        flag, start = HEADER_BYTES + index, HEADER_BYTES + self.count + self.starts[index]
        shape = self.shapes[index]
        slot = np.frombuffer(memory, self.dtype, int(np.prod(shape)), start).reshape(shape)
        if memory[flag]:
            slot.flags.writeable = False
            return slot
        image = self.fit(self.images[index])
        if image.shape != shape:  # the file was replaced since it was checked
            return image
        slot[:] = image
        memory[flag] = 1  # last, so that other processes see the picture only when it is complete
        return image

    def name(self, index: int, /) -> str:
        return self.images.name(index)

    def content(self) -> str | None:
        """Return a hash of the content of the files."""
        return content_of(self.images)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_memory": None}


def share_out(
    images: Mapping[str, StoredImages], transform: TrainTransform, budget: CacheSize
) -> dict[str, CachedImages]:
    """Give each domain as much memory as it needs, or its share of what there is.

    Args:
        images: Of each domain; one whose sizes are not known gets nothing.
        transform: The transform whose fitted pictures are kept.
        budget: GB, "auto" for half of the free memory, or "off".

    Raises:
        UserError: If the budget is larger than the free space of the memory file system.
    """
    shapes = {d: [transform.fitted_size(h, w) for w, h in p.sizes] for d, p in images.items() if p.sizes}
    wanted = {d: bytes_wanted(s, images[d].values) for d, s in shapes.items()}
    total = sum(wanted.values())
    sweep()
    if budget == "off" or total == 0:
        return {}
    free = int(MAX_FOLDER_SHARE * shutil.disk_usage(memory_folder()).free)
    if budget == "auto":
        limit = min(free, int(MAX_MEMORY_SHARE * available_memory()))
    else:
        limit = int(float(budget) * GIGABYTE)
        if min(limit, total) > free:
            raise UserError(
                f"data.cache={budget:g} GB is more than {memory_folder()} can give ({free / GIGABYTE:.1f} GB): set "
                "data.cache=auto or off, or give the container more shared memory (docker run --shm-size)"
            )
    share = min(1.0, limit / total)

    key = f"{transform.preprocess} {transform.load_size} {transform.image_size}"
    return {d: CachedImages(images[d], shapes[d], transform.fit, int(size * share), key) for d, size in wanted.items()}


def bytes_wanted(shapes: Sequence[tuple[int, int]], values: ValueRange) -> int:
    """Return the bytes that a cache of all these pictures takes."""
    return HEADER_BYTES + sum(
        1 + _slot_bytes(height * width * values.channels, values.dtype) for height, width in shapes
    )


def _slot_bytes(numbers: int, dtype: str) -> int:
    return -(-numbers * np.dtype(dtype).itemsize // 8) * 8  # so that every slot is aligned


def available_memory() -> int:
    """Return the bytes that may be taken without swapping, within the limit of a container."""
    found = [_meminfo()]
    with suppress(OSError, ValueError):
        root = Path("/sys/fs/cgroup")
        most, taken = (int((root / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
        found.append(most - taken)
    return max(0, min(found))


def _meminfo() -> int:
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return physical_memory() // 2


def memory_folder() -> Path:
    """Return a folder whose files live in memory; on systems other than Linux the folder for temporary files."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


def sweep() -> None:
    """Remove files that killed runs left: those that no process holds."""
    for path in memory_folder().glob(f"{PREFIX}*"):
        with suppress(OSError), open(path, "rb") as file:
            require_unused(file.fileno())
            path.unlink()


def _token() -> str:
    """Return a token that is the same for all processes of a run on this machine."""
    if TOKEN not in os.environ:
        launched = [os.environ.get(name) for name in ("TORCHELASTIC_RUN_ID", "MASTER_PORT", "SLURM_JOB_ID")]
        name = "-".join(part for part in launched if part) or secrets.token_hex(6)
        os.environ[TOKEN] = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
    return os.environ[TOKEN]


def _digest(images: StoredImages, shapes: Sequence[Any], key: str) -> str:
    content = json.dumps([images.state(), list(shapes), images.values.describe(), key])
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def attach(path: Path, count: int, size: int) -> mmap.mmap:
    """Map the shared memory of that name, which is created where there is none.

    The first bytes are the number of slots, then one byte per slot says whether it is filled. The file is open, and so
    locked, as long as the memory is mapped: by this lock `sweep` knows that it is in use.

    Raises:
        UserError: If the memory cannot be reserved.
    """
    while True:
        try:
            with open(path, "r+b") as file:
                share(file.fileno())
                if os.fstat(file.fileno()).st_nlink:  # else `sweep` of another process removed it meanwhile
                    return mmap.mmap(file.fileno(), 0)  # keeps the file open, and with it the lock
        except FileNotFoundError:
            sweep()
            _make(path, count, size)


def _make(path: Path, count: int, size: int) -> None:
    """Reserve memory under a temporary name, then rename it, unless another process was faster."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "wb", opener=_open_private) as file:
            share(file.fileno())
            reserve(file.fileno(), size)
            file.write(count.to_bytes(HEADER_BYTES, "little"))
            file.flush()
            with suppress(FileExistsError):
                os.link(temporary, path)
    except OSError as error:
        raise UserError(
            f"{size / GIGABYTE:.1f} GB of shared memory cannot be had in {path.parent} ({error.strerror}): "
            "set data.cache=off, or to fewer GB"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # readable by this user only: the pictures may be private


def _forget(path: Path, creator: int) -> None:
    """Remove the name, in the process that made it; the memory is freed with its last user."""
    if os.getpid() == creator:
        with suppress(OSError):
            path.unlink()
