"""What a composed config builds, without a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from gan_style.callbacks.doctor import Doctor
from gan_style.config import ALLOWED, build, check, check_signature, takes
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.models.translator import Translator
from gan_style.refusals import refuse_missing_warm_start, refuse_small_pictures, refuse_unfit_settings
from gan_style.rules import BestRule
from gan_style.run import RunConfig
from gan_style.trainer import TrainerSettings


@dataclass
class Parts:
    """Of a run; `iterations` is where its schedule ends."""

    settings: TrainerSettings
    data: UnpairedDataModule
    model: Translator
    callbacks: list[pl.Callback]
    iterations: int


def parts_of(config: Mapping[str, Any]) -> Parts:
    """Build what `train` would, and refuse what it would refuse.

    Args:
        config: plain; see `RunConfig`.

    Raises:
        UserError: a mistake in the config or the data.
    """
    config = check_signature(RunConfig, config)
    config["best"] = check_signature(BestRule, config["best"], "best")
    check_signature(Doctor, config["doctor"], "doctor")
    allowed = (*ALLOWED, *config["allow"])
    check(config, allowed=allowed)
    settings: TrainerSettings = build(config["trainer"], allowed)
    settings.refuse_what_cannot_work(multirun=False)
    refuse_missing_warm_start(config["model"])
    torch.manual_seed(config["seed"])
    data: UnpairedDataModule = build(config["data"], allowed)
    data.setup()
    extra: dict[str, int] = {f"channels_{domain}": count for domain, count in data.channels.items()}
    if data.style_names and takes(config["model"], "styles", allowed):
        extra["styles"] = len(data.style_names)
    model: Translator = build(config["model"], allowed, **extra)
    per_epoch = data.epoch_length / (data.batch_size * settings.world_size)
    model.iterations_per_epoch = per_epoch
    refuse_small_pictures(model, data)
    refuse_unfit_settings(model, settings, config["name"])
    callbacks = [build(node, allowed) for node in (config.get("callbacks") or {}).values() if node]
    return Parts(settings, data, model, callbacks, settings.iterations(per_epoch, model.last_iteration))
