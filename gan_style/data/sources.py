"""Sources of one domain's pictures: a folder, a pattern, a list, or shards."""

import csv
import glob
import os
from collections.abc import Iterator
from pathlib import Path

from gan_style.core.errors import UserError
from gan_style.core.paths import absent, expanded, resolved
from gan_style.data.images import is_picture, list_images, only_pictures, walked
from gan_style.data.ledger import Ledger

LISTS = (".txt", ".csv", ".tsv")
COLUMNS = ("path", "file", "filename", "image")  # headers that name the column of a list


def list_source(key: str, value: str, ledger: Ledger | None = None) -> list[Path]:
    """List the pictures that a setting names, in a fixed order.

    Args:
        key: The setting, such as `data.A`, for messages.
        value: A folder (with its sub-folders), a pattern (`photos/**/*.png`), one picture, or a list: a text file
            with a path in each line, or a CSV file with a column `path`. Paths in a list are relative to it.
        ledger: Gets an entry for each kind of file that is left out of a folder or pattern.

    Raises:
        UserError: If there is no such thing, or it names no picture.
    """
    if not value.strip():
        raise UserError(f"{key}= is empty: name a folder, a pattern or a list of pictures")
    path = expanded(value)
    if path.is_dir():
        return list_images(path, ledger)
    if path.suffix.lower() in LISTS and (path.exists() or not glob.has_magic(value)):
        return _listed(key, path)
    if path.is_file():
        if path.suffix.lower() == ".zip":
            raise UserError(f"{key}={value} is an archive: unpack it and name the folder")
        if not is_picture(path):
            raise UserError(f"{key}={value} is no picture, list or folder: name one of these")
        return [path]
    if glob.has_magic(value):
        return _matching(key, str(path), Ledger() if ledger is None else ledger)
    raise UserError(f"{key}={absent(value)} does not exist: name a folder, a pattern such as 'photos/*.jpg', or a list")


def _matching(key: str, pattern: str, ledger: Ledger) -> list[Path]:
    found = sorted(set(matches(pattern)), key=lambda path: (len(path.parts), path))
    once = {resolved(path): path for path in reversed(found) if path.is_file()}
    images = only_pictures(sorted(once.values()), ledger)
    if not images:
        what = f"{len(found)} files, but no picture among them" if found else "nothing"
        raise UserError(f"{key}={pattern} matches {what}: check the pattern, with ** for any depth of folders")
    return images


def matches(pattern: str) -> Iterator[Path]:
    """Yield what glob matches, but enter each folder below a `**` once: glob follows links in a circle 40 times."""
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from map(Path, glob.glob(pattern))
        return
    index = parts.index("**")
    before, after = os.path.join(".", *parts[:index]), os.path.join(*(parts[index + 1 :] or ("*",)))
    for root in map(Path, glob.glob(before)):
        for folder, _ in walked(root) if root.is_dir() else ():
            yield from matches(os.path.join(glob.escape(str(folder)), after))


def _listed(key: str, path: Path) -> list[Path]:
    if path.exists() and not path.is_file():  # reading a pipe may block for ever
        raise UserError(f"the list {key}={path} is no regular file: name a file of text")
    try:
        text = path.read_text(encoding="utf-8-sig")
        entries = _entries(text, path.suffix.lower())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or (str(error) if isinstance(error, csv.Error) else "no UTF-8 text")
        raise UserError(f"the list {key}={path} cannot be read ({reason}): check its name and encoding") from error
    images = []
    for number, word in entries:
        if "\0" in word:
            raise UserError(f"line {number} of {path} holds a NUL byte: it is no list of pictures, or is damaged")
        image = path.parent / expanded(word)
        if not os.path.isfile(image):  # Path.is_file raises where a name is too long
            raise UserError(
                f"line {number} of {path} names {word}, but there is no file {absent(image)}: paths are relative to "
                "the folder of the list, and a table's header names the column `path`"
            )
        images.append(image)
    if not images:
        raise UserError(f"the list {key}={path} names no picture: write one path in each line")
    return images


def _entries(text: str, suffix: str) -> list[tuple[int, str]]:
    """Return the entries of a list, each with the number of its line."""
    return _lines(text) if suffix == ".txt" else _column(text, "\t" if suffix == ".tsv" else ",")


def _lines(text: str) -> list[tuple[int, str]]:
    lines = ((number, line.strip()) for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _column(text: str, delimiter: str) -> list[tuple[int, str]]:
    """Return the column named in the header, or the first one where the first line is no header."""
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    if not rows:
        return []
    head = [cell.lower() for cell in rows[0][1]]
    column = next((head.index(name) for name in COLUMNS if name in head), None)
    if column is None:
        return [(number, row[0]) for number, row in rows]
    return [(number, row[column]) for number, row in rows[1:] if column < len(row) and row[column]]
