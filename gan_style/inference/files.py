"""Picture files of a command: their names, read ahead and written behind by threads, in batches of one size."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gan_style.core.errors import UserError
from gan_style.core.paths import absent
from gan_style.data.files import Picture, whole
from gan_style.data.images import SUFFIXES, list_images
from gan_style.data.ledger import FURTHER_PICTURES, NO_DATA_KEPT, Ledger, Note
from gan_style.data.opened import named_bytes
from gan_style.data.raw import Carried, with_no_data
from gan_style.data.saving import check_output, holding, holds, kept
from gan_style.data.values import Array, ValueRange
from gan_style.inference.animation import FEWER_COLOURS, Animation, animation

MAX_WAITING_BATCHES = 4  # pictures that wait for others of their size, in batches


def inputs_and_outputs(source: Path, target: Path, ledger: Ledger) -> list[tuple[Path, Path]]:
    """List the pictures to read, each with the path to write; files that are left out get entries in the ledger."""
    if source.is_dir():
        if target.suffix.lower() in SUFFIXES and not target.is_dir():
            raise UserError(f"{source} is a folder, so the output must be one too, not {target}")
        return [(path, target / path.relative_to(source)) for path in list_images(source, ledger)]
    if not source.is_file():
        raise UserError(f"there is no file or folder {absent(source)}")
    inside = target / source.name if target.is_dir() or not target.suffix else target
    if inside == target:  # named by the caller, else `renamed` finds a format
        check_output(inside)
    return [(source, inside)]


def renamed(pairs: list[tuple[Path, Path]], written: ValueRange) -> list[tuple[Path, Path]]:
    """Replace suffixes that cannot hold the outputs; outputs that would then collide keep their old suffix as well."""
    outputs = [holding(result, written.dtype, written.channels) for _, result in pairs]
    counts = Counter(outputs)
    return [
        (path, result.with_name(result.name + new.suffix) if counts[new] > 1 and new != result else new)
        for (path, result), new in zip(pairs, outputs, strict=True)
    ]


class Read(NamedTuple):
    """Picture that was read, or the reason why it could not be."""

    path: Path
    target: Path
    picture: Picture | None
    problem: str = ""
    animation: Animation | None = None

    @property
    def array(self) -> Array | None:
        """Its numbers, [H, W, C]."""
        return None if self.picture is None else self.picture.array


def read_ahead(pairs: Iterable[tuple[Path, Path]], values: ValueRange | None, ahead: int) -> Iterator[Read]:
    """Yield each picture in turn, while a thread reads the next ones.

    Args:
        pairs: a file and its target each.
        values: type, range and channels that they are read with; None is 8-bit RGB.
        ahead: how many wait at most.
    """

    plain = values is None or values.plain

    def one(path: Path, target: Path) -> Read:
        try:
            with named_bytes(path) as data:
                picture = whole(data, values)
                moving = animation(data, target) if FURTHER_PICTURES in picture.notes and plain else None
                return Read(path, target, picture, animation=moving)
        except UserError as error:
            return Read(path, target, None, str(error))

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


def result_of(image: Array, one: Read) -> tuple[Array, Carried, list[Note]]:
    """Bring over to a translation what belongs to its picture beside its pixels, as far as the file can hold it.

    Args:
        image: The translation, [H, W, C].
        one: The picture that it is of, and the file to write.

    Returns:
        The translation with places without data marked, what is written with it, and notes about what is not.
    """
    assert one.picture is not None
    notes, carried = list(one.picture.notes), one.picture.carried
    suffix, missing = one.target.suffix.lower(), one.picture.missing
    if image.shape[:2] != one.picture.array.shape[:2]:
        carried = replace(carried, tags=())  # its georeference is of the old size
        notes += [Note("georeference left out, because the size changed")] if one.picture.carried.tags else []
    if missing is None:
        carried = carried if image.dtype.kind == "f" else replace(carried, no_data=None)
    elif image.dtype.kind == "f":
        number = carried.no_data or "nan"
        image, carried = with_no_data(image, missing, float(number)), replace(carried, no_data=number)
        notes.append(NO_DATA_KEPT)
    elif holds(suffix, str(image.dtype), image.shape[2] + 1):
        image, carried = with_no_data(image, missing), replace(carried, no_data=None)
        notes.append(Note("places without data, transparent in the result"))
    else:
        notes.append(Note(f"places without data, which {suffix} does not keep", "write .png or .tif"))
    notes += [FEWER_COLOURS] if suffix == ".gif" else []
    fitting, lost = kept(carried, suffix, str(image.dtype), image.shape[2])
    return image, fitting, notes + lost


def notes_of_animation(one: Read) -> list[Note]:
    """Return what is left out or changed when all frames of a picture are translated."""
    assert one.picture is not None
    notes = [note for note in one.picture.notes if note != FURTHER_PICTURES]
    notes += [Note(f"{name} metadata, not carried over") for name in one.picture.carried.metadata]
    return notes + ([FEWER_COLOURS] if one.target.suffix.lower() == ".gif" else [])


def by_size(images: Iterable[Read], batch: int) -> Iterator[list[Read]]:
    """Yield groups of up to `batch` pictures of one size; smaller ones when too many wait for others."""
    groups: dict[tuple[int, ...], list[Read]] = {}
    for image in images:
        if image.array is None or image.animation:
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
