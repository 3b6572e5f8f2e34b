"""Building of a composed config's parts, without a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from gan_style.core.config import build
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.models.translator import Translator
from gan_style.training.engine.engine import Engine
from gan_style.training.refusals import check_beginning
from gan_style.training.run import begun_from, check_model, checked, engine_of_run, known_of_data, own_scores_taken
from gan_style.training.teacher import taught
from gan_style.training.trainer import TrainerSettings


@dataclass
class Parts:
    """Parts of a run; `iterations` is where its schedule ends."""

    settings: TrainerSettings
    data: UnpairedDataModule
    engine: Engine
    callbacks: list[pl.Callback]
    iterations: int

    @property
    def model(self) -> Translator:
        return self.engine.method


def parts_of(config: Mapping[str, Any]) -> Parts:
    """Build and check everything as `train` does.

    Args:
        config: plain; see `RunConfig`.

    Raises:
        UserError: a mistake in the config or the data.
    """
    run = checked(config)
    settings: TrainerSettings = build(run.trainer)
    settings.refuse_what_cannot_work(multirun=False)
    check_beginning(run.config["init_from"], run.config["model"].get("warm_start"))
    torch.manual_seed(run.config["seed"])
    data: UnpairedDataModule = build(run.data)
    data.setup()
    model = build(run.model, **known_of_data(data, run.model.parameters))
    check_model(model, settings, data, run.config["name"])
    if run.config["init_from"]:
        begun_from(run.config["init_from"], model, run.config["model"], run.config["init_discriminators"])
    taught(model, run.config["model"].get("teacher"))
    engine = engine_of_run(model, settings, data)
    length = settings.iterations(engine.iterations_per_epoch, model)
    scores = own_scores_taken(run.config["metrics"], run.allowed, [node.parameters for node in run.callbacks])
    callbacks = [build(node, **taken) for node, taken in zip(run.callbacks, scores, strict=True)]
    return Parts(settings, data, engine, callbacks, length)
