"""A named set of seventeen pictures, its zip, and what must be true after every fetch."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data.named.download import fetch
from gan_style.data.named.folder import missing_folders, read_manifest
from gan_style.data.named.table import FOLDERS, NamedSet, named_set

COUNTS = {"trainA": 5, "trainB": 7, "testA": 2, "testB": 3}


def pixels(seed: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (40, 44, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


PNG = pixels(0)


def zipped(entries: dict[Any, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def entries(top: str = "tinyset/", counts: dict[str, int] = COUNTS) -> dict[Any, bytes]:
    """What the zips of the real sets hold: the four folders, below one that has more."""
    images = {f"{top}{folder}/{i}.png": pixels(i) for folder, count in counts.items() for i in range(count)}
    more = {f"{top}val/1.png": b"x", f"{top}trainA/.DS_Store": b"x", f"{top}trainA/Thumbs.db": b"x", "readme.txt": b"x"}
    return {f"{top}trainA/": b""} | images | more


ZIP = zipped(entries())
OTHER = zipped(entries(counts={**COUNTS, "trainA": 6}))
HASH, OTHER_HASH = (hashlib.sha256(content).hexdigest() for content in (ZIP, OTHER))
TINY = NamedSet(
    "tinyset", len(ZIP), HASH, COUNTS, ("noise", "rest"), "noise", "public domain", "Nobody 2026, On Nothing"
)


def assert_whole(root: Path, counts: dict[str, int] = COUNTS) -> None:
    found = {folder: len(list((root / folder).iterdir())) for folder in FOLDERS}
    assert found == counts
    assert {path.name for path in root.iterdir()} == {*FOLDERS, ".gan_style.json"}
    assert (root / "testA/1.png").read_bytes() == pixels(1)
    assert_nothing_beside(root, root.name)


def assert_nothing_beside(root: Path, *allowed: str) -> None:
    beside = {path.name for path in root.parent.iterdir()} if root.parent.exists() else set()
    assert beside <= {".tinyset.lock", *allowed}


def failing(root: Path, **options: Any) -> str:
    """The message of a fetch that must fail, and leave nothing."""
    with pytest.raises(UserError) as caught:
        fetch("tinyset", root, **options)
    assert not root.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def is_whole(name: str, root: Path) -> bool:
    """Whether a folder holds that set: the pictures of each of its folders, and no word that it is another."""
    return not missing_folders(named_set(name), root) and read_manifest(root).get("name", name) == name
