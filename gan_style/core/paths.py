"""Files and folders as a user names them."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(name: str | Path) -> Path:
    """`~/x` and `~user/x` as paths; a name that begins with ~ and names no user is itself."""
    return Path(os.path.expanduser(name))  # Path.expanduser raises where there is no such user


def resolved(path: Path) -> Path:
    """The path without links; a link that leads to itself stands for itself."""
    return Path(os.path.realpath(path))  # Path.resolve raises at such a link


def why(error: OSError) -> str:
    """What the system says of a path, in words that tell what to do where a file lies where a folder should."""
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        name = Path(error.filename)
        file = next((path for path in (name, *name.parents) if path.is_file()), name)
        return f"{printable(str(file))} is a file, and a folder is wanted there: name another place"
    return error.strerror or str(error)


def cannot_use(error: OSError, unnamed: str = "") -> str:
    """That the system refuses a file or folder; whoever says it adds what to do."""
    return f"{printable(str(error.filename or unnamed))} cannot be used ({why(error)})"


def printable(text: str) -> str:
    """Text for one line of a terminal: a file's name may hold line breaks and codes that move the cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def write_whole(path: Path, text: str) -> None:
    """Write a text file at once or not at all: a reader never sees half of it."""
    # Not tempfile: its files are readable by their owner only, and what is written here is made to be passed on.
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(text.encode())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
