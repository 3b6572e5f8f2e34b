"""Scores of single pictures, in every validation, beside what they must beat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from gan_style.core.direction import Direction
from gan_style.core.sizes import height_width
from gan_style.data.datamodule import Splits
from gan_style.data.image_sets import SceneImages
from gan_style.metrics.filters import from_grey_levels
from gan_style.metrics.grid import folded, grid_excess, strides_of
from gan_style.metrics.labels import mean_iou, pooled_iou
from gan_style.metrics.own import values_of
from gan_style.metrics.table import NAMED, Score, described
from gan_style.metrics.truth import ColourTransfer, bootstrap
from gan_style.models.processes import gather
from gan_style.models.translator import Translator
from gan_style.training.callbacks.materials import Materials
from gan_style.training.callbacks.score_file import Scores, record
from gan_style.training.engine.engine import engine_of, method_of
from gan_style.training.engine.hooks import RunCallback

METRICS = ("local_distance", "psnr", "ssim", "detail")
PAINTER_SAMPLE = 1  # of the truth that is scored as another true picture; 0 is the truth itself
# direction -> input, output, truth
NAMES = {"A2B": ("real_A", "fake_B", "truth_B"), "B2A": ("real_B", "fake_A", "truth_A")}


class TruthScores(RunCallback):
    """Callback that scores translations, untranslated inputs and a global colour transfer against the truth.

    By local distance, PSNR, SSIM, detail and grid, of drawn scenes also by label IoU; left out where the data knows no
    truth. Columns `val/A2B/psnr`, ...,
    and `val/psnr`, the mean over directions. `scores.json` has beside each what another true picture of the same scenes
    scores (`true_picture`), where the truth is drawn and not one picture.

    Args:
        own_of_images: the run's own scores of single pictures (`metrics=` of the command).
    """

    def __init__(self, *, own_of_images: Sequence[Score] = ()) -> None:
        self.rows = [*(NAMED[name] for name in METRICS), *own_of_images]
        self._values: dict[tuple[str, str, str], list[float]] = {}
        self._folded: dict[tuple[str, str], list[Tensor]] = {}
        self._overlaps: dict[tuple[str, str], list[Tensor]] = {}
        self._materials: dict[str, Materials | None] = {}
        self._transfers: dict[str, ColourTransfer] = {}
        self._true: dict[str, dict[str, float]] = {}  # direction -> score of another true picture

    def offers(self, model: Translator, data: Any) -> dict[str, str]:
        """Return the scores that best.ckpt may be chosen by, and their better ends."""
        truth = {"A2B": data.splits.truth_B, "B2A": data.splits.truth_A}
        offered: dict[str, str] = {}
        for row in self.rows:
            if row.better == "one":
                continue  # has no better end
            known = [d for d in model.directions if not _of_truth(row) or truth[d] is not None]
            prefixes = ["val", *(f"val/{direction}" for direction in known)] if known else []
            offered |= {f"{prefix}/{row.name}": row.better for prefix in prefixes}
        known = [direction for direction in model.directions if truth[direction] is not None]
        drawn = [direction for direction in known if _has_materials(data, truth[direction])]
        for name, directions in (("grid", known), ("label_iou", drawn)):
            prefixes = ["val", *(f"val/{direction}" for direction in directions)] if directions else []
            offered |= {f"{prefix}/{name}": NAMED[name].better for prefix in prefixes}
        return offered

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._values, self._folded, self._overlaps = defaultdict(list), defaultdict(list), defaultdict(list)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        for direction, (real, fake, truth) in NAMES.items():
            rows = [row for row in self.rows if not _of_truth(row) or truth in batch]
            if rows and fake in outputs and direction in method_of(pl_module).directions:
                beside = {"sources": outputs[real]} | (_truth(batch[truth]) if truth in batch else {})
                self._score("model", direction, rows, beside | {"fakes": outputs[fake]})
                self._score("input", direction, rows, beside | {"fakes": outputs[real]})
                if direction not in self._transfers:
                    self._transfers[direction] = colour_transfer(trainer.datamodule, direction)  # type: ignore[attr-defined]
                beside = {name: images.cpu() for name, images in beside.items()}
                transferred = self._transfers[direction](outputs[real])
                self._score("colour transfer", direction, rows, beside | {"fakes": transferred})
                if direction not in self._materials:
                    self._materials[direction] = materials_of(trainer.datamodule, direction)  # type: ignore[attr-defined]
                if materials := self._materials[direction]:
                    made = {"model": outputs[fake], "input": outputs[real], "colour transfer": transferred}
                    for of, images in made.items():
                        counts = materials.overlaps(images, batch[f"path_{real[-1]}"])
                        self._overlaps[of, direction].extend(counts)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        images = len(data.val_set)
        for part in gather(dict(self._values))[:images]:  # the sampler repeats pictures for further processes
            for key, numbers in part.items():
                values[key].extend(numbers)
        if not values:
            return
        table: dict[str, Scores] = defaultdict(lambda: defaultdict(dict))
        own = {row.name: described(row) for row in self.rows if row.source}
        for (of, direction), value in self._grids(images).items():
            table[of][direction]["grid"] = {"value": value, "low": None, "high": None, "floor": None}
        for (of, direction), counts in _gathered(self._overlaps, images).items():
            ordered = torch.tensor(sorted(counts.tolist()))  # whatever the order of the ranks
            table[of][direction]["label_iou"] = {**pooled_iou(ordered[:, 0], ordered[:, 1]), "floor": None}
        for (of, direction, score), numbers in sorted(values.items()):
            found = bootstrap(sorted(numbers))  # sorted, so that the order of the ranks does not matter
            table[of][direction][score] = found | (own.get(score, {}) if of == "model" else {})
        for direction, scores in table["model"].items():
            if direction not in self._true:
                materials = self._materials.get(direction)
                self._true[direction] = true_scores(data.splits, Direction(direction), self.rows, materials)
            for score, value in self._true[direction].items():
                scores[score]["true_picture"] = value
        protocol = {"N": len(next(iter(values.values()))), "interval": "95% bootstrap over test pictures"}
        baselines = {name: table[name] for name in ("input", "colour transfer")}
        record(trainer, engine_of(pl_module), table["model"], protocol, baselines)

    def _grids(self, images: int) -> dict[tuple[str, str], float]:
        """Return the grid above that of the truth, of all pictures, by what made them and by direction."""
        stacked = _gathered(self._folded, images)
        return {
            (of, direction): float(grid_excess(stacked["truth", direction], found))
            for (of, direction), found in stacked.items()
            if of != "truth"
        }

    def _score(self, of: str, direction: str, rows: Sequence[Score], images: Mapping[str, Tensor]) -> None:
        for row in rows:
            numbers = values_of(row, *(images[name] for name in row.inputs))
            self._values[of, direction, row.name].extend(numbers.tolist())
        if "truth" in images and strides_of(min(images["truth"].shape[-2:])):
            self._folded[of, direction].extend(folded(images["fakes"]).cpu())
            if of == "model":
                self._folded["truth", direction].extend(folded(images["truth"]).cpu())


def _gathered(of_pictures: Mapping[tuple[str, str], list[Tensor]], images: int) -> dict[tuple[str, str], Tensor]:
    """Stack what was kept of each picture on all ranks; the sampler repeats pictures for further processes."""
    rows: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    for part in gather(dict(of_pictures))[:images]:
        for key, kept in part.items():
            rows[key].extend(kept)
    return {key: torch.stack(kept) for key, kept in rows.items()}


def _has_materials(data: Any, truth: Any) -> bool:
    """Check whether the material of each pixel is known: the truth is drawn, and scored at the size that it has."""
    if not isinstance(truth, SceneImages):
        return False
    size = height_width(truth.size)
    return bool(data.look_transform.fitted_size(*size) == size)


def materials_of(data: Any, direction: str) -> Materials | None:
    """Return the judge of materials in a direction; None where they are not known."""
    splits = data.splits
    inputs, truth = (splits.test_A, splits.truth_B) if direction == "A2B" else (splits.test_B, splits.truth_A)
    if not _has_materials(data, truth):
        return None
    return Materials(truth, [inputs.name(i) for i in range(len(truth))])


def true_scores(
    splits: Splits, direction: Direction, rows: Sequence[Score], materials: Materials | None = None
) -> dict[str, float]:
    """Score other true pictures of the scenes against the truth, as translations are; empty where there are none."""
    truth = splits.truth_B if direction == "A2B" else splits.truth_A
    if not (isinstance(truth, SceneImages) and truth.task.directions_one_to_many[direction]):
        return {}
    drawn = np.stack([truth.samples(i, 2) for i in range(len(truth))])  # the truth, and another picture
    true, other = (from_grey_levels(drawn[:, sample]) for sample in (0, PAINTER_SAMPLE))
    given = _truth(true) | {"fakes": other}
    found = {
        row.name: float(values_of(row, *(given[name] for name in row.inputs)).mean()) for row in rows if _of_truth(row)
    }
    if strides_of(min(true.shape[-2:])):
        found["grid"] = float(grid_excess(folded(true), folded(other)))
    if materials:
        inputs = splits.test_A if direction == "A2B" else splits.test_B
        counts = materials.overlaps(other, [inputs.name(i) for i in range(len(truth))])
        found["label_iou"] = float(mean_iou(counts[:, 0].sum(0), counts[:, 1].sum(0)))
    return found


def _truth(images: Tensor) -> dict[str, Tensor]:
    """Return the truth [B, C, H, W] by the names of the inputs of scores; it is a sample of itself."""
    return {"truth": images, "samples": images[:, None]}


def _of_truth(row: Score) -> bool:
    return bool({"truth", "samples"} & {*row.inputs})


def colour_transfer(data: Any, direction: str) -> ColourTransfer:
    """Return the global baseline of a direction, fitted to training pictures."""
    A, B = data.sample_images()
    return ColourTransfer(A, B) if direction == "A2B" else ColourTransfer(B, A)
