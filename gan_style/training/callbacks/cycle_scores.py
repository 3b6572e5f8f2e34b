"""Scores of methods with cycles: the cycle error, and whether the cycle hides information in the fake."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from gan_style.core.direction import Direction
from gan_style.core.terminal import say
from gan_style.core.types import CountOrNone
from gan_style.metrics.pairs import cycle_error
from gan_style.metrics.probe import ProbeResult, steganography_probe
from gan_style.metrics.truth import bootstrap
from gan_style.models.passes import compute_modes
from gan_style.models.processes import gather
from gan_style.models.translator import Translator
from gan_style.training.callbacks.score_file import Scores, made_of, record
from gan_style.training.engine.engine import engine_of, method_of


class CycleScores(pl.Callback):
    """Cycle error, and the honesty of the cycle by the steganography probe, in every validation.

    Columns `val/A2B/cycle_error` (mean absolute difference, in [0, 2]) and `val/A2B/cycle_honesty` (1 honest, 0
    hidden; no value where the cycle brings nothing back). They choose no checkpoint: a model that changes nothing is
    the best by both. Does nothing for methods that make no `rec_A` or `rec_B`.

    Args:
        images: of each domain that the probe takes, the same in every validation and on every rank; 0 leaves it out.
    """

    def __init__(self, images: CountOrNone = 4) -> None:
        self.images = images
        self._errors: dict[Direction, dict[Hashable, float]] = {}
        self._probed: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self._probed = {}
        method = method_of(pl_module)
        # A cycle that is told the input's style has nothing of it to hide.
        if self.images == 0 or method.takes_style or not {*Direction} <= set(method.directions):
            return
        count = min(self.images, len(data.val_set))
        fits = data.look_transform.fixed_size and all(n in (1, 3) for n in data.channels.values())
        if count < 2 or not fits:
            if trainer.is_global_zero:
                say("no cycle_honesty in validations: it takes two pictures of one size, grey or RGB", flush=True)
            return
        items = [data.on_after_batch_transfer(data.val_set[i], 0) for i in range(count)]
        self._probed = {domain: torch.stack([item[domain] for item in items]) for domain in "AB"}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._errors = defaultdict(dict)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        method = method_of(pl_module)
        for direction in method.directions:
            source = direction.source
            if f"rec_{source}" in outputs:
                errors = cycle_error(batch[source], outputs[f"rec_{source}"]).tolist()
                _keep_highest(self._errors[direction], zip(made_of(method, batch, direction), errors, strict=True))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        errors: dict[Direction, dict[Hashable, float]] = defaultdict(dict)
        for part in gather(dict(self._errors)):  # by name: a picture that comes twice counts once
            for direction, found in part.items():
                _keep_highest(errors[direction], found.items())
        if not errors:
            return
        scores: Scores = {
            d: {"cycle_error": bootstrap([v for _, v in sorted(errors[d].items(), key=str)])} for d in errors
        }
        for direction in errors if self._probed else ():
            with compute_modes((), faster=False, wrap=engine_of(pl_module).wrap):
                found = self._probe(method_of(pl_module), direction)
            interval = {"low": found.low, "high": found.high}
            scores[direction]["cycle_honesty"] = {"value": found.honesty, **interval, "floor": None}
        record(trainer, engine_of(pl_module), scores, {"N_probe": len(self._probed.get("A", ()))})

    def _probe(self, model: Translator, direction: Direction) -> ProbeResult:
        images = self._probed[direction.source].to(model.device)
        back = direction.back
        return steganography_probe(lambda x: model.translate(x, direction), lambda x: model.translate(x, back), images)


def _keep_highest(kept: dict[Hashable, float], found: Iterable[tuple[Hashable, float]]) -> None:
    """Add errors by name; of one that comes twice, with other noise, the highest, whatever the order of the ranks."""
    for name, error in found:
        kept[name] = max(error, kept.get(name, error))
