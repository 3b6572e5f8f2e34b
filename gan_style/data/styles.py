"""Contents and the pictures of many styles, each with the number of its style."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.core.seeding import derive_seed
from gan_style.core.sizes import Size
from gan_style.core.types import Count, Seed
from gan_style.data.datamodule import Splits, UnpairedDataModule
from gan_style.data.image_sets import SceneImages, content_of, first
from gan_style.data.images import list_images
from gan_style.data.ledger import Ledger
from gan_style.data.scenes.looks import LOOKS, draw_look
from gan_style.data.style_folders import MAX_NAMES_SHOWN, find_folders, find_styles
from gan_style.data.transforms import Transform
from gan_style.data.unpaired import (
    FolderImages,
    Images,
    PairedEvalDataset,
    Shuffled,
    StoredImages,
    UnpairedDataset,
    open_images,
)


class StyleImages:
    """Pictures of several styles as one sequence: the first of each style, the second of each, and so on.

    Args:
        styles: Name of a style -> its pictures.
    """

    def __init__(self, styles: Mapping[str, Images]) -> None:
        self.styles = dict(styles)
        self._parts = list(styles.values())
        self._order = sorted((number, style) for style, part in enumerate(self._parts) for number in range(len(part)))
        self.of: list[list[int]] = [[] for _ in self._parts]  # style, number within it -> number in the sequence
        for i, (_, style) in enumerate(self._order):
            self.of[style].append(i)
        self.cached: Images | None = None  # the same sequence, from memory

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        if self.cached is not None:
            return self.cached[index]
        number, style = self._order[index]
        return self._parts[style][number]

    def files(self) -> FolderImages | None:
        """Return the same sequence as one of files; None if some pictures are not files."""
        parts = [part for part in self._parts if isinstance(part, FolderImages) and part.sizes]
        if len(parts) < len(self._parts):
            return None
        paths = [parts[style].paths[number] for number, style in self._order]
        return FolderImages(paths, sizes=[(parts[style].sizes or [])[number] for number, style in self._order])

    def content(self) -> str | None:
        """Return a hash of the content of all files; None where it is not known."""
        sums = [content_of(part) for part in self._parts]
        return None if None in sums else hashlib.blake2b("".join(map(str, sums)).encode(), digest_size=16).hexdigest()

    def name(self, index: int, /) -> str:
        number, style = self._order[index]
        return self._parts[style].name(number)


class StyledDataset(UnpairedDataset):
    """Endless stream of a content, two pictures of one style and the style's number.

    Styles come in shuffled rounds, each once per round however many pictures it has. Within a style the pictures come
    in shuffled epochs; B2 runs through another permutation of them, so that B and B2 differ where the style
    has several pictures.

    Args:
        contents: Pictures of A.
        styles: Pictures of B and B2.
        transform: Augmentation; B and B2 of a style with one picture are two augmentations of it.
        seed: Decides every order and every augmentation.
    """

    def __init__(self, contents: Images, styles: StyleImages, transform: Transform, seed: int) -> None:
        super().__init__(contents, styles, transform, seed)
        self.images["B2"] = styles
        self._of = styles.of
        self._style = Shuffled(derive_seed(seed, "style"), len(styles.of))
        self._within = [Shuffled(derive_seed(seed, "style", k), len(own)) for k, own in enumerate(styles.of)]

    def indices(self, position: int) -> dict[str, int]:
        """Return which pictures stand at a position: of A among the contents, of B and B2 among those of all styles."""
        style = self._style[position]
        own, order = self._of[style], self._within[style]
        count, visit = len(own), position // len(self._of)
        epoch, step = divmod(visit, count)
        if count > 1:
            step = (step + 1 + derive_seed(self.seed, "B2", style, epoch) % (count - 1)) % count
        return super().indices(position) | {"B": own[order[visit]], "B2": own[order[epoch * count + step]]}

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Return the item of an absolute position.

        Returns:
            "A", "B" and "B2": [C, H, W], as in `UnpairedDataset`; "style": number of the style of B and B2;
            "path_A", "path_B" and "path_B2": names.
        """
        return super().__getitem__(position) | {"style": self._style[position]}


class StyledEvalDataset(PairedEvalDataset):
    """Contents in their order, each with the next style, so that every content and every style is shown.

    Args:
        contents: Pictures of A.
        styles: Pictures of B and B2; B2 is B where a style has one picture.
        transform: Without randomness.
        limit: At most so many items.
    """

    def __init__(self, contents: Images, styles: StyleImages, transform: Transform, limit: int) -> None:
        super().__init__(contents, styles, transform, limit=min(limit, max(len(contents), len(styles.of))))
        self._of = styles.of

    def pair(self, index: int) -> tuple[int, int]:
        """Return which content and which picture of all styles item number `index` shows."""
        return index % len(self.A), self._image(index, 0)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return item number `index`, as in training."""
        item, second = super().__getitem__(index), self._image(index, 1)
        item |= {"B2": self.values["B"].as_tensor(self.transform(self.B[second], 0)), "path_B2": self.B.name(second)}
        return item | {"style": index % len(self._of)}

    def _image(self, index: int, further: int) -> int:
        turn, style = divmod(index, len(self._of))
        own = self._of[style]
        return own[(turn + further) % len(own)]


class LookImages(SceneImages):
    """Landscapes drawn in one of `LOOKS`, whose name is given as the domain."""

    def _draw_now(self, i: int) -> NDArray[np.uint8]:
        return draw_look(self.seed, self.first + i, self.size, self.domain)


class StylesDataModule(UnpairedDataModule):
    """Data module of contents (A) and pictures of many styles (B and B2): from folders, or drawn where none is given.

    In the folder of styles each sub-folder is a style, and so is each picture that lies beside them. `limit`
    counts the contents and the pictures of each style.

    Args:
        root: folder with `content`, `styles` (or `style`) and, where wanted, `test_content`; instead of the next two.
        content: folder of contents.
        styles: folder of styles.
        test_content: folder of contents to look at; the training contents unless given.
        count: drawn contents, and drawn pictures of each style.
        scene_seed: of what is drawn; the same for every training seed.
        on_error: "stop" before the first iteration at an unreadable picture, or "skip" it and say so.
        **common: of `UnpairedDataModule`.
    """

    names = {"A": "content", "B": "style"}

    def __init__(
        self,
        *,
        root: str | None = None,
        content: str | None = None,
        styles: str | None = None,
        test_content: str | None = None,
        count: Count = 200,
        scene_seed: Seed = 0,
        on_error: Literal["stop", "skip"] = "stop",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        given = {"root": root, "content": content, "styles": styles, "test_content": test_content}
        for key, folder in given.items():
            if folder == "":
                raise UserError(f"data.{key}= is empty: name a folder, or leave the key out")
        self.folders = {key: expanded(folder) for key, folder in given.items() if folder}
        self.count = count
        self.scene_seed = scene_seed
        self.on_error = on_error

    def read(self) -> Splits:
        folders = find_folders(self.folders)
        splits = self._open(**folders) if folders else self._draw()
        assert isinstance(splits.train_B, StyleImages)
        self.style_names = list(splits.train_B.styles)
        return splits

    def limited(self, splits: Splits) -> Splits:
        """Keep the first `limit` contents and pictures of each style."""
        styles = splits.train_B
        splits = super().limited(splits)
        assert isinstance(styles, StyleImages)
        splits.train_B = StyleImages({name: first(own, self.limit) for name, own in styles.styles.items()})
        return splits

    def on_disk(self, splits: Splits) -> dict[str, StoredImages]:
        assert isinstance(splits.train_B, StyleImages)
        files = splits.train_B.files()
        return super().on_disk(splits) | ({"B": files} if files else {})

    def with_cache(self, splits: Splits, kept: Mapping[str, Images]) -> Splits:
        assert isinstance(splits.train_B, StyleImages)
        splits.train_B.cached = kept.get("B")
        return replace(splits, train_A=kept.get("A", splits.train_A))

    def datasets(self, splits: Splits) -> tuple[UnpairedDataset, PairedEvalDataset]:
        assert isinstance(splits.train_B, StyleImages)
        assert isinstance(splits.test_B, StyleImages)
        look = StyledEvalDataset(splits.test_A, splits.test_B, self.look_transform, self.val_count)
        return StyledDataset(splits.train_A, splits.train_B, self.transform, self.seed), look

    def describe(self) -> dict[str, Any]:
        """Describe the data for a checkpoint, with the names of the styles in the order of their numbers."""
        return super().describe() | {"styles": self.style_names}

    def _draw(self) -> Splits:
        size: Size = self.load_size or self.image_size
        test = (1 + len(LOOKS)) * self.count  # no two pictures of the set show the same scene

        def looks(first: int, count: int, size: Size) -> StyleImages:
            starts = range(first, first + len(LOOKS) * count, count)
            drawn = zip(LOOKS, starts, strict=True)
            return StyleImages({k: LookImages(self.scene_seed, i, count, size, k) for k, i in drawn})

        return Splits(
            train_A=SceneImages(self.scene_seed, 0, self.count, size, "A"),
            train_B=looks(self.count, self.count, size),
            test_A=SceneImages(self.scene_seed, test, self.val_count, self.image_size, "A"),
            test_B=looks(test + self.val_count, self.val_count, self.image_size),
            notes=[f"styles: {self.count} photos, and {self.count} pictures each of {', '.join(LOOKS)}, drawn"],
        )

    def _open(self, content: Path, styles: Path, test_content: Path | None = None) -> Splits:
        notes, ledger = self.notes_of_shape(), Ledger()
        found = find_styles(styles, ledger)
        A = open_images("contents", list_images(content, ledger), self.on_error, self.smallest_image, notes, ledger)
        paths = [path for own in found.values() for path in own]
        good = open_images("styles", paths, self.on_error, self.smallest_image, notes, ledger)
        assert good.sizes is not None
        assert good.digests is not None
        sizes = dict(zip(good.paths, good.sizes, strict=True))
        digests = dict(zip(good.paths, good.digests, strict=True))
        usable = {name: [path for path in own if path in sizes] for name, own in found.items()}
        opened = {
            name: FolderImages(own, None, [sizes[path] for path in own], [digests[path] for path in own])
            for name, own in usable.items()
            if own
        }
        B = StyleImages(opened)
        counts = [f"{name} {len(own)}" for name, own in B.styles.items()]
        more = f" and {len(counts) - MAX_NAMES_SHOWN} more" if len(counts) > MAX_NAMES_SHOWN else ""
        notes.append(f"{len(counts)} styles, with their pictures: {', '.join(counts[:MAX_NAMES_SHOWN])}{more}")
        notes += [f"style {name} is left out: it has no usable picture" for name in usable if name not in B.styles]
        if test_content is None:
            notes.append("no test_content is given: the grids show training contents")
            return Splits(A, B, A, B, notes=notes, ledger=ledger)
        look = open_images("test contents", list_images(test_content, ledger), self.on_error, None, notes, ledger)
        return Splits(A, B, look, B, notes=notes, ledger=ledger)
