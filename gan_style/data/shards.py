"""Random access to pictures inside WebDataset shards: an index says at which byte of its tar each begins.

Other WebDataset readers go through such tars from front to back. Here a picture is (tar, offset, size) instead, so that
it can be read at any time, and the stream of training items stays a function of (seed, position).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gan_style.core.errors import UserError
from gan_style.core.machine import usable_cores
from gan_style.core.sizes import Size, height_width
from gan_style.core.terminal import say
from gan_style.data.containers import HEAD_BYTES, Bounded
from gan_style.data.files import decode_image, image_size, notes_of_file
from gan_style.data.images import UNREADABLE, too_small, why_left_out
from gan_style.data.ledger import Ledger
from gan_style.data.opened import named_bytes
from gan_style.data.values import Array, ValueRange

VERSION = 2  # of the index
HASHED_FILES = 256  # of a part, that are read to recognise it
REMEDY = "copy it again, or write it again with gan-style shards"


@dataclass(frozen=True)
class Shard:
    """Tar of pictures, with its index.

    Attributes:
        path: Of the tar.
        names: Of the members that are pictures, in their order.
        entries: Offset, bytes, width and height of each, int64 [N, 4]; a width of 0 where the header cannot be read.
        ledger: What reading them as 8-bit RGB leaves out or changes, and the members that are no pictures.
    """

    path: Path
    names: list[str]
    entries: NDArray[np.int64]
    ledger: Ledger = field(default_factory=Ledger)


class ShardImages:
    """Pictures of several shards, each read when asked for.

    Args:
        shards: The tars.
        names: Of the members.
        entries: Number of the shard, offset, bytes, width and height of each, int64 [N, 5]: one array, because a
            million tuples would be copied into every loader worker.
        values: Type, range and channels.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        names: Sequence[str],
        entries: NDArray[np.int64],
        values: ValueRange | None = None,
    ) -> None:
        self.shards, self.names, self.entries = list(shards), list(names), entries
        self.values = values or ValueRange()

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each picture."""
        return [(width, height) for width, height in self.entries[:, 3:].tolist()]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int, /) -> Array:
        """Return picture number `index`, [H, W, C].

        Raises:
            UserError: If it cannot be read; shard and member are named.
        """
        path = Path(self.name(index))
        with named_bytes(path, self.data(index)) as data:
            return decode_image(data, self.values)

    def name(self, index: int, /) -> str:
        """Return the path of the member, as if its shard were a folder."""
        return f"{self.shards[self.entries[index, 0]]}/{self.names[index]}"

    def data(self, index: int) -> bytes:
        """Read the picture's file, as it was before it was packed."""
        number, offset, size = self.entries[index, :3].tolist()
        path = self.shards[number]
        try:
            with open(path, "rb") as file:  # each time: forked workers would share the position of an open file
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise _unopened(path, error) from error
        if len(data) < size:
            raise UserError(f"{self.name(index)} is cut off, because its shard is: {REMEDY}")
        return data

    def select(self, chosen: NDArray[np.int64]) -> Self:
        """Return the pictures of these numbers."""
        return type(self)(self.shards, [self.names[i] for i in chosen], self.entries[chosen], self.values)

    def first(self, limit: int | None) -> Self:
        """Return the first `limit` pictures; all of them for None."""
        return type(self)(self.shards, self.names[:limit], self.entries[:limit], self.values)

    def content(self) -> str:
        """Hash all names and file sizes, and the content of some files, in their order.

        Reading all files of a large set would take hours: HASHED_FILES of them are read, evenly spread.
        """
        chosen = np.unique(np.linspace(0, len(self) - 1, min(HASHED_FILES, len(self))).astype(np.int64)).tolist()
        total = hashlib.blake2b(self.entries[:, 2].tobytes() + "\n".join(self.names).encode("utf-8", "surrogateescape"))
        with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
            for data in pool.map(self.data, chosen):
                total.update(hashlib.blake2b(data, digest_size=16).digest())
        return total.hexdigest()[:32]

    def state(self) -> list[Any]:
        """Return plain values that change when the shards do."""
        shards = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in self.shards]
        return [*shards, hashlib.blake2b(self.entries.tobytes(), digest_size=8).hexdigest()]


def open_shards(
    what: str,
    paths: Sequence[Path],
    on_error: Literal["stop", "skip"],
    min_size: Size | None,
    notes: list[str],
    ledger: Ledger,
    values: ValueRange | None = None,
) -> ShardImages:
    """Open the usable pictures of these shards, judged by their headers, with a note under the name `what`.

    The first picture is decoded, so that a wrong type or number of channels is reported at once; decoding all of a
    large set would take hours.

    Raises:
        UserError: If a shard cannot be read or holds no picture, or, unless such are to be skipped, a header is damaged
            or a picture smaller than `min_size`.
    """
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        shards = [shard for shard in pool.map(read_index, paths) if shard]
        if len(shards) < len(paths):
            from pytorch_lightning.utilities.rank_zero import rank_zero_only  # takes seconds

            rank_zero_only(say)(f"{what}: {len(paths) - len(shards)} shards without an index are read, once")
            shards = list(pool.map(open_shard, paths))
    for shard in shards:
        ledger.merge(shard.ledger)
    numbered = [np.insert(shard.entries, 0, number, axis=1) for number, shard in enumerate(shards)]
    names = [name for shard in shards for name in shard.names]
    images = ShardImages(paths, names, np.concatenate(numbered), values)
    wanted = height_width(min_size or 1)[::-1]
    smaller = (images.entries[:, 3:] < wanted).any(axis=1)  # a width of 0 is an unreadable header
    bad = np.flatnonzero(smaller)
    note = f"{what}: {len(names) - len(bad)} pictures in {len(shards)} shards, their headers checked"
    if len(bad):
        first = _what_is_wrong(images, int(bad[0]), min_size)
        if on_error == "stop" or len(bad) == len(names):
            remedy = "" if len(bad) == len(names) else "; data.on_error=skip leaves such pictures out"
            raise UserError(f"{first} (unusable: {len(bad)} of {len(names)} pictures{remedy}).")
        for index in bad.tolist():
            ledger.add(images.name(index), [UNREADABLE])
        images = images.select(np.flatnonzero(~smaller))
    notes.append(note)
    images[0]
    return images


def _what_is_wrong(images: ShardImages, index: int, min_size: Size | None) -> str:
    path = Path(images.name(index))
    try:
        with named_bytes(path, images.data(index)) as data:
            size = image_size(data)
    except UserError as error:
        return str(error).rstrip(".")
    return too_small(path, size, min_size or 1).rstrip(".")


def open_shard(path: Path) -> Shard:
    """Open a shard by its index, which is made where it is missing or does not fit the tar.

    Raises:
        UserError: If the tar cannot be read, is cut off, or holds no picture.
    """
    shard = read_index(path)
    if shard is None:
        shard = scan(path)
        with suppress(OSError):  # a folder that cannot be written: the next run scans again
            write_index(shard)
    return shard


def index_path(path: Path) -> Path:
    """Return the path of the index of a tar."""
    return path.with_name(f"{path.name}.index.json")


def read_index(path: Path) -> Shard | None:
    """Read the index of a shard; None where it is missing, broken, older than the tar or of another size."""
    try:
        index, tar = index_path(path), path.stat()
        if not index.is_file():
            return None
        content = json.loads(index.read_text(encoding="utf-8"))
        if index.stat().st_mtime_ns < tar.st_mtime_ns or (content["version"], content["size"]) != (
            VERSION,
            tar.st_size,
        ):
            return None
        entries = np.array(content["places"], np.int64).reshape(-1, 4)
        names = [str(name) for name in content["names"]]
        ledger = Ledger.of_json(content["ledger"])
        inside = (entries[:, :2] >= 0).all() and (entries[:, :2].sum(axis=1) <= tar.st_size).all()
    except (OSError, ValueError, TypeError, LookupError, OverflowError):
        return None
    return Shard(path, names, entries, ledger) if inside and 0 < len(names) == len(entries) else None


def write_index(shard: Shard) -> None:
    """Write the index beside the tar, complete or not at all."""
    path = index_path(shard.path)
    content: dict[str, Any] = {"version": VERSION, "size": shard.path.stat().st_size, "names": shard.names}
    content["ledger"] = shard.ledger.as_json()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(json.dumps(content | {"places": shard.entries.tolist()}) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def scan(path: Path) -> Shard:
    """Read a shard's index from the headers of its tar and of its pictures.

    Raises:
        UserError: If the tar cannot be read, is cut off, or holds no picture or two of one sample.
    """
    try:
        with open(path, "rb") as file:
            members, ledger = _members(path, file), Ledger()
            images = [m for m in members if _is_image(path, m, file, ledger)]
            entries = [(m.offset_data, m.size, *_size(path, m, file, ledger)) for m in images]
    except OSError as error:
        raise _unopened(path, error) from error
    if not images:
        found = f", such as {members[0].name}" if members else ""
        raise UserError(f"the shard {path} holds no picture ({len(members)} members{found}): name other shards")
    keys: dict[str, str] = {}
    for name in (member.name for member in images):
        folder, _, last = name.rpartition("/")
        other = keys.setdefault(f"{folder}/{last.split('.')[0]}", name)  # as WebDataset tells samples apart
        if other is not name:
            raise UserError(
                f"the shard {path} holds two pictures of one sample, {other} and {name}: write shards with one picture "
                "in each sample"
            )
    return Shard(path, [m.name for m in images], np.array(entries, np.int64), ledger)


def _members(path: Path, file: IO[bytes]) -> list[tarfile.TarInfo]:
    """List all members of a complete tar."""
    bounded: Any = Bounded(file)
    try:
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            members = tar.getmembers()
            file.seek(tar.offset)
            # tarfile takes a damaged header for the end, which is a block of zeros
            whole = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except (
        tarfile.TarError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:  # the last of nested headers
        file.seek(0)
        if file.read(2) == b"\x1f\x8b":
            raise UserError(
                f"the shard {path} is compressed: unpack it with gunzip, for it is read in place"
            ) from error
        raise UserError(f"the shard {path} is cut off or no tar ({error}): {REMEDY}") from error
    if not whole:
        raise UserError(f"the shard {path} is cut off or damaged after {len(members)} members: {REMEDY}")
    return members


def _is_image(path: Path, member: tarfile.TarInfo, file: IO[bytes], ledger: Ledger) -> bool:
    """Check by name, else by content, whether a member is a picture; others get an entry."""
    name = PurePosixPath(member.name)
    if not member.isreg() or member.issparse() or not name.name or name.name.startswith("."):
        return False
    file.seek(member.offset_data)
    note = why_left_out(name.suffix.lower(), file.read(min(member.size, HEAD_BYTES)))
    if note is not None:
        ledger.add(path / member.name, [note])
    return note is None


def _size(path: Path, member: tarfile.TarInfo, file: IO[bytes], ledger: Ledger) -> tuple[int, int]:
    """Return width and height; (0, 0) for a picture that cannot be read, whose error is raised when it is used."""
    file.seek(member.offset_data)
    try:
        with named_bytes(path / member.name, file.read(member.size)) as data:
            size = image_size(data)
            ledger.add(path / member.name, notes_of_file(data))
            return size
    except UserError:
        return 0, 0


def _unopened(path: Path, error: OSError) -> UserError:
    return UserError(f"the shard {path} cannot be opened ({error.strerror}): check its name, rights and disk")
