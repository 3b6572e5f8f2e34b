"""Threads that read and write picture files beside a model, and batches of pictures of one size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from gan_style.core.errors import UserError
from gan_style.data.profiles import icc_profile
from gan_style.data.values import Array

MAX_WAITING_BATCHES = 4  # pictures that wait for others of their size, in batches


class Read(NamedTuple):
    """Picture that was read, or the reason why it could not be."""

    path: Path
    target: Path
    array: Array | None
    profile: bytes | None = None
    problem: str = ""


def read_ahead(pairs: Iterable[tuple[Path, Path]], read: Callable[[Path], Array], ahead: int) -> Iterator[Read]:
    """Yield each picture in turn, while a thread reads the next ones."""

    def one(path: Path, target: Path) -> Read:
        try:
            array = read(path)
        except UserError as error:
            return Read(path, target, None, problem=str(error))
        return Read(path, target, array, icc_profile(path, array.shape[2]))

    waiting: deque[Future[Read]] = deque()
    pool = ThreadPoolExecutor(1)
    try:
        for path, target in pairs:
            waiting.append(pool.submit(one, path, target))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def by_size(images: Iterable[Read], batch: int) -> Iterator[list[Read]]:
    """Yield groups of up to `batch` pictures of one size; smaller ones when too many wait for others."""
    groups: dict[tuple[int, ...], list[Read]] = {}
    for image in images:
        if image.array is None:
            yield [image]
            continue
        shape = image.array.shape
        groups.setdefault(shape, []).append(image)
        if len(groups[shape]) == batch:
            yield groups.pop(shape)
        elif sum(map(len, groups.values())) >= MAX_WAITING_BATCHES * batch:
            yield groups.pop(next(iter(groups)))
    yield from groups.values()


class Writer:
    """Thread that writes files; its errors are raised by `write` and at the end of the `with` block."""

    def __init__(self, ahead: int = 2) -> None:
        self._pool, self._ahead, self._waiting = ThreadPoolExecutor(1), ahead, deque[Future[None]]()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            while self._waiting and kind is None:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown()  # finishes what was submitted, also after an error

    def write(self, save: Callable[[], None]) -> None:
        self._waiting.append(self._pool.submit(save))
        if len(self._waiting) > self._ahead:
            self._waiting.popleft().result()
