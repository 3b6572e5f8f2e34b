"""Scores against drawn scenes, whose truth can be sampled: what `gan-style bench` computes for every row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.data.image_sets import OTHERS, SceneImages
from gan_style.data.images import to_uint8
from gan_style.data.scenes.photo import MATERIALS
from gan_style.data.scenes.tasks import Task, find_task
from gan_style.metrics.filters import from_grey_levels
from gan_style.metrics.intervals import bootstrap_interval
from gan_style.metrics.labels import LinearJudge, overlaps, pooled_iou
from gan_style.metrics.table import NAMED, Score, goodness
from gan_style.metrics.truth import ColourTransfer, bootstrap

# far from what training sees and what evaluate scores
FIRST_SCENE, FIRST_STYLE = 2_000_000, 4_000_000
BATCH_SIZE = 8  # pictures
SET_ROUNDS = 20  # of the bootstrap over pictures of distances between sets

OF_IMAGES = ("psnr", "ssim", "energy_distance", "label_iou", "invented", "lost", "detail", "fine_detail")
OF_SETS = ("texture", "grid")
Images = NDArray[np.uint8]  # [N, H, W, 3]


class DrawnJudge:
    """Scores translations of the test pictures of a drawn task in one direction.

    Args:
        task: of `gan_style.data.scenes.tasks`, or its name.
        direction: "A2B" or "B2A".
        size: side of the pictures in pixels.
        seed: of the scenes.
        count: test pictures.
        samples: of the truth of each.

    Attributes:
        inputs: test pictures, uint8 [N, H, W, 3].
        truths: samples of the truth of each, uint8 [N, S, H, W, 3]; all alike where the truth is one picture.
        labels: true material of each pixel of the truth, int64 [N, H, W].
        judge: of labels, fitted to true pictures of other scenes.

    Raises:
        UserError: a task that there is not, or fewer than two pictures or samples.
    """

    def __init__(
        self, task: str | Task, direction: str, size: int, seed: int, count: int = 32, samples: int = 8
    ) -> None:
        if min(count, samples) < 2:
            raise UserError(f"count={count} and samples={samples}: a drawn task is scored with two of each at least")
        self.task = find_task(task) if isinstance(task, str) else task
        self.direction = Direction(direction)
        self.size, self.seed, self.count, self.samples = size, seed, count, samples
        source, target = self.direction.source, self.direction.target
        self.part: Any = f"test{source}"
        self.indices = range(FIRST_SCENE, FIRST_SCENE + count)
        self.inputs = np.concatenate([self._drawn(i, source, 1) for i in self.indices])
        # one sample more than the truth has: it is the true painter, who is scored like any other
        drawn = np.stack([self._drawn(i, target, samples + 1) for i in self.indices])
        self.truths, self._painter = drawn[:, :samples], drawn[:, samples]
        self.labels = self._labels(self.indices, target, self.part)
        others = SceneImages(seed, 0, 0, size, target, task=self.task).others(OTHERS)
        self.others = np.stack([scene.image for scene in others])
        labels = torch.from_numpy(np.stack([scene.labels for scene in others])).long()
        self.judge = LinearJudge(from_grey_levels(self.others), labels, len(MATERIALS))

    @cached_property
    def styles(self) -> Images:
        """True pictures of the target domain for methods of styles; no score looks at their scenes."""
        part = f"test{self.direction.target}"
        scenes = range(FIRST_STYLE, FIRST_STYLE + OTHERS)
        return np.concatenate([self._drawn(i, self.direction.target, 1, part) for i in scenes])

    @cached_property
    def rows(self) -> dict[str, Images]:
        """Translations that need no model: the true painter, the input, a colour transfer, another scene's truth."""
        transfer = ColourTransfer(from_grey_levels(self.inputs), from_grey_levels(self.others))
        return {
            "true painter": self._painter,
            "input": self.inputs,
            "colour transfer": to_uint8(transfer(from_grey_levels(self.inputs))),
            "another scene": np.roll(self._painter, 1, axis=0),
        }

    @cached_property
    def ends(self) -> dict[str, dict[str, float]]:
        """Ceiling of each score, that of the true painter, and floor: the better of input and colour transfer."""
        of = {name: self._scored(self.rows[name], 0) for name in ("true painter", "input", "colour transfer")}
        found = {}
        for name in of["input"]:
            floors = (of[row][name]["value"] for row in ("input", "colour transfer"))
            floor = max(floors, key=lambda value, row=NAMED[name]: goodness(row.better, value))  # type: ignore[misc]
            found[name] = {"ceiling": of["true painter"][name]["value"], "floor": floor}
        return found

    def scores(
        self, images: Images, several: NDArray[np.uint8] | None = None, *, draws: int = SET_ROUNDS
    ) -> dict[str, dict[str, Any]]:
        """Score translations of the test pictures.

        PSNR and SSIM are to the mean of the truth's samples; materials are counted over all pictures.

        Args:
            images: of `inputs`, in their order, uint8 [N, H, W, 3].
            several: of each input K translations by other noise or other seeds, uint8 [N, K, H, W, 3]; adds `spread`,
                where the truth is not one picture.
            draws: of the intervals of texture and grid, the slow ones; 0 gives the value as its own interval.

        Returns: name -> value, low, high (95% bootstrap over pictures), ceiling, floor; names of rows of the table.

        Raises:
            UserError: they are not as many, or not of the size.
        """
        found = {name: entry | self.ends[name] for name, entry in self._scored(images, draws).items()}
        return found if several is None else found | self.spread(several)

    def spread(self, several: NDArray[np.uint8]) -> dict[str, dict[str, Any]]:
        """Score how much K translations of each input differ, [N, K, H, W, 3]; empty where the truth is one picture."""
        values = self._row_of_images(NAMED["spread"], {"several": several, "samples": self.truths})
        if not np.isfinite(values).all():
            return {}
        return {"spread": dict(bootstrap(values.tolist())) | {"ceiling": 1.0, "floor": 0.0}}

    def values(self, images: Images) -> dict[str, NDArray[np.float64]]:
        """Score each translation by itself, where a score has a number for one: name -> [N]; see `scores`."""
        self._check(images)
        shown = self.shown(images)
        mean = np.rint(self.truths.mean(1)).astype(np.uint8)
        given = {"fakes": images, "truth": mean, "samples": self.truths, "shown": shown, "labels": self.labels}
        return {name: self._row_of_images(NAMED[name], given) for name in OF_IMAGES}

    def shown(self, images: Images) -> NDArray[np.int64]:
        """Return what material the judge takes each pixel for, [N, H, W]."""
        return np.concatenate([self.judge(part).numpy() for part in _batches(images)])

    def _scored(self, images: Images, draws: int) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {
            name: dict(bootstrap(values.tolist())) for name, values in self.values(images).items()
        }
        found["label_iou"] = self._pooled_iou(images)
        for name in OF_SETS:
            row = NAMED[name]
            look = row.look()
            assert look is not None
            # a grid stands at fixed places of a picture: the truth of the same scenes has the same content there
            true = self.others if name == "texture" else self.truths[:, 0]
            features = [torch.cat([look(part) for part in _batches(x)]) for x in (true, images)]
            value, low, high = bootstrap_interval(row.compute(), *features, n_boot=draws)
            found[name] = {"value": value, "low": max(0.0, low), "high": high}
        return found

    def _pooled_iou(self, images: Images) -> dict[str, float]:
        """Return the mean IoU of the materials of all pictures together, as of Cityscapes, with its interval."""
        shown, true = (torch.from_numpy(maps) for maps in (self.shown(images), self.labels))
        return pooled_iou(*overlaps(shown, true, len(MATERIALS)))

    def _row_of_images(self, row: Score, given: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Compute a score of single pictures of what is given by the names of its inputs: [N]."""
        function, found = row.compute(), []
        for first in range(0, self.count, BATCH_SIZE):
            parts = [given[name][first : first + BATCH_SIZE] for name in row.inputs]
            found.append(
                function(*(from_grey_levels(x) if x.dtype == np.uint8 else torch.from_numpy(x) for x in parts))
            )
        return torch.cat(found).double().numpy()

    def _check(self, images: Images) -> None:
        if images.shape != self.inputs.shape or images.dtype != np.uint8:
            raise UserError(
                f"translations {list(images.shape)} {images.dtype} are not those of the {self.count} test pictures: "
                f"give uint8 {list(self.inputs.shape)}"
            )

    def _drawn(self, index: int, domain: str, samples: int, part: Any = None) -> Images:
        """Draw true pictures of a scene in a domain, [samples, H, W, 3]."""
        return self.task.samples(self.seed, index, self.size, domain, samples, part=part or self.part)

    def _labels(self, indices: range, domain: str, part: Any) -> Any:
        maps = [self.task.labels(self.seed, i, self.size, domain, part=part) for i in indices]
        return np.stack(maps).astype(np.int64)


def _batches(images: Images) -> Iterator[Tensor]:
    for first in range(0, len(images), BATCH_SIZE):
        yield from_grey_levels(images[first : first + BATCH_SIZE])
