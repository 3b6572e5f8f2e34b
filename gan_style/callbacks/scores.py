"""Scores against the truth, in every validation, beside what they must beat."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from gan_style.metrics.truth import ColourTransfer, bootstrap, psnr, ssim
from gan_style.models.translator import Translator, gather

SCORES = {"psnr": psnr, "ssim": ssim}
# direction -> input, output, truth
NAMES = {"A2B": ("real_A", "fake_B", "truth_B"), "B2A": ("real_B", "fake_A", "truth_A")}


class TruthScores(pl.Callback):
    """PSNR and SSIM of the translations, of the untranslated input, and of a global colour transfer.

    Does nothing where the data knows no truth. Writes `scores.json` into the run folder and the columns
    `val/A2B/psnr`, ..., and `val/psnr`, the mean over directions, by which `best.ckpt` is chosen.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], list[float]] = {}
        self._transfers: dict[str, ColourTransfer] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._values = defaultdict(list)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        for direction, (real, fake, truth) in NAMES.items():
            if truth in batch and fake in outputs and direction in getattr(pl_module, "directions", NAMES):
                self._score("model", direction, outputs[fake], batch[truth])
                self._score("input", direction, outputs[real], batch[truth])
                transferred = self._transfer(trainer, direction)(outputs[real])
                self._score("colour transfer", direction, transferred, batch[truth].cpu())

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Translator)
        values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        pictures = len(trainer.datamodule.val_set)  # type: ignore[attr-defined]
        for part in gather(dict(self._values))[:pictures]:  # further processes look at a picture again
            for key, numbers in part.items():
                values[key].extend(numbers)
        if not values:
            return
        table: dict[str, Any] = defaultdict(lambda: defaultdict(dict))
        for (of, direction, score), numbers in sorted(values.items()):
            table[of][direction][score] = bootstrap(numbers)
        row = {f"val/{d}/{s}": v["value"] for d, scores in table["model"].items() for s, v in scores.items()}
        for score in SCORES:
            each = [scores[score]["value"] for scores in table["model"].values()]
            row[f"val/{score}"] = sum(each) / len(each)
        # Lightning's table of metrics, which early stopping and the rule for best.ckpt read
        pl_module.log_dict({k: torch.tensor(v) for k, v in row.items()}, logger=False, batch_size=1)
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(row, step=pl_module.iteration)
            count = len(next(iter(values.values())))
            self._write(Path(trainer.default_root_dir) / "scores.json", table, pl_module, trainer, count)

    def _score(self, of: str, direction: str, images: Tensor, truth: Tensor) -> None:
        for name, score in SCORES.items():
            self._values[of, direction, name].extend(score(images, truth).tolist())

    def _transfer(self, trainer: pl.Trainer, direction: str) -> ColourTransfer:
        if direction not in self._transfers:
            A, B = trainer.datamodule.sample_pictures()  # type: ignore[attr-defined]
            self._transfers[direction] = ColourTransfer(A, B) if direction == "A2B" else ColourTransfer(B, A)
        return self._transfers[direction]

    def _write(self, path: Path, table: dict[str, Any], model: Translator, trainer: pl.Trainer, count: int) -> None:
        averaged = any(type(c).__name__ == "EMA" for c in trainer.callbacks)  # type: ignore[attr-defined]
        protocol = {
            "checkpoint rule": "the weights at this iteration",
            "iteration": model.iteration,
            "weights": "EMA" if averaged else "raw",
            "N": count,
            "size": trainer.datamodule.image_size,  # type: ignore[attr-defined]
            "interval": "95% bootstrap over test pictures",
        }
        baselines = {name: table[name] for name in ("input", "colour transfer")}
        content = {"protocol": protocol, "scores": table["model"], "baselines": baselines}
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(temporary, path)
