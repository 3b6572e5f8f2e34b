"""Files of torch.save: read safely, only tensors and plain values, with a clear sentence about any other file."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from gan_style.core.errors import UserError
from gan_style.core.memory import raise_if_out

ZIP, PICKLE = b"PK", b"\x80"
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)|class ([\w.]+)|function ([\w.]+)")


def read(path: Path, what: str) -> Any:
    """Read the content of a file, on the CPU; nothing in it can run code.

    Args:
        path: the file, of torch.save.
        what: what it should be, for the message: `a checkpoint of gan_style`.

    Raises:
        UserError: it is no such file; the sentence says what it is instead, and what to do.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"{path} cannot be opened ({error.strerror}): check its name and rights") from error
    if _has_packed_parts(path):
        raise UserError(
            f"{path} is not {what}: its parts are packed, which torch.save does not do; unpack it and save it again"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about pickles that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere in torch's reader, and rarely says why
        raise_if_out(error, f"{path} was read")
        raise UserError(f"{path} is not {what}: {_what_it_is(path, str(error))}") from error
    damaged = _damaged_part(path)
    if damaged:
        raise UserError(f"{path} is damaged ({damaged} is not what was written): copy it again, or take another file")
    return content


def _has_packed_parts(path: Path) -> bool:
    """Check whether a zip has compressed parts, which may grow a thousandfold when they are read."""
    with open(path, "rb") as file:
        if file.read(2) != ZIP:
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        return False  # torch.load reports it


def _damaged_part(path: Path) -> str | None:
    """Return the name of the first part of the zip whose checksum is wrong: torch.load does not check it."""
    with open(path, "rb") as file:
        if file.read(2) != ZIP:
            return None  # as before PyTorch 1.6, which wrote no checksums
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        return "its list of parts"


def _has_a_list_of_parts(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # raised where it should return False
        return False


def _what_it_is(path: Path, reason: str) -> str:
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return "it is empty (0 bytes); copy it again"
    if head.startswith(ZIP):
        if not _has_a_list_of_parts(path):
            return "it is cut off; copy it again, or take the checkpoint saved before it"
        return f"it {_refused(reason)}" if "weights only" in reason.lower() else _other_zip(path, reason)
    if not any(byte < 9 or 13 < byte < 32 or byte == 127 for byte in head):
        return "it is text; name another file"
    if head.startswith(PICKLE) and "weights only" in reason.lower():
        return f"it {_refused(reason)}"
    return "it is damaged, or a file of another program; copy it again or name another file"


def _other_zip(path: Path, reason: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "it is a damaged zip; copy it again"
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):  # what torch.save writes
        return f"torch cannot read it ({' '.join(reason.split())[:120]}); copy it again or name another file"
    return "it is another zip; name another file"


def _refused(reason: str) -> str:
    found = _GLOBAL.search(reason)
    named = next((group for group in found.groups() if group), "") if found else ""
    if not named:
        return "is a pickle of another form than torch.save's; save it again with torch.save(network.state_dict(), ...)"
    return (
        f"names {named.rstrip('.')}, which could run code when it is read, so it was refused unread; ask whoever made "
        "it for torch.save(network.state_dict(), ...)"
    )
