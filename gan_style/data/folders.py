"""Two domains in folders on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from gan_style.data.datamodule import Splits, UnpairedDataModule
from gan_style.data.images import list_images
from gan_style.data.unpaired import FolderPictures, checked
from gan_style.errors import UserError


class FoldersDataModule(UnpairedDataModule):
    """CycleGAN's layout: `trainA trainB testA testB` under one root (or `valA valB` to look at).

    Args:
        root: the folder that holds them.
        on_error: "stop" before the first iteration at an unreadable picture, or "skip" it and say so.
        url: where a named set can be had; used in messages.
        **common: of `UnpairedDataModule`.
    """

    def __init__(
        self, root: str, *, on_error: Literal["stop", "skip"] = "stop", url: str | None = None, **common: Any
    ) -> None:
        super().__init__(**common)
        if not root:
            raise UserError("data.root= is empty: name the folder that holds trainA and trainB")
        self.root = Path(root).expanduser()
        self.on_error = on_error
        self.url = url

    def read(self) -> Splits:
        self._check_layout()
        notes: list[str] = []
        train_A, train_B = self._open("trainA", notes), self._open("trainB", notes)
        look = "val" if self._has("valA", "valB") else "test"
        if self._has(f"{look}A", f"{look}B"):
            test_A, test_B = self._open(f"{look}A", notes), self._open(f"{look}B", notes)
        else:
            notes.append(f"{self.root} has no testA and testB: the grids show training pictures")
            test_A, test_B = train_A, train_B
        return Splits(train_A, train_B, test_A, test_B, notes=notes)

    def _has(self, *names: str) -> bool:
        return all((self.root / name).is_dir() for name in names)

    def _check_layout(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"data.root={self.root} is a file: name the folder that holds trainA and trainB")
        if not self.root.is_dir():
            get = f": download {self.url} and unpack it there" if self.url else ""
            raise UserError(f"there is no folder {self.root}{get}, or name another with data.root=DIR")
        missing = [name for name in ("trainA", "trainB") if not self._has(name)]
        if not missing:
            return
        found = sorted(p.name for p in self.root.iterdir() if p.is_dir() and not p.name.startswith("."))
        below = [p.name for p in sorted(self.root.iterdir()) if (p / "trainA").is_dir()]
        hint = (
            f"did you mean data.root={self.root / below[0]}?"
            if below
            else ("it wants trainA and trainB, and testA and testB to look at (data/README.md)")
        )
        raise UserError(
            f"{self.root} has no folder {' and '.join(missing)}; it holds {', '.join(found[:8]) or 'no folder'}: {hint}"
        )

    def _open(self, name: str, notes: list[str]) -> FolderPictures:
        smallest = self.smallest_picture if name.startswith("train") else None
        return FolderPictures(checked(name, list_images(self.root / name), self.on_error, smallest, notes))
