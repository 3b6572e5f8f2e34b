"""Scores of single pictures, in every validation, beside what they must beat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from gan_style.metrics.own import values_of
from gan_style.metrics.table import NAMED, Score, described
from gan_style.metrics.truth import ColourTransfer, bootstrap
from gan_style.models.processes import gather
from gan_style.models.translator import Translator
from gan_style.training.callbacks.score_file import Scores, record
from gan_style.training.engine.engine import engine_of, method_of
from gan_style.training.engine.hooks import RunCallback

METRICS = ("psnr", "ssim")
# direction -> input, output, truth
NAMES = {"A2B": ("real_A", "fake_B", "truth_B"), "B2A": ("real_B", "fake_A", "truth_A")}


class TruthScores(RunCallback):
    """Callback that scores translations, untranslated inputs and a global colour transfer by PSNR and SSIM.

    They are left out where the data knows no truth. Columns `val/A2B/psnr`, ..., and `val/psnr`, the mean over
    directions.

    Args:
        own_of_images: the run's own scores of single pictures (`metrics=` of the command).
    """

    def __init__(self, *, own_of_images: Sequence[Score] = ()) -> None:
        self.rows = [*(NAMED[name] for name in METRICS), *own_of_images]
        self._values: dict[tuple[str, str, str], list[float]] = {}
        self._transfers: dict[str, ColourTransfer] = {}

    def offers(self, model: Translator, data: Any) -> dict[str, str]:
        """Return the scores that best.ckpt may be chosen by, and their better ends."""
        truth = {"A2B": data.splits.truth_B, "B2A": data.splits.truth_A}
        offered: dict[str, str] = {}
        for row in self.rows:
            known = [d for d in model.directions if "truth" not in row.inputs or truth[d] is not None]
            prefixes = ["val", *(f"val/{direction}" for direction in known)] if known else []
            offered |= {f"{prefix}/{row.name}": row.better for prefix in prefixes}
        return offered

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._values = defaultdict(list)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        for direction, (real, fake, truth) in NAMES.items():
            rows = [row for row in self.rows if "truth" not in row.inputs or truth in batch]
            if rows and fake in outputs and direction in method_of(pl_module).directions:
                beside = {"sources": outputs[real]} | ({"truth": batch[truth]} if truth in batch else {})
                self._score("model", direction, rows, beside | {"fakes": outputs[fake]})
                self._score("input", direction, rows, beside | {"fakes": outputs[real]})
                if direction not in self._transfers:
                    self._transfers[direction] = colour_transfer(trainer.datamodule, direction)  # type: ignore[attr-defined]
                beside = {name: images.cpu() for name, images in beside.items()}
                transferred = self._transfers[direction](outputs[real])
                self._score("colour transfer", direction, rows, beside | {"fakes": transferred})

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        images = len(trainer.datamodule.val_set)  # type: ignore[attr-defined]
        for part in gather(dict(self._values))[:images]:  # the sampler repeats pictures for further processes
            for key, numbers in part.items():
                values[key].extend(numbers)
        if not values:
            return
        table: dict[str, Scores] = defaultdict(lambda: defaultdict(dict))
        own = {row.name: described(row) for row in self.rows if row.source}
        for (of, direction, score), numbers in sorted(values.items()):
            found = bootstrap(sorted(numbers))  # sorted, so that the order of the ranks does not matter
            table[of][direction][score] = found | (own.get(score, {}) if of == "model" else {})
        protocol = {"N": len(next(iter(values.values()))), "interval": "95% bootstrap over test pictures"}
        baselines = {name: table[name] for name in ("input", "colour transfer")}
        record(trainer, engine_of(pl_module), table["model"], protocol, baselines)

    def _score(self, of: str, direction: str, rows: Sequence[Score], images: Mapping[str, Tensor]) -> None:
        for row in rows:
            numbers = values_of(row, *(images[name] for name in row.inputs))
            self._values[of, direction, row.name].extend(numbers.tolist())


def colour_transfer(data: Any, direction: str) -> ColourTransfer:
    """Return the global baseline of a direction, fitted to training pictures."""
    A, B = data.sample_images()
    return ColourTransfer(A, B) if direction == "A2B" else ColourTransfer(B, A)
