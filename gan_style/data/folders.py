"""Two domains in files on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from gan_style.data.datamodule import Splits, UnpairedDataModule
from gan_style.data.layout import Layout, find_layout, given_layout
from gan_style.data.named.download import fetch
from gan_style.data.unpaired import FolderPictures, open_pictures
from gan_style.data.values import DType, ValueRange
from gan_style.errors import UserError
from gan_style.types import Count, Share

PerDomain = dict[Literal["A", "B"], Any]


class FoldersDataModule(UnpairedDataModule):
    """Any two sets of pictures: a folder whose layout is found, or what `A` and `B` name.

    Args:
        root: the folder; see `find_layout`.
        A, B: instead of root, the training pictures: a folder, a pattern, or a list (`gan_style.data.sources`).
        test_A, test_B: likewise, to look at.
        split: share of A and of B that is held out to look at, where no test pictures are given.
        dtype: of the files: "uint8", "uint16" or "float32". This key and the next three take one value, or one per
            domain: `{A: uint16, B: uint8}`.
        low, high: the values that become black and white; the type's limits unless given.
        channels: of each picture.
        on_error: "stop" before the first iteration at an unreadable picture, or "skip" it and say so.
        set: a set of `named.table.NAMED_SETS`, fetched to `root` where it is not there yet.
        url: a mirror of the set's zip.
        archive: the set's zip at hand, instead of a download.
        sha256: of the set's zip, where it is not the one of the table.
        name_A, name_B: what the domains are called.
        **common: of `UnpairedDataModule`.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        A: str | None = None,
        B: str | None = None,
        test_A: str | None = None,
        test_B: str | None = None,
        split: Share = 0.1,
        dtype: DType | dict[Literal["A", "B"], DType] = "uint8",
        low: float | dict[Literal["A", "B"], float] | None = None,
        high: float | dict[Literal["A", "B"], float] | None = None,
        channels: Count | dict[Literal["A", "B"], Count] = 3,
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
        of_a_set = [f"data.{key}" for key, value in (("url", url), ("archive", archive), ("sha256", sha256)) if value]
        if of_a_set and not set:
            raise UserError(
                f"{of_a_set[0]} is for a named set: choose one, such as data=monet2photo, or give data.set=NAME"
            )
        self.given = {k: v for k, v in {"A": A, "B": B, "test_A": test_A, "test_B": test_B}.items() if v is not None}
        if root is None and not self.given:
            raise UserError("no pictures are named: give data.root=DIR, or data.A=DIR data.B=DIR")
        if root is not None and self.given:
            raise UserError(f"data.root={root} and data.{next(iter(self.given))} both name pictures: leave one out")
        if root == "":
            raise UserError("data.root= is empty: name the folder that holds trainA and trainB")
        self.root = None if root is None else Path(root).expanduser()
        self.split = split
        self.values = {
            domain: ValueRange.of(*(_of(domain, setting) for setting in (dtype, low, high, channels)))
            for domain in ("A", "B")
        }
        self.on_error = on_error
        self.set, self.url, self.archive, self.sha256 = set, url, archive, sha256
        self.names = {"A": name_A, "B": name_B}

    def read(self) -> Splits:
        if self.set and self.root:
            say = rank_zero_only(print)
            fetch(self.set, self.root, url=self.url, archive=self.archive, sha256=self.sha256, say=say)
        layout = self.layout()
        notes = list(layout.notes)
        opened = {part: self._open(part, layout, notes) for part in layout.parts}
        test_A, test_B = (opened.get(f"test{domain}", opened[f"train{domain}"]) for domain in "AB")
        return Splits(opened["trainA"], opened["trainB"], test_A, test_B, notes=notes)

    def layout(self) -> Layout:
        """Which files there are."""
        return given_layout(self.given, self.split) if self.root is None else find_layout(self.root, self.split)

    def _open(self, part: str, layout: Layout, notes: list[str]) -> FolderPictures:
        smallest = self.smallest_picture if part.startswith("train") else None
        return open_pictures(part, layout.parts[part], self.on_error, smallest, notes, self.values[part[-1]])


def _of(domain: str, setting: Any) -> Any:
    """What a setting says about one domain."""
    return setting.get(domain) if isinstance(setting, dict) else setting
