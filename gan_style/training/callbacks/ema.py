"""Exponential moving average of the generators, kept beside the model and swapped in to look at."""

from __future__ import annotations

import copy
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from gan_style.core.types import Share
from gan_style.training.engine.engine import method_of
from gan_style.training.engine.hooks import RunCallback


class EMA(RunCallback):
    """Exponential moving average of the generators only, no discriminator and no pool (Karras et al. 2018, section 3).

    Args:
        decay: weight of the past. It starts lower, `(1 + t) / (10 + t)` after t iterations, so that a short
            run is not dominated by its random start.
    """

    averages_weights = True

    def __init__(self, decay: Share = 0.999) -> None:
        self.decay = decay
        self.averages: dict[str, nn.Module] = {}
        self._restored: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        method = method_of(pl_module)
        for name in method.generators:
            self.averages[name] = copy.deepcopy(getattr(method, name)).requires_grad_(False)
            if name in self._restored:
                self.averages[name].load_state_dict(self._restored[name])
        self._restored = {}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        method = method_of(pl_module)
        done = method.iteration
        weight = 1 - min(self.decay, (1 + done) / (10 + done))
        for name, average in self.averages.items():
            current = getattr(method, name)
            torch._foreach_lerp_(_tensors(average.parameters()), _tensors(current.parameters()), weight)
            for mean, value in zip(average.buffers(), current.buffers(), strict=True):
                mean.copy_(value)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)

    @torch.no_grad()
    def _swap(self, pl_module: pl.LightningModule) -> None:
        method = method_of(pl_module)
        for name, average in self.averages.items():
            current = getattr(method, name)
            for a, b in zip(_all_tensors(average), _all_tensors(current), strict=True):
                kept = a.clone()
                a.copy_(b)
                b.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        return {name: average.state_dict() for name, average in self.averages.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = dict(state_dict)
        for name, average in self.averages.items():  # in the middle of a run
            average.load_state_dict(self._restored[name])


def _tensors(parameters: Any) -> list[Tensor]:
    return [p.data for p in parameters]


def _all_tensors(module: nn.Module) -> list[Tensor]:
    return [*_tensors(module.parameters()), *module.buffers()]
