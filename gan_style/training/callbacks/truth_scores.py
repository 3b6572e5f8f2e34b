"""Scores against the truth, in every validation, beside what they must beat."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from gan_style.metrics.truth import ColourTransfer, bootstrap, psnr, ssim
from gan_style.models.processes import gather
from gan_style.models.translator import Translator
from gan_style.training.callbacks.score_file import Scores, record
from gan_style.training.engine.engine import engine_of, method_of
from gan_style.training.engine.hooks import RunCallback

SCORES = {"psnr": psnr, "ssim": ssim}
# direction -> input, output, truth
NAMES = {"A2B": ("real_A", "fake_B", "truth_B"), "B2A": ("real_B", "fake_A", "truth_A")}


class TruthScores(RunCallback):
    """PSNR and SSIM of the translations, of the untranslated input, and of a global colour transfer.

    Does nothing where the data knows no truth. Columns `val/A2B/psnr`, ..., and `val/psnr`, the mean over directions.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], list[float]] = {}
        self._transfers: dict[str, ColourTransfer] = {}

    def offers(self, model: Translator, data: Any) -> dict[str, str]:
        """Scores that best.ckpt may be chosen by, and their better ends."""
        truth = {"A2B": data.splits.truth_B, "B2A": data.splits.truth_A}
        known = [direction for direction in model.directions if truth[direction] is not None]
        prefixes = ["val", *(f"val/{direction}" for direction in known)] if known else []
        return {f"{prefix}/{score}": "highest" for prefix in prefixes for score in SCORES}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._values = defaultdict(list)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        for direction, (real, fake, truth) in NAMES.items():
            if truth in batch and fake in outputs and direction in method_of(pl_module).directions:
                self._score("model", direction, outputs[fake], batch[truth])
                self._score("input", direction, outputs[real], batch[truth])
                if direction not in self._transfers:
                    self._transfers[direction] = colour_transfer(trainer.datamodule, direction)  # type: ignore[attr-defined]
                transferred = self._transfers[direction](outputs[real])
                self._score("colour transfer", direction, transferred, batch[truth].cpu())

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        pictures = len(trainer.datamodule.val_set)  # type: ignore[attr-defined]
        for part in gather(dict(self._values))[:pictures]:  # further processes look at a picture again
            for key, numbers in part.items():
                values[key].extend(numbers)
        if not values:
            return
        table: dict[str, Scores] = defaultdict(lambda: defaultdict(dict))
        for (of, direction, score), numbers in sorted(values.items()):
            table[of][direction][score] = bootstrap(sorted(numbers))  # in whatever order the ranks looked
        protocol = {"N": len(next(iter(values.values()))), "interval": "95% bootstrap over test pictures"}
        baselines = {name: table[name] for name in ("input", "colour transfer")}
        record(trainer, engine_of(pl_module), table["model"], protocol, baselines)

    def _score(self, of: str, direction: str, images: Tensor, truth: Tensor) -> None:
        for name, score in SCORES.items():
            self._values[of, direction, name].extend(score(images, truth).tolist())


def colour_transfer(data: Any, direction: str) -> ColourTransfer:
    """The global baseline of a direction, from training pictures."""
    A, B = data.sample_pictures()
    return ColourTransfer(A, B) if direction == "A2B" else ColourTransfer(B, A)
