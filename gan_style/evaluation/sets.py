"""The set that models are scored on: its parts as pictures of one size, and the truth where it is known."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.sizes import Size
from gan_style.data.image_sets import SceneImages, first
from gan_style.data.images import list_images, read_image, survey, to_tensor
from gan_style.data.layout import all_parts, find_layout, find_set, hold_out
from gan_style.data.ledger import Ledger
from gan_style.data.scenes import DEFAULT_TASK, TASKS, Part, Task, find_task
from gan_style.data.style_folders import find_folders, find_styles
from gan_style.data.transforms import EvalTransform
from gan_style.data.unpaired import Images
from gan_style.data.values import Array

SCENES = "scenes"
SCENE_SEED, FIRST_SCENE = 0, 1_000_000  # far from what data=scenes trains on and chooses best.ckpt by
TEST_SCENES, TRAIN_SCENES = 48, 96
# The scenes that a part shows; their numbers follow this order.
SCENES_OF: dict[str, Part] = {
    **{"testA": "testA", "testB": "testB", "trainA": "trainA", "trainB": "trainB"},
    **{"truthA": "testB", "truthB": "testA"},
}


class Files:
    """Pictures of any kind on disk, as 8-bit RGB.

    Args:
        paths: one file each.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Array:
        return read_image(self.paths[index])

    def name(self, index: int, /) -> str:
        return str(self.paths[index])


class SizedImages(Sequence[Tensor]):
    """Pictures as tensors [3, H, W] in [-1, 1].

    Args:
        images: of any size.
        size: that each is resized to: a square's side, or height and width.
    """

    def __init__(self, images: Images, size: Size) -> None:
        self.images, self.size = images, size
        self._fit = EvalTransform(size)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return to_tensor(self._fit(self.images[index]))

    def stem(self, index: int) -> str:
        """Return the name of a picture without folder and suffix."""
        return Path(self.images.name(index)).stem

    def by_stem(self) -> dict[str, int]:
        """Return the number of each picture whose stem no other has."""
        stems = [self.stem(i) for i in range(len(self))]
        count = Counter(stems)
        return {stem: i for i, stem in enumerate(stems) if count[stem] == 1}

    def digest(self) -> str:
        """Return sha256 over the contents of the files in their order, or over the pixels of what is drawn."""
        total = hashlib.sha256()
        for i in range(len(self)):
            if isinstance(self.images, Files):
                with self.images.paths[i].open("rb") as file:
                    total.update(hashlib.file_digest(file, "sha256").digest())
            else:
                total.update(hashlib.sha256(self.images[i].tobytes()).digest())
        return total.hexdigest()


@dataclass
class ScoredSet:
    """A set by its parts.

    Attributes:
        name: as it was given.
        files: trainA, trainB, testA and testB, as far as they are known; None for drawn scenes.
        limit: of the test pictures of each domain; of training ones, which the floor is taken of, twice as many.
        task: of drawn scenes.
        ledger: what reading the files leaves out or changes.
    """

    name: str
    files: Mapping[str, list[Path]] | None
    limit: int | None = None
    task: Task = TASKS[DEFAULT_TASK]
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        """Look at the header of each file that is scored."""
        for part, paths in (self.files or {}).items():
            survey(paths[: self.most(part)], self.ledger)

    def most(self, part: str) -> int | None:
        """Return how many pictures of a part are used at most."""
        return self.limit if self.limit is None or not part.startswith("train") else 2 * self.limit

    def images(self, part: str, size: Size) -> SizedImages:
        """Return a part of the set, such as `testA`; `truthB` holds what testA should become, picture by picture."""
        if self.files is not None:
            images: Images = Files(self.files[part])
        else:
            drawn = SCENES_OF[part]
            start = FIRST_SCENE + [*SCENES_OF].index(drawn) * TRAIN_SCENES
            count = TRAIN_SCENES if part.startswith("train") else TEST_SCENES
            images = SceneImages(SCENE_SEED, start, count, size, part[-1], task=self.task, part=drawn)
        limit = self.most(part)
        kept = Files(images.paths[:limit]) if isinstance(images, Files) else first(images, limit)
        return SizedImages(kept, size)

    def has(self, part: str) -> bool:
        """Check whether there is such a part, such as `truthA`, which only drawn scenes have."""
        return self.files is None or part in self.files


def open_set(name: str, limit: int | None = None) -> ScoredSet:
    """Open `scenes` or `scenes:TASK`, a named set below data/, or a folder: of two domains, or of contents and styles.

    Test pictures are scored, or validation pictures where there are none. Styles have none: half of their pictures
    are given to a model, the other half is what its results are compared with.

    Raises:
        UserError: no such set or task, or one without test pictures.
    """
    kind, _, task = name.partition(":")
    if kind == SCENES:
        return ScoredSet(name, None, limit, find_task(task or DEFAULT_TASK, given_as=f"{SCENES}:"))
    root = find_set(name)
    ledger = Ledger()
    parts = _styled(root, ledger) if (root / "content").is_dir() else _of_domains(root, ledger)
    if "testA" not in parts:
        raise UserError(f"{name} has no test pictures, and a score on training pictures says nothing: add testA, testB")
    return ScoredSet(name, parts, limit, ledger=ledger)


def _of_domains(root: Path, ledger: Ledger) -> dict[str, list[Path]]:
    """Return the parts that training takes, and testA and testB, also where it looks at valA and valB."""
    every = all_parts(root)
    ledger.merge(every.ledger)
    tests = {part: files for part, files in every.parts.items() if part.startswith("test")}
    return find_layout(root).parts | tests


def _styled(root: Path, ledger: Ledger) -> dict[str, list[Path]]:
    folders = find_folders({"root": root})
    styles = [path for paths in find_styles(folders["styles"], ledger).values() for path in paths]
    parts = hold_out({"A": list_images(folders["content"], ledger), "B": styles}, 0.5).parts
    return parts | ({"testA": list_images(folders["test_content"], ledger)} if "test_content" in folders else {})
