"""Safe unpacking of zips: checked before anything is written, and only the pictures of a set are extracted."""

from __future__ import annotations

import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

from gan_style.core.errors import UserError
from gan_style.core.terminal import say
from gan_style.data.named.table import FOLDERS, IMAGES

MAX_ENTRIES = 200_000
# A zip of pictures unpacks to about its own size; these bounds leave room for pictures stored raw.
MAX_UNPACKED_BYTES = 4 * 1024**3
MAX_UNPACKED_RATIO = 20  # to the size of the zip, where that is more
# Deflate's own limit is 1032, which only constant bytes come near.
MAX_ENTRY_RATIO, MIN_BYTES_FOR_RATIO = 1000, 1_000_000
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 1000  # limits of file systems
CHUNK = 1 << 16  # bytes
MAX_SHOWN = 80  # characters in a message
# Errors of zipfile and zlib at a damaged zip: a bad CRC, a cut stream, an impossible offset or name.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)


def unpack(archive: BinaryIO, source: str, target: Path, say: Callable[[str], None] = say) -> dict[str, int]:
    """Write the pictures in trainA, trainB, testA and testB of a zip below a new folder.

    Args:
        archive: the zip, open.
        source: its name in messages.
        target: the folder to create.
        say: prints a line for the user.

    Returns: how many pictures each folder has.

    Raises:
        UserError: the zip is damaged, or has an entry that is not safe.
    """
    try:
        with ZipFile(archive) as opened:
            chosen = choose(opened, source, archive.seek(0, 2))
            check_space(target.parent, sum(info.file_size for info in chosen.values()))
            say(f"unpacking {len(chosen)} pictures")
            target.mkdir(parents=True)
            for path, info in chosen.items():
                _write(opened, info, target / path, source)
    except UserError:  # a ValueError too, but one that already says what is wrong
        raise
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:MAX_SHOWN] or type(error).__name__
        raise UserError(f"{source} is damaged or no zip ({reason}): get it again") from error
    counts = dict.fromkeys(FOLDERS, 0)
    for path in chosen:
        counts[path.parts[0]] += 1
    return counts


def choose(archive: ZipFile, source: str, size: int) -> dict[PurePosixPath, ZipInfo]:
    """Choose the entries to unpack, by their path below the set; refuses the whole zip for any unsafe one.

    Raises:
        UserError: names the entry and what is wrong with it.
    """
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise UserError(f"{source} is refused: it has {len(entries)} entries, more than {MAX_ENTRIES}; get another zip")
    chosen: dict[PurePosixPath, ZipInfo] = {}
    names: dict[str, str] = {}
    tops: set[str] = set()
    for info in entries:
        parts = _parts(info, source)
        # trainA/x.jpg, or below one folder: monet2photo/trainA/x.jpg
        depth = next((i for i, part in enumerate(parts[:2]) if part in FOLDERS), None)
        if depth is None or len(parts) < depth + 2 or info.is_dir():
            continue
        path = PurePosixPath(*parts[depth:])
        if path.suffix.lower() not in IMAGES or any(part.startswith(".") for part in parts):
            continue
        _check_content(info, source)
        # On macOS and Windows these are one name, so that one picture would silently overwrite the other.
        same = unicodedata.normalize("NFC", "/".join(parts)).casefold()
        if same in names:
            other = names[same][:MAX_SHOWN]
            raise _refused(source, info, f"has the same name as {other!r}, but for upper and lower case")
        names[same] = info.orig_filename
        tops.add("/".join(parts[:depth]))
        chosen[path] = info
    for same in names:
        above = next((str(folder) for folder in PurePosixPath(same).parents if str(folder) in names), None)
        if above:
            raise UserError(
                f"{source} is refused: its entry {names[same][:MAX_SHOWN]!r} lies in {names[above][:MAX_SHOWN]!r}, "
                "which is a picture; get another zip"
            )
    if len(tops) > 1:
        found = ", ".join(sorted(top or "its top" for top in tops)[:4])
        raise UserError(f"{source} is refused: it holds several sets (in {found}), and one is wanted; get another zip")
    total = sum(info.file_size for info in chosen.values())
    if total > max(MAX_UNPACKED_BYTES, MAX_UNPACKED_RATIO * size):
        raise UserError(
            f"{source} is refused: {size / 1e6:.1f} MB would unpack to {total / 1e6:.1f} MB, which no set of pictures "
            "does; get another zip"
        )
    return chosen


def check_space(folder: Path, needed: int) -> None:
    """Raise a UserError if the disk of that folder has less space than needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder} has {free / 1e6:.0f} MB free, but {needed / 1e6:.0f} MB are needed: free some space, or name a "
            "folder on another disk with data.root=DIR (--root DIR)"
        )


def _parts(info: ZipInfo, source: str) -> list[str]:
    """Split the path of an entry, and raise a UserError unless it stays below the target."""
    name = info.orig_filename  # `filename` is already cut at a NUL
    parts = [part for part in name.split("/") if part not in ("", ".")]
    wrong = None
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        wrong = "is an absolute path"
    elif "\\" in name:
        wrong = "has a backslash in its name"
    elif any(ord(letter) < 32 for letter in name):
        wrong = "has a control character in its name"
    elif len(name.encode()) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        wrong = "has a name that is too long"
    elif ".." in parts:
        wrong = "leads out of its folder"
    elif stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        wrong = "is a link or a device"
    if wrong:
        raise _refused(source, info, wrong)
    return parts


def _check_content(info: ZipInfo, source: str) -> None:
    if info.flag_bits & 0x1:
        raise _refused(source, info, "is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(source, info, "is packed by an unusual method")
    if info.file_size > MIN_BYTES_FOR_RATIO and info.file_size > MAX_ENTRY_RATIO * info.compress_size:
        raise _refused(source, info, f"would unpack {info.compress_size} bytes to {info.file_size}")


def _refused(source: str, info: ZipInfo, wrong: str) -> UserError:
    return UserError(f"{source} is refused: its entry {info.orig_filename[:MAX_SHOWN]!r} {wrong}; get another zip")


def _write(archive: ZipFile, info: ZipInfo, path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(info) as packed, open(path, "xb") as file:
        while block := packed.read(CHUNK):
            written += len(block)
            if written > info.file_size:  # zipfile stops there itself; this does not rely on it
                break
            file.write(block)
    if written != info.file_size:
        raise _refused(source, info, f"says that it has {info.file_size} bytes, but has {written}")
