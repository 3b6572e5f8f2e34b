"""Two domains in files on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from gan_style.data.datamodule import Splits, UnpairedDataModule
from gan_style.data.layout import Layout, find_layout, given_layout
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
        url: where a named set can be had; used in messages.
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
        url: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
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
        self.url = url

    def read(self) -> Splits:
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
