"""Two domains in picture files on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from gan_style.core.errors import UserError
from gan_style.core.sizes import Size
from gan_style.core.terminal import say
from gan_style.core.types import Share
from gan_style.data.datamodule import Splits
from gan_style.data.layout import Layout, find_layout, given_layout
from gan_style.data.ledger import Ledger
from gan_style.data.named.download import fetch
from gan_style.data.stored import StoredDataModule
from gan_style.data.unpaired import FolderImages, open_images


class FoldersDataModule(StoredDataModule):
    """Data module of any two sets of pictures: a folder whose layout is found, or what `A` and `B` name.

    Args:
        root: the folder; see `find_layout`. `A`, `B`, `test_A` and `test_B`, instead, take a folder, a pattern, or a
            list (`gan_style.data.sources`).
        split: share of A and of B that is held out to look at, where no test pictures are given.
        set: a set of `named.table.NAMED_SETS`, fetched to `root` where it is not there yet.
        url: a mirror of the set's zip.
        archive: a local copy of the set's zip, instead of a download.
        sha256: of the set's zip, where it is not the one of the table.
        **common: of `StoredDataModule` and `UnpairedDataModule`.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        split: Share = 0.1,
        set: str | None = None,
        url: str | None = None,
        archive: str | None = None,
        sha256: str | None = None,
        **common: Any,
    ) -> None:
        if set and root is None and not any(common.get(key) for key in ("A", "B", "test_A", "test_B")):
            root = f"data/{set}"
        of_a_set = [f"data.{key}" for key, value in (("url", url), ("archive", archive), ("sha256", sha256)) if value]
        if of_a_set and not set:
            raise UserError(
                f"{of_a_set[0]} is for a named set: choose one, such as data=monet2photo, or give data.set=NAME"
            )
        super().__init__(root, **common)
        self.split = split
        self.set, self.url, self.archive, self.sha256 = set, url, archive, sha256

    def read(self) -> Splits:
        if self.set and self.root:
            fetch(self.set, self.root, url=self.url, archive=self.archive, sha256=self.sha256, say=rank_zero_only(say))
        return super().read()

    def layout(self) -> Layout:
        return given_layout(self.given, self.split) if self.root is None else find_layout(self.root, self.split)

    def open(
        self, part: str, paths: list[Path], min_size: Size | None, notes: list[str], ledger: Ledger
    ) -> FolderImages:
        return open_images(part, paths, self.on_error, min_size, notes, ledger, self.values[part[-1]])
