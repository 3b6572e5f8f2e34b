"""Two drawn domains whose true translations are known."""

from __future__ import annotations

from typing import Any

from gan_style.core.types import Count, Seed
from gan_style.data.datamodule import Splits, UnpairedDataModule
from gan_style.data.image_sets import SceneImages
from gan_style.data.scenes import check_size


class ScenesDataModule(UnpairedDataModule):
    """Landscapes drawn as photos (A) and as paintings (B), with the true translation of each test picture.

    The training scenes of A and B are different scenes, so training is unpaired.

    Args:
        count: training scenes of each domain.
        scene_seed: of the scenes themselves; the same for every training seed, so that runs are comparable.
        **common: of `UnpairedDataModule`.
    """

    names = {"A": "photo", "B": "painting"}

    def __init__(self, *, count: Count = 400, scene_seed: Seed = 0, **common: Any) -> None:
        super().__init__(**common)
        check_size("data.image_size", self.image_size)
        if self.load_size is not None:
            check_size("data.load_size", self.load_size)
        self.count = count
        self.scene_seed = scene_seed

    def read(self) -> Splits:
        size = self.load_size or self.image_size
        # the pictures of A and of B in one validation row are of different scenes, as in training
        test_A, test_B = 2 * self.count, 2 * self.count + self.val_count

        def scenes(first: int, count: int, side: int, domain: str) -> SceneImages:
            return SceneImages(self.scene_seed, first, count, side, domain)

        return Splits(
            train_A=scenes(0, self.count, size, "A"),
            train_B=scenes(self.count, self.count, size, "B"),
            test_A=scenes(test_A, self.val_count, self.image_size, "A"),
            truth_B=scenes(test_A, self.val_count, self.image_size, "B"),
            test_B=scenes(test_B, self.val_count, self.image_size, "B"),
            truth_A=scenes(test_B, self.val_count, self.image_size, "A"),
            notes=[f"scenes: {self.count} photos and {self.count} paintings, drawn"],
        )
