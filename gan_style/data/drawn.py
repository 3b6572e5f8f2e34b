"""Two drawn domains whose true translations are known."""

from __future__ import annotations

from typing import Any

from gan_style.core.sizes import Size
from gan_style.core.types import Count, Seed, Share
from gan_style.data.datamodule import Splits, UnpairedDataModule
from gan_style.data.image_sets import SceneImages
from gan_style.data.scenes import DEFAULT_TASK, Part, Task, check_size, find_task, starts_of


class ScenesDataModule(UnpairedDataModule):
    """Landscapes drawn in two domains, such as photos (A) and paintings (B), with the truth of each test picture.

    The training scenes of A and B are different scenes, so training is unpaired.

    Args:
        task: which domains, a key of `gan_style.data.scenes.TASKS`.
        count: training scenes of each domain; None is the task's own number, 400 or, for `few`, 20.
        unshared: for task `unshared`, the share of the scenes of B that show trees; None is 0.3.
        scene_seed: of the scenes themselves; the same for every training seed, so that runs are comparable.
        **common: of `UnpairedDataModule`.
    """

    def __init__(
        self,
        *,
        task: str = DEFAULT_TASK,
        count: Count | None = None,
        unshared: Share | None = None,
        scene_seed: Seed = 0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_size("data.image_size", self.image_size)
        if self.load_size is not None:
            check_size("data.load_size", self.load_size)
        self.task = find_task(task, unshared)
        if type(self).names is UnpairedDataModule.names:  # a class of one's own may name its domains itself
            self.names = self.task.names
        self.count = self.task.count if count is None else count
        self.scene_seed = scene_seed

    def read(self) -> Splits:
        return drawn_splits(
            self.task,
            seed=self.scene_seed,
            count=self.count,
            val_count=self.val_count,
            size=self.image_size,
            train_size=self.load_size or self.image_size,
        )

    def describe(self) -> dict[str, Any]:
        """Describe the data for a checkpoint, with the task."""
        about = super().describe()
        return about | {"preprocessing": about["preprocessing"] | {"task": self.task.key}}


def drawn_splits(
    task: Task, *, seed: int, count: int, val_count: int, size: Size, train_size: Size | None = None
) -> Splits:
    """Return the pictures of a task.

    Args:
        task: one of `TASKS`, or `find_task` of a share.
        seed: of the scenes.
        count, val_count: pictures of each domain to train on, and to test with.
        size: of the pictures to test with.
        train_size: of those to train on; None is the same.
    """
    starts = starts_of(count, val_count)

    def scenes(part: Part, domain: str) -> SceneImages:
        train = part.startswith("train")
        drawn: Size = train_size or size if train else size
        return SceneImages(seed, starts[part], count if train else val_count, drawn, domain, task=task, part=part)

    A, B = (f"{name}s" for name in task.names.values())
    kind = "" if task.name == DEFAULT_TASK else f", task {task.key}"
    return Splits(
        train_A=scenes("trainA", "A"),
        train_B=scenes("trainB", "B"),
        test_A=scenes("testA", "A"),
        truth_B=scenes("testA", "B"),
        test_B=scenes("testB", "B"),
        truth_A=scenes("testB", "A"),
        notes=[f"scenes{kind}: {count} {A} and {count} {B}, drawn"],
    )
