"""Files through a model: read and written in threads beside it, pictures of one size together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from gan_style.core.errors import UserError
from gan_style.data.profiles import icc_profile
from gan_style.data.values import Array

HELD = 4  # pictures that wait for others of their size, as a multiple of the batch


class Read(NamedTuple):
    """A picture that was read, or why it could not be."""

    path: Path
    target: Path
    array: Array | None
    profile: bytes | None = None
    problem: str = ""


def read_ahead(pairs: Iterable[tuple[Path, Path]], read: Callable[[Path], Array], ahead: int) -> Iterator[Read]:
    """Each picture in turn, while a thread reads the next ones."""

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


def by_size(pictures: Iterable[Read], batch: int) -> Iterator[list[Read]]:
    """Up to `batch` pictures of one size; those that wait too long for others go with what there is."""
    groups: dict[tuple[int, ...], list[Read]] = {}
    for picture in pictures:
        if picture.array is None:
            yield [picture]
            continue
        shape = picture.array.shape
        groups.setdefault(shape, []).append(picture)
        if len(groups[shape]) == batch:
            yield groups.pop(shape)
        elif sum(map(len, groups.values())) >= HELD * batch:
            yield groups.pop(next(iter(groups)))
    yield from groups.values()


class Writer:
    """Writes in a thread; its errors come out of `write` and at the end."""

    def __init__(self, ahead: int = 2) -> None:
        self._pool, self._ahead, self._waiting = ThreadPoolExecutor(1), ahead, deque[Future[None]]()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            while self._waiting and kind is None:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown()  # what was translated is also written when another picture failed

    def write(self, save: Callable[[], None]) -> None:
        self._waiting.append(self._pool.submit(save))
        if len(self._waiting) > self._ahead:
            self._waiting.popleft().result()
