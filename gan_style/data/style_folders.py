"""Folders of contents and styles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gan_style.core.errors import UserError
from gan_style.core.paths import absent, printable
from gan_style.data.images import list_images, only_pictures
from gan_style.data.ledger import Ledger

MAX_NAMES_SHOWN = 8  # in a message


def find_folders(given: Mapping[str, Path]) -> dict[str, Path]:
    """Return the folders `content`, `styles` and `test_content` of a command; empty where none is given.

    Args:
        given: "root", "content", "styles" and "test_content", as far as they were given.

    Raises:
        UserError: If one of content and styles is missing, or both are given twice.
    """
    folders = dict(given)
    root = folders.pop("root", None)
    needed = ("content", "styles")
    if root is None:
        missing = [key for key in needed if key not in folders]
        if folders and missing:
            raise UserError(
                f"data.{next(iter(folders))} is given without data.{missing[0]}: "
                "give data.content and data.styles, or neither for the drawn ones"
            )
        return folders
    twice = [key for key in needed if key in folders]
    if twice:
        raise UserError(f"data.root={root} already says where content and styles are: leave out data.{twice[0]} or it")
    return _inside(root) | folders


def _inside(root: Path) -> dict[str, Path]:
    if not root.is_dir():
        raise UserError(f"there is no folder {absent(root)}: name one that holds content and styles with data.root=DIR")
    # where both `style` and `styles` exist the later one counts
    names = {"content": "content", "style": "styles", "styles": "styles", "test_content": "test_content"}
    folders = {key: root / name for name, key in names.items() if (root / name).is_dir()}
    missing = [key for key in ("content", "styles") if key not in folders]
    if missing:
        found = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
        hint = "data=folders reads that" if "trainA" in found else "it wants content and styles (data/README.md)"
        holds = ", ".join(found[:MAX_NAMES_SHOWN]) or "no folder"
        raise UserError(f"{root} has no folder {' and '.join(missing)}; it holds {holds}: {hint}")
    return folders


def find_styles(folder: Path, ledger: Ledger | None = None) -> dict[str, list[Path]]:
    """List the styles of a folder, sorted by name, and their pictures: a sub-folder is a style, and so is a picture.

    Args:
        folder: The folder.
        ledger: Gets an entry for each kind of file that is left out.

    Raises:
        UserError: If the folder is missing, holds no style, a sub-folder without a picture or a name twice.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder of styles {absent(folder)}: name another with data.styles=DIR")
    found: dict[str, list[Path]] = {}
    ledger = Ledger() if ledger is None else ledger
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not (path.is_dir() or only_pictures([path], ledger)):
            continue
        name = printable(path.name if path.is_dir() else path.stem)  # it is shown, typed and kept in checkpoints
        if name in found:
            raise UserError(f"two styles in {folder} are named {name}: rename {path.name}")
        found[name] = list_images(path, ledger) if path.is_dir() else [path]
    if not found:
        raise UserError(f"{folder} holds no style: it wants a sub-folder of pictures, or one picture, per style")
    return dict(sorted(found.items()))
