"""Score of generators that draw noise: how much renditions of one input by other noise differ."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from gan_style.core.types import CountOrNone
from gan_style.metrics.pairs import rendition_difference
from gan_style.metrics.truth import bootstrap
from gan_style.models.passes import compute_modes
from gan_style.models.translator import Translator
from gan_style.training.callbacks.score_file import Scores, record
from gan_style.training.engine.engine import engine_of, method_of

SEEDS = (0, 1)


class NoiseScores(pl.Callback):
    """Difference of two renditions of a picture, in every validation, of generators with `noise: true`.

    Column `val/A2B/rendition_difference`, in [0, 2]. It chooses no checkpoint: speckle has the most of it. One near 0
    says that the generator has learned to ignore its noise. Not with `trainer.compile`, for which each seed is another
    network.

    Args:
        images: of each domain, the same in every validation and on every rank; 0 leaves it out.
    """

    def __init__(self, images: CountOrNone = 4) -> None:
        self.images = images
        self._inputs: dict[str, list[Tensor]] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        method, self._inputs = method_of(pl_module), {}
        drawing = [direction for direction in method.directions if method.has_optional_noise(direction)]
        if not drawing or method.takes_style or engine_of(pl_module).compiled != "off":
            return
        items = [data.on_after_batch_transfer(data.val_set[i], 0) for i in range(min(self.images, len(data.val_set)))]
        if items:
            self._inputs = {direction: [item[direction.source] for item in items] for direction in drawing}

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._inputs:
            return
        method, scores = method_of(pl_module), Scores()
        for direction, images in self._inputs.items():
            with compute_modes((), faster=False, wrap=engine_of(pl_module).wrap):
                differences = [
                    rendition_difference_of(method, direction, image.to(method.device)[None]) for image in images
                ]
            scores[direction] = {"rendition_difference": bootstrap(differences)}
        record(trainer, engine_of(pl_module), scores, {"N_noise": len(next(iter(self._inputs.values())))})


@torch.no_grad()
def rendition_difference_of(method: Translator, direction: str, image: Tensor) -> float:
    """Return the difference of two renditions of a picture [1, C, H, W] by a method in evaluation mode, in [0, 2]."""
    made = []
    for seed in SEEDS:
        with method.seeded(seed):
            made.append(method.translate(image, direction))
    return float(rendition_difference(torch.stack(made, dim=1)))
