"""Folder of a named set: its content, and its manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_style.core.errors import UserError
from gan_style.data.named.table import FOLDERS, IMAGES, NamedSet

MANIFEST = ".gan_style.json"


def missing_folders(wanted: NamedSet, root: Path) -> list[str]:
    """List the folders of the set that are missing or empty."""
    return [f for f in wanted.folders if not (root / f).is_dir() or not any((root / f).iterdir())]


def count_images(root: Path) -> dict[str, int]:
    """Count the pictures in each folder of the set."""
    return {folder: sum(_images(files) for _, _, files in os.walk(root / folder)) for folder in FOLDERS}


def listed(counts: Mapping[str, int]) -> str:
    """Format counts for a message."""
    return ", ".join(f"{folder} {count}" for folder, count in counts.items())


def read_manifest(root: Path) -> dict[str, Any]:
    """Read the folder's manifest; empty for a set that the user unpacked.

    Raises:
        UserError: it is no valid JSON.
    """
    path = root / MANIFEST
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error}): remove it, and the folder is taken as your own") from error
    return content if isinstance(content, dict) else {}


def _images(names: list[str]) -> int:
    return sum(name.lower().endswith(IMAGES) and not name.startswith(".") for name in names)
