"""Two domains in folders on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from gan_style.data.datamodule import Splits, UnpairedDataModule
from gan_style.data.download import fetch
from gan_style.data.images import list_images
from gan_style.data.unpaired import FolderPictures, checked
from gan_style.errors import UserError


class FoldersDataModule(UnpairedDataModule):
    """CycleGAN's layout: `trainA trainB testA testB` under one root (or `valA valB` to look at).

    Args:
        root: the folder that holds them.
        on_error: "stop" before the first iteration at an unreadable picture, or "skip" it and say so.
        set: a set of `named_sets.NAMED_SETS`, fetched to `root` where it is not there yet.
        url: a mirror of the set's zip.
        archive: the set's zip at hand, instead of a download.
        sha256: of the set's zip, where it is not the one of the table.
        name_A, name_B: what the domains are called.
        **common: of `UnpairedDataModule`.
    """

    def __init__(
        self,
        root: str,
        *,
        on_error: Literal["stop", "skip"] = "stop",
        set: str | None = None,
        url: str | None = None,
        archive: str | None = None,
        sha256: str | None = None,
        name_A: str = "A",
        name_B: str = "B",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not root:
            raise UserError("data.root= is empty: name the folder that holds trainA and trainB")
        given = [f"data.{key}" for key, value in (("url", url), ("archive", archive), ("sha256", sha256)) if value]
        if given and not set:
            raise UserError(
                f"{given[0]} is for a named set: choose one, such as data=monet2photo, or give data.set=NAME"
            )
        self.root = Path(root).expanduser()
        self.on_error = on_error
        self.set, self.url, self.archive, self.sha256 = set, url, archive, sha256
        self.names = {"A": name_A, "B": name_B}  # type: ignore[misc]

    def read(self) -> Splits:
        if self.set:
            fetch(self.set, self.root, url=self.url, archive=self.archive, sha256=self.sha256)
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
            raise UserError(f"there is no folder {self.root}, or name another with data.root=DIR")
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
