"""Writer of WebDataset shards, `gan-style shards NAME_OR_DIR OUT`: each picture file unchanged."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed, epoch_order
from gan_style.core.terminal import is_quiet, say
from gan_style.data.files import image_size, notes_of_file
from gan_style.data.images import suffix_of
from gan_style.data.layout import find_layout, find_set
from gan_style.data.ledger import Ledger
from gan_style.data.opened import named_bytes
from gan_style.data.shards import Shard, index_path, write_index

MEGABYTE = 10**6
UNFINISHED = ".unfinished"  # folder of the shards until all are written; a set that holds it is refused

Numbered = list[tuple[int, Path]]


def shards(name: str, out: Path, *, size: float, shuffle: int | None) -> None:
    """Write the shards of a set and print a summary.

    Args:
        name: A folder whose layout is found, or the name of one below data/.
        out: A folder that is empty or not there yet.
        size: MB of pictures in a shard; a larger picture has one to itself.
        shuffle: Seed of the order within each part; None keeps that of the files.

    Raises:
        UserError: If there is no such set, a picture's header is damaged, or out cannot be written.
    """
    if not size > 0:
        raise UserError(f"--size {size:g} is no size: give the MB of a shard, such as 256")
    layout = find_layout(find_set(name))
    for note in layout.notes:
        say(note)
    columns = TextColumn("packing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, transient=True, disable=is_quiet()) as bar:
        task = bar.add_task("", total=sum(map(len, layout.parts.values())))
        written = write_shards(
            layout.parts, out, int(size * MEGABYTE), shuffle, lambda: bar.advance(task), layout.ledger
        )
    for sentence in layout.ledger.sentences():
        say(sentence)
    for part, count in written.items():
        say(f"{part}: {len(layout.parts[part])} pictures in {count} shard{'s' * (count > 1)}")
    say(f"train with: data=shards data.root={out}")


def write_shards(
    parts: Mapping[str, Sequence[Path]],
    out: Path,
    size: int,
    shuffle: int | None = None,
    progress: Callable[[], None] = lambda: None,
    ledger: Ledger | None = None,
) -> dict[str, int]:
    """Pack the files of each part, unchanged, into tars `trainA-000000.tar` and so on, with their indices.

    They appear in `out` when all of them are complete. A member is named by its number in the part, so that files of
    the same name in several folders stay apart.

    Args:
        parts: Files by the name of their part.
        out: A folder that is empty or not there yet.
        size: Bytes of pictures in a shard.
        shuffle: Seed of the order; None keeps it.
        progress: Called after each picture.
        ledger: Gets entries for what reading the pictures does beside.

    Returns:
        How many shards each part has.

    Raises:
        UserError: If a picture's header is damaged, or out is not empty or cannot be written.
    """
    folder, ledger = _claimed(out), Ledger() if ledger is None else ledger
    written: dict[str, list[Path]] = {}
    try:
        for part, files in parts.items():
            order = range(len(files)) if shuffle is None else epoch_order(derive_seed(shuffle, part), 0, len(files))
            groups = _groups([files[i] for i in order], size)
            written[part] = [
                _write(folder / f"{part}-{number:06d}.tar", group, progress, ledger)
                for number, group in enumerate(groups)
            ]
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unwritable(out, error) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:  # a process that is stopped here leaves `folder`, so that the set is refused
        for path in (path for paths in written.values() for path in paths):
            os.replace(path, out / path.name)
            os.replace(index_path(path), index_path(out / path.name))
        folder.rmdir()
    except OSError as error:
        raise _unwritable(out, error) from error
    return {part: len(paths) for part, paths in written.items()}


def _claimed(out: Path) -> Path:
    """Create the folder to write in, which also keeps a second process away."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        found = sorted(path.name for path in out.iterdir())
        if UNFINISHED in found:
            raise UserError(
                f"{out} holds {UNFINISHED}, of a gan-style shards that was stopped or still runs: remove {out} if it "
                "was stopped, or name another folder"
            )
        if found:
            raise UserError(f"{out} is not empty (it holds {found[0]}): name a new folder for the shards")
        (out / UNFINISHED).mkdir()
    except OSError as error:
        raise _unwritable(out, error) from error
    return out / UNFINISHED


def _groups(files: Sequence[Path], size: int) -> Iterator[Numbered]:
    """Yield the files of each shard, with their numbers in the part."""
    group: Numbered = []
    total = 0
    for number, path in enumerate(files):
        own = path.stat().st_size if path.is_file() else 0  # reading it raises the error about what is no file
        total += own
        if group and total > size:
            yield group
            group, total = [], own
        group.append((number, path))
    yield group


def _write(path: Path, files: Numbered, progress: Callable[[], None], ledger: Ledger) -> Path:
    names, entries, own = [], [], Ledger()
    with open(path, "xb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for number, source in files:
                with named_bytes(source) as data:
                    size = image_size(data)
                    own.add(source, notes_of_file(data))
                    suffix = suffix_of(source, data)
                member = tarfile.TarInfo(f"{number:06d}{suffix}")
                member.size = len(data)
                names.append(member.name)
                entries.append((tar.offset + tarfile.BLOCKSIZE, len(data), *size))
                tar.addfile(member, BytesIO(data))
                progress()
        file.flush()
        os.fsync(file.fileno())  # else a power cut after the renaming may leave a damaged file under its final name
    ledger.merge(own)
    write_index(Shard(path, names, np.array(entries, np.int64), own))
    return path


def _unwritable(out: Path, error: OSError) -> UserError:
    return UserError(f"shards cannot be written to {out} ({error.strerror}): check the disk and its rights")
