"""Files and folders as a user names them."""

from __future__ import annotations

import os
import re
from pathlib import Path


def expanded(name: str | Path) -> Path:
    """Expand `~/x` and `~user/x`; a name that begins with ~ and names no user is itself."""
    return Path(os.path.expanduser(name))  # Path.expanduser raises where there is no such user


def absent(name: str | Path) -> str:
    """Return the path of what is not there, for a message, and what it would be without Windows' backslashes."""
    return f"{name}{slashed(name)}"


def slashed(name: str | Path) -> str:
    """Return what a path would be whose parts Windows' backslashes separate, in a clause behind it; "" without any."""
    text = str(name)
    if os.sep != "/" or "\\" not in text:
        return ""
    drive = re.match(r"([A-Za-z]):", text)
    path = text[2:].replace("\\", "/") if drive else text.replace("\\", "/")
    meant = f"/mnt/{drive[1].lower()}/{path.lstrip('/')} in WSL" if drive else path
    return f" (backslashes are no separators here: that would be {printable(meant)})"


def resolved(path: Path) -> Path:
    """Resolve links; a link that leads to itself stands for itself."""
    return Path(os.path.realpath(path))  # Path.resolve raises at such a link


def why(error: OSError) -> str:
    """Return the system's reason, or a clearer sentence where a file lies at a path that should be a folder."""
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        name = Path(error.filename)
        file = next((path for path in (name, *name.parents) if path.is_file()), name)
        return f"{printable(str(file))} is a file, and a folder is wanted there: name another place"
    return error.strerror or str(error)


def cannot_use(error: OSError, unnamed: str = "") -> str:
    """Return a sentence that the system refuses a file or folder; the caller adds what to do."""
    return f"{printable(str(error.filename or unnamed))} cannot be used ({why(error)})"


def printable(text: str) -> str:
    """Escape text for one line of a terminal: a file's name may hold line breaks and control sequences."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def write_whole(path: Path, text: str) -> None:
    """Write a text file at once or not at all: a reader never sees half of it."""
    # Not tempfile, whose files only their owner can read: what is written here is meant to be shared.
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(text.encode())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
