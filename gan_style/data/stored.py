"""Two domains of pictures on disk, in files or shards."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.core.sizes import Size
from gan_style.core.types import Count
from gan_style.data.datamodule import Splits, UnpairedDataModule
from gan_style.data.layout import Layout
from gan_style.data.ledger import Ledger
from gan_style.data.unpaired import StoredImages
from gan_style.data.values import DType, ValueRange


class StoredDataModule(UnpairedDataModule):
    """Base of data modules of pictures on disk, with their paths and value ranges; a subclass finds and opens them.

    Args:
        root: the folder of the set.
        A, B: instead of root, the training pictures.
        test_A, test_B: likewise, to look at.
        dtype: of the files: "uint8", "uint16" or "float32". This key and the next three take one value, or one per
            domain: `{A: uint16, B: uint8}`.
        low, high: the values that become black and white; the type's limits unless given.
        channels: of each picture.
        on_error: "stop" before the first iteration at an unreadable picture, or "skip" it and say so.
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
        dtype: DType | dict[Literal["A", "B"], DType] = "uint8",
        low: float | dict[Literal["A", "B"], float] | None = None,
        high: float | dict[Literal["A", "B"], float] | None = None,
        channels: Count | dict[Literal["A", "B"], Count] = 3,
        on_error: Literal["stop", "skip"] = "stop",
        name_A: str = "A",
        name_B: str = "B",
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
        self.root = None if root is None else expanded(root)
        self.values = {
            domain: ValueRange.of(
                _of(domain, dtype, "dtype"), _of(domain, low), _of(domain, high), _of(domain, channels, "channels")
            )
            for domain in ("A", "B")
        }
        self.on_error: Literal["stop", "skip"] = on_error
        self.names = {"A": name_A, "B": name_B}

    def read(self) -> Splits:
        layout = self.layout()
        notes, ledger = [*self.notes_of_shape(), *layout.notes], layout.ledger
        opened: dict[str, StoredImages] = {}
        for part, paths in layout.parts.items():
            smallest = self.smallest_image if part.startswith("train") else None
            opened[part] = self.open(part, paths, smallest, notes, ledger)
        test_A, test_B = (opened.get(f"test{domain}", opened[f"train{domain}"]) for domain in "AB")
        return Splits(opened["trainA"], opened["trainB"], test_A, test_B, notes=notes, ledger=ledger)

    @abstractmethod
    def layout(self) -> Layout:
        """Find the files of each part."""

    @abstractmethod
    def open(
        self, part: str, paths: list[Path], min_size: Size | None, notes: list[str], ledger: Ledger
    ) -> StoredImages:
        """Open the usable pictures of a part; adds messages to `notes` and entries to the ledger."""


def _of(domain: str, setting: Any, needed: str = "") -> Any:
    """Return the value of a setting for one domain.

    Raises:
        UserError: If there is none and it is needed; `needed` is the name of the setting.
    """
    if not isinstance(setting, dict):
        return setting
    if needed and domain not in setting:
        raise UserError(f"data.{needed}={setting} says nothing of domain {domain}: name both, as in {{A: ..., B: ...}}")
    return setting.get(domain)
