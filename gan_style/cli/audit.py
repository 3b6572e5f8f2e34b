"""`gan-style audit`: train twice from one seed in one process, and name the first tensor that differs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from gan_style.core.compose import composed
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.paths import write_whole
from gan_style.core.terminal import answer
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.training.callbacks.recorder import Recorder
from gan_style.training.refusals import check_beginning
from gan_style.training.run import Checked, begun_from, check_model, checked, engine_of_run, known_of_data
from gan_style.training.teacher import taught
from gan_style.training.trainer import TrainerSettings, quiet_lightning


def audit(
    overrides: Sequence[str], iterations: int = 3, out: Path | None = None, config_dir: str | Path | None = None
) -> int:
    """Train twice, say in one sentence whether both were the same, and return the exit status.

    Args:
        overrides: of config keys, such as `model=cut`.
        iterations: of each of the two trainings.
        out: a JSON file of the finding.
        config_dir: a folder of the user's own configs.

    Returns: 1 where a tensor differs, else 0.

    Raises:
        UserError: a mistake in the overrides, or a training that cannot be audited.
    """
    if iterations < 1:
        raise UserError(f"--iterations {iterations} trains nothing: give 1 or more")
    finding = compare(composed(overrides, config_dir), iterations)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, json.dumps(finding, indent=2) + "\n")
    answer(verdict(finding))
    return 0 if finding["same"] else 1


def compare(config: Mapping[str, Any], iterations: int) -> dict[str, Any]:
    """Train twice from the seed of a plain config, leaving no run folder.

    Returns: `same`; `iterations` and `seed`; `compared`, tensors of the second training by kind, up to and with the
        first that differs; and `first`, that one's `iteration`, `kind`, `path`, `call` and `turn`, or None.

    Raises:
        UserError: as for `train`; also several processes, a compiled model or a checkpoint to go on from.
    """
    run = checked(config)
    settings: TrainerSettings = build(run.trainer)
    settings.refuse_what_cannot_work(multirun=False)
    _refuse_what_is_not_audited(run.config["resume"], settings)
    check_beginning(run.config["init_from"], run.config["model"].get("warm_start"))
    quiet_lightning()
    strict = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        first = Recorder(iterations)
        _train(run, settings, first)
        second = Recorder(iterations, earlier=first.hashes)
        _train(run, settings, second)
    finally:  # trainer.deterministic holds for the process, and this one may go on with something else
        torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])
    return {
        "same": second.first_difference is None,
        "iterations": iterations,
        "seed": run.config["seed"],
        "compared": second.counts,
        "first": second.first_difference,
    }


def counted(count: int, kind: str) -> str:
    ending = "" if count == 1 else "es" if kind.endswith(("s", "ch")) else "s"
    return f"{count:,} {kind}{ending}"


def verdict(finding: Mapping[str, Any]) -> str:
    """Express a finding of `compare` in one sentence."""
    first, seed = finding["first"], finding["seed"]
    if first is None:
        counts = ", ".join(counted(count, kind) for kind, count in finding["compared"].items())
        return f"same: {counted(finding['iterations'], 'iteration')} twice from seed {seed}, bit for bit ({counts})"
    where = f" of {first['path']}" if first["path"] else ""
    call = f", its call {first['call']} of the iteration" if first["kind"] == "output" else ""
    turn = f", in the turn of {first['turn']}" if first["turn"] else ""
    when = f"iteration {first['iteration']}" if first["iteration"] else "before the first iteration"
    return (
        f"differs: {when}, the {first['kind']}{where}{call}{turn}, is the first that a second training did not repeat"
    )


def _refuse_what_is_not_audited(resume: str | None, settings: TrainerSettings) -> None:
    if resume:
        raise UserError("an audit begins at the seed: leave resume out")
    if settings.world_size > 1:
        raise UserError("an audit trains in this process alone: set trainer.devices=1 and trainer.num_nodes=1")
    if settings.compile != "off":
        raise UserError(f"trainer.compile={settings.compile} hides the modules of a network: leave it out of an audit")


def _train(run: Checked, settings: TrainerSettings, recorder: pl.Callback) -> None:
    """Train as `run.train` does, with no other callback and no run folder."""
    torch.manual_seed(run.config["seed"])
    data: UnpairedDataModule = build(run.data)
    data.setup()
    model = build(run.model, **known_of_data(data, run.model.parameters))
    check_model(model, settings, data, run.config["name"])
    if run.config["init_from"]:
        begun_from(run.config["init_from"], model, run.config["model"], run.config["init_discriminators"])
    taught(model, run.config["model"].get("teacher"))
    engine = engine_of_run(model, settings, data)
    settings.tell(engine, data.image_size)
    with tempfile.TemporaryDirectory() as nowhere:
        silent = pl.callbacks.ProgressBar()  # the base class draws nothing, and keeps Lightning from drawing its own
        trainer = settings.make([recorder, silent], [], Path(nowhere), val=1_000_000_000)
        trainer.fit(engine, datamodule=data)
