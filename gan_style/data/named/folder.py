"""The folder of a named set: what it holds, and what it says of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_style.core.errors import UserError
from gan_style.data.named.table import FOLDERS, PICTURES, NamedSet

MANIFEST = ".gan_style.json"


def missing_folders(wanted: NamedSet, root: Path) -> list[str]:
    """Folders of the set that are not there or empty."""
    return [f for f in wanted.folders if not (root / f).is_dir() or not any((root / f).iterdir())]


def count_pictures(root: Path) -> dict[str, int]:
    """Pictures in each folder of the set, as far as they are there."""
    return {folder: sum(_pictures(files) for _, _, files in os.walk(root / folder)) for folder in FOLDERS}


def listed(counts: Mapping[str, int]) -> str:
    """For people to read."""
    return ", ".join(f"{folder} {count}" for folder, count in counts.items())


def read_manifest(root: Path) -> dict[str, Any]:
    """What the folder says of itself; empty for one that the user unpacked.

    Raises:
        UserError: somebody changed it.
    """
    path = root / MANIFEST
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error}): remove it, and the folder is taken as your own") from error
    return content if isinstance(content, dict) else {}


def _pictures(names: list[str]) -> int:
    return sum(name.lower().endswith(PICTURES) and not name.startswith(".") for name in names)
