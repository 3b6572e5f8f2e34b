"""Cache of features, by a hash of everything that determines them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_style.core.paths import expanded
from gan_style.core.terminal import warn


def default_folder() -> Path:
    """Return `$XDG_CACHE_HOME/gan_style/features`, or the same below `~/.cache`."""
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "gan_style" / "features"


class FeatureCache:
    """Features in files named by the hash of a key.

    Processes may share a folder: a file is written under another name and renamed, and all who write
    the same key write the same features. A file that cannot be read as the features of its key counts as not there.

    Args:
        folder: made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: Mapping[str, Any]) -> Path:
        """Return the path of the features of a key."""
        text = json.dumps(key, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.pt"

    def get(self, key: Mapping[str, Any], count: int) -> Tensor | None:
        """Return features [count, D] of a key, or None where there are none that can be used."""
        try:
            found = torch.load(self.path(key), map_location="cpu", weights_only=True)
        except Exception:  # not there, or damaged: torch's reader can fail anywhere
            return None
        whole = isinstance(found, Tensor) and found.dim() == 2 and len(found) == count and found.is_floating_point()
        return found if whole and bool(found.isfinite().all()) else None

    def put(self, key: Mapping[str, Any], features: Tensor) -> None:
        """Keep the features of a key; if the folder cannot be written, say so on stderr and go on."""
        path = self.path(key)
        temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                torch.save(features, file)
            os.replace(temporary, path)
        except (OSError, RuntimeError) as error:  # torch's writer hides a full disk behind a RuntimeError
            with contextlib.suppress(OSError):
                temporary.unlink()
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:80]
            warn(f"gan_style: features cannot be kept in {self.folder} ({reason}): make it writable, or add --no-cache")
