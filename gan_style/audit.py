"""`gan-style audit`: train twice from one seed in one process, and name the first tensor that differs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from gan_style.callbacks.recorder import Recorder
from gan_style.config import ALLOWED, build, check, check_signature, compose_run, takes
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.errors import UserError
from gan_style.models.translator import Translator
from gan_style.refusals import refuse_missing_warm_start, refuse_small_pictures, refuse_unfit_settings
from gan_style.run import RunConfig, quiet_lightning
from gan_style.trainer import TrainerSettings


def audit(words: Sequence[str], iterations: int = 3, out: Path | None = None) -> int:
    """Train twice, say in one sentence whether both were the same, and return the exit status.

    Args:
        words: of the command `train`, such as `model=cut`.
        iterations: of each of the two trainings.
        out: a JSON file of the finding.

    Returns: 1 where a tensor differs, else 0.

    Raises:
        UserError: a mistake in the words, or what cannot be audited.
    """
    if iterations < 1:
        raise UserError(f"--iterations {iterations} trains nothing: give 1 or more")
    named = words if any(word.lstrip("+").startswith("name=") for word in words) else [*words, "name=audit"]
    finding = compare(compose_run(named), iterations)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(finding, indent=2) + "\n")
    print(verdict(finding))
    return 0 if finding["same"] else 1


def compare(config: Mapping[str, Any], iterations: int) -> dict[str, Any]:
    """Train twice from the seed of a plain config, leaving no run folder.

    Returns: `same`; `iterations` and `seed`; `compared`, tensors of the second training by kind, up to and with the
        first that differs; and `first`, that one's `iteration`, `kind`, `path`, `call` and `turn`, or None.

    Raises:
        UserError: as for `train`; also several processes, a compiled model or a checkpoint to go on from.
    """
    config = check_signature(RunConfig, dict(config))
    allowed = (*ALLOWED, *config["allow"])
    check(config, allowed=allowed)
    settings: TrainerSettings = build(config["trainer"], allowed)
    settings.refuse_what_cannot_work(multirun=False)
    _refuse_what_is_not_audited(config, settings)
    refuse_missing_warm_start(config["model"])
    quiet_lightning()
    strict = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        first = Recorder(iterations)
        _train(config, settings, first)
        second = Recorder(iterations, earlier=first.hashes)
        _train(config, settings, second)
    finally:  # trainer.deterministic holds for the process, and this one may go on with something else
        torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])
    return {
        "same": second.first_difference is None,
        "iterations": iterations,
        "seed": config["seed"],
        "compared": second.counts,
        "first": second.first_difference,
    }


def verdict(finding: Mapping[str, Any]) -> str:
    """A finding of `compare` in one sentence."""
    first, seed = finding["first"], finding["seed"]
    if first is None:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in finding["compared"].items())
        return f"same: {finding['iterations']} iterations twice from seed {seed}, bit for bit ({counts})"
    place = f" of {first['path']}" if first["path"] else ""
    call = f", its call {first['call']} of the iteration" if first["kind"] == "output" else ""
    turn = f", in the turn of {first['turn']}" if first["turn"] else ""
    when = f"iteration {first['iteration']}" if first["iteration"] else "before the first iteration"
    return (
        f"differs: {when}, the {first['kind']}{place}{call}{turn}, is the first that a second training did not repeat"
    )


def _refuse_what_is_not_audited(config: Mapping[str, Any], settings: TrainerSettings) -> None:
    if config["resume"]:
        raise UserError("an audit begins at the seed: leave resume out")
    if settings.world_size > 1:
        raise UserError("an audit trains in this process alone: set trainer.devices=1 and trainer.num_nodes=1")
    if settings.compile != "off":
        raise UserError(f"trainer.compile={settings.compile} hides the modules of a network: leave it out of an audit")


def _train(config: Mapping[str, Any], settings: TrainerSettings, recorder: pl.Callback) -> None:
    """What `run.train` does with a config, without all that looks at training or keeps it."""
    allowed = (*ALLOWED, *config["allow"])
    torch.manual_seed(config["seed"])
    data: UnpairedDataModule = build(config["data"], allowed)
    data.setup()
    channels = {f"channels_{domain}": count for domain, count in data.channels.items()}
    by_number = takes(config["model"], "styles", allowed)
    styles = {"styles": len(data.style_names)} if data.style_names and by_number else {}
    model: Translator = build(config["model"], allowed, **channels, **styles)
    model.iterations_per_epoch = data.epoch_length / data.batch_size
    refuse_small_pictures(model, data)
    refuse_unfit_settings(model, settings, config["name"])
    model.quick, model.checkpointing = settings.takes_quick_ways(data.image_size), settings.checkpointing
    if settings.channels_last:
        model.to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as nowhere:
        silent = pl.callbacks.ProgressBar()  # the base class draws nothing, and keeps Lightning from drawing its own
        trainer = settings.make([recorder, silent], [], Path(nowhere), val=1_000_000_000)
        trainer.fit(model, datamodule=data)
