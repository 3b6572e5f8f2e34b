"""A training run, from a composed config to a run folder. Config ends here: it is turned into objects."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from gan_style.checkpoints.restore import fitting, naming
from gan_style.core import terminal
from gan_style.core.allowed import in_config
from gan_style.core.config import Node, build, check_signature, no_node, read
from gan_style.core.errors import Interrupted, TrainingFailed, UserError
from gan_style.core.paths import write_whole
from gan_style.core.plain_data import plain_copy
from gan_style.core.sizes import in_pixels
from gan_style.core.types import Seed
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.metrics.own import as_nodes, own_scores
from gan_style.models.translator import Translator
from gan_style.report import write_report
from gan_style.training import arithmetic, failures, loggers
from gan_style.training.best_rule import BestRule, nothing_left, resolve
from gan_style.training.callbacks.cost import Cost
from gan_style.training.callbacks.doctor import Doctor
from gan_style.training.callbacks.keeper import Keeper
from gan_style.training.callbacks.losses import LogLosses
from gan_style.training.callbacks.progress import ShowProgress
from gan_style.training.engine.engine import Engine
from gan_style.training.init_from import begin_from, goes_on_from
from gan_style.training.refusals import (
    check_architecture,
    check_beginning,
    check_image_sizes,
    check_resumable,
    check_settings,
    check_styles,
    check_weights,
    check_wrap,
    differences,
)
from gan_style.training.run_folder import check_folder_is_free, load_to_go_on, locate, say, summarise, write_run_file
from gan_style.training.run_lock import held
from gan_style.training.schedule_notes import schedule_notes
from gan_style.training.teacher import taught
from gan_style.training.trainer import TrainerSettings, quiet_lightning


@dataclass
class RunConfig:
    """The keys of `conf/train.yaml`; each group is checked against the signature of its `_target_`.

    Args:
        model, data, trainer, logger: one object each.
        callbacks: objects by name, so that `~callbacks.ema` leaves one out.
        seed: everything random follows from it.
        run_dir: null makes `runs/<model>-<data>/<time>`.
        resume: a checkpoint, or "last" for the newest of run_dir.
        init_from: a checkpoint whose networks a new run begins with, where they fit; one that resumes has its own.
        init_discriminators: whether it takes discriminators, too.
        name: `<model>-<data>`.
        best: what chooses best.ckpt, see `BestRule`.
        doctor: see `Doctor`, which takes these keys.
        allow: prefixes of your own packages that a `_target_` may name.
        metrics: scores of your own: import paths of functions that return a `gan_style.metrics.Score`.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any]
    seed: Seed
    run_dir: str | None
    resume: str | None
    name: str
    best: dict[str, Any]
    doctor: dict[str, Any]
    allow: list[str]
    callbacks: dict[str, Any] | None = None
    metrics: list[Any] | None = None
    init_from: str | None = None
    init_discriminators: bool = True


NODES = ("model", "data", "trainer", "logger")  # groups of one object each
SIZES = ("image_size", "load_size")  # of data, in pixels


@dataclass(frozen=True)
class Checked:
    """A config that was checked: what is written of it, and the nodes that its objects are built of.

    Args:
        config: with today's names; kept in the run folder and in checkpoints, and compared with those.
        allowed: prefixes that its `_target_`s may have.
        model, data, trainer, logger: one object each.
        callbacks: in the order of the config.
    """

    config: dict[str, Any]
    allowed: tuple[str, ...]
    model: Node
    data: Node
    trainer: Node
    logger: Node
    callbacks: list[Node]


def train(config: Mapping[str, Any], *, multirun_dir: Path | None = None) -> Path:
    """Train as a plain config says and return the run folder.

    Args:
        config: resolved; see `RunConfig`.
        multirun_dir: the job's own folder in a Hydra multirun.

    Raises:
        UserError: a mistake in the config, the data or the command.
        TrainingFailed: a loss or a weight is not finite.
        Interrupted: a signal; the run was saved.
    """
    run = checked(config)
    settings = build(run.trainer)
    settings.refuse_what_cannot_work(multirun=multirun_dir is not None)
    run_dir, resume_from = locate(run.config["run_dir"], run.config["resume"], run.config["name"], multirun_dir)
    if not loggers.is_first_process():  # it writes nothing
        _train(run, settings, run_dir, resume_from)
        return run_dir
    with held(run_dir):
        check_folder_is_free(run_dir, resume_from)
        _train(run, settings, run_dir, resume_from)
    return run_dir


def _train(run: Checked, settings: TrainerSettings, run_dir: Path, resume_from: Path | None) -> None:
    """Train in a run folder that is locked, or as a further process."""
    config = run.config
    resume = load_to_go_on(resume_from, newest=config["resume"] == "last") if resume_from else None
    if resume is not None:
        with naming(str(resume_from)), fitting():
            check_resumable(resume, resume_from)
            check_architecture(config, resume, resume_from)
    else:
        check_beginning(config["init_from"], config["model"].get("warm_start"))
    quiet_lightning()

    torch.manual_seed(config["seed"])
    data: UnpairedDataModule = build(run.data)
    data.setup()
    if resume is not None:
        if "styles" in run.model.parameters:
            check_styles(resume, data.style_names, resume_from)
        with naming(str(resume_from)), fitting():
            for difference in differences(config, resume, data.describe(), settings):
                say(f"note: {difference}")
    model = build(run.model, **known_of_data(data, run.model.parameters))
    check_model(model, settings, data, config["name"])
    if resume is not None:
        check_weights(model, resume, resume_from)
        config["init_from"] = goes_on_from(config["init_from"], resume)
        begun = resume.get("init_from")
    elif config["init_from"]:
        begun = begun_from(config["init_from"], model, config["model"], config["init_discriminators"])
    else:
        begun = None
    teacher = taught(model, config["model"].get("teacher"), resume, resume_from)
    scores = own_scores_taken(config["metrics"], run.allowed, [node.parameters for node in run.callbacks])
    chosen = [build(node, **taken) for node, taken in zip(run.callbacks, scores, strict=True)]
    before = resume["config"].get("best") if resume is not None else None
    config["best"] = resolve(config["best"], chosen, model, data, before)
    rule = BestRule(**config["best"])
    engine = engine_of_run(model, settings, data)
    iterations = settings.iterations(engine.iterations_per_epoch, model)
    if resume is not None and (done := nothing_left(resume, iterations, rule)):
        say(f"{resume_from} {done}: nothing is left to do")
        return
    announce(config["name"], OmegaConf.to_yaml(OmegaConf.create(config)), data, engine, iterations, run_dir, resume)
    settings.tell(engine, data.image_size)
    shown: dict[str, Any] = {"settings": config} if "settings" in run.logger.parameters else {}
    logs = build(run.logger, run_dir=run_dir, **loggers.begun_at(resume), **shown)
    content = {"config": config, **data.describe(), **arithmetic.describe(settings, data.image_size)}
    content["wandb_id"] = loggers.wandb_run_id(logs)
    content |= {"init_from": dict(begun)} if begun else {}
    content |= {"teacher": teacher} if teacher else {}
    keeper = Keeper(run_dir / "checkpoints", content, resume=resume, **kept_by(rule, settings, iterations))
    trainer = trainer_of(settings, chosen, logs, keeper, run_dir)
    try:
        fit(trainer, engine, data, keeper, logs, run_dir)
        summarise(run_dir, keeper)
        keeper.raise_if_signalled()
    finally:
        keeper.stop_listening()


def checked(config: Mapping[str, Any]) -> Checked:
    """Check keys and values of a plain config, once.

    Raises:
        UserError: the first wrong key or value.
    """
    ours, notes = plain_copy(config, "")
    for note in notes:
        say(note)
    ours = {"init_from": None, "init_discriminators": True, **ours}
    ours["metrics"] = as_nodes(ours.get("metrics"))
    # Before the callbacks, which refer to it: a mistake is named where the user made it.
    if isinstance(ours.get("doctor"), Mapping):
        check_signature(Doctor, ours["doctor"], "doctor")
    found = read(ours, allowed=None, target=RunConfig).values
    ours |= {key: value for key, value in found.items() if isinstance(value, bool | int | float | str)}
    ours["best"] = check_signature(BestRule, ours["best"], "best")
    nodes = [found[key] for key in NODES] + [one for one in (found.get("callbacks") or {}).values() if one]
    for node in nodes:
        if not isinstance(node, Node):
            raise no_node(node)
    model, data, trainer, logger, *callbacks = nodes
    # A square that was given as [N,N] is stored, and compared with that of a checkpoint, as N.
    ours["data"] |= {key: data.values[key] for key in SIZES if isinstance(data.values.get(key), int)}
    return Checked(ours, in_config(ours["allow"]), model, data, trainer, logger, callbacks)


def known_of_data(data: UnpairedDataModule, parameters: Collection[str]) -> dict[str, int]:
    """Return what a model is given of its data: the channels of each domain, and how many styles if it takes them."""
    known = {f"channels_{domain}": count for domain, count in data.channels.items()}
    return known | {"styles": len(data.style_names)} if data.style_names and "styles" in parameters else known


def check_model(model: Translator, settings: TrainerSettings, data: UnpairedDataModule, name: str) -> None:
    """Check a model against the data and the trainer's settings; `name` is the run's.

    Raises:
        UserError: the pictures are too small for it, or the settings do not fit it.
    """
    check_image_sizes(model, data)
    check_wrap(model, data, settings)
    check_settings(model, settings, name)


def begun_from(path: str, model: Translator, settings: Mapping[str, Any], discriminators: bool) -> dict[str, Any]:
    """Give a new model the networks of a file, and say which. Returns: the record of it.

    Args:
        path: the file.
        model: the new model.
        settings: of the new model, as in the config.
        discriminators: whether they are taken, too.

    Raises:
        UserError: no such checkpoint, or none whose generators fit.
    """
    begun = begin_from(path, model, settings, discriminators)
    say(begun.note())
    return begun.record()


def engine_of_run(model: Translator, settings: TrainerSettings, data: UnpairedDataModule) -> Engine:
    """Return the engine of a model, which knows the length of an epoch of these data on all processes."""
    return Engine(model, data.epoch_length / (data.batch_size * settings.world_size), data.wrap)


def own_scores_taken(
    metrics: Any, allowed: Sequence[str], parameters: Sequence[Collection[str]]
) -> list[dict[str, Any]]:
    """Build a run's own scores, and return those that each of its callbacks takes, by the parameters of each.

    Raises:
        UserError: a score of its own that nothing takes.
    """
    own = own_scores(metrics, allowed)
    taken: list[dict[str, Any]] = [{} for _ in parameters]
    for key, scorer, rows in (
        ("own_of_sets", "set_scores", [row for row in own if row.of_sets]),
        ("own_of_images", "truth_scores", [row for row in own if not row.of_sets]),
    ):
        takers = [more for more, names in zip(taken, parameters, strict=True) if key in names]
        if rows and not takers:
            raise UserError(f"metrics={rows[0].name} is scored by callbacks.{scorer}, which this run leaves out")
        for more in takers:
            more[key] = rows
    return taken


def kept_by(rule: BestRule, settings: TrainerSettings, iterations: int) -> dict[str, Any]:
    """Return when a `Keeper` saves and what it takes for the best, as its arguments."""
    return {
        "iterations": iterations,
        "every": settings.cadence(iterations)[1],
        "processes": settings.world_size,
        "rule": str(rule),
        "monitor": rule.monitor,
        "mode": "lowest" if rule.mode == "lowest" else "highest",
        "patience": rule.patience,
    }


def trainer_of(
    settings: TrainerSettings, chosen: Sequence[pl.Callback], logs: list[Any], keeper: Keeper, run_dir: Path
) -> pl.Trainer:
    """Make the trainer of a run, with the callbacks that every run has around those of its config."""
    val_every, _, log_every = settings.cadence(keeper.iterations)
    cost = Cost()
    losses = LogLosses(log_every, cost)
    # The order matters: Keeper restores the others before they start and saves before they finish; Cost is the last.
    callbacks = [keeper, losses, *chosen, ShowProgress(losses, keeper.iterations), cost]
    return settings.make(callbacks, logs, run_dir, val_every)


def fit(
    trainer: pl.Trainer,
    engine: Engine,
    data: UnpairedDataModule,
    keeper: Keeper,
    logs: list[Any],
    run_dir: Path,
) -> None:
    """Train, and leave a complete run folder whatever happens."""
    started, stopped = time.perf_counter(), "failed"
    try:
        keeper.listen()
        with _explaining(trainer, keeper):
            trainer.fit(engine, datamodule=data)
        stopped = "finished"
    except Interrupted:
        stopped = "interrupted"
        raise
    except (UserError, TrainingFailed) as error:
        stopped = f"failed: {error}"
        if not trainer.is_global_zero:  # the first process only learns that this one is gone
            terminal.warn(f"gan_style: process {trainer.global_rank}: {error}")
        raise
    finally:
        if trainer.is_global_zero:
            try:
                write_run_file(run_dir, trainer, engine.method, time.perf_counter() - started, stopped)
                loggers.finish(logs, run_dir / "checkpoints" / "best.ckpt")
                write_report(run_dir)
            except OSError as error:  # a full disk must not hide why training stopped
                say(f"cannot finish {run_dir} ({error.strerror}): see to that, then gan-style report {run_dir}")


@contextlib.contextmanager
def _explaining(trainer: pl.Trainer, keeper: Keeper) -> Iterator[None]:
    """Turn a library's error that ended training (no memory, a dead process) into a TrainingFailed."""
    try:
        yield
    except Exception as error:
        said = failures.explained(error, trainer.world_size)
        if said is None:
            raise
        raise TrainingFailed(f"{said}{keeper.what_is_left()}") from error


@rank_zero_only
def announce(
    name: str,
    config: str,
    data: UnpairedDataModule,
    engine: Engine,
    iterations: int,
    run_dir: Path,
    resume: Mapping[str, Any] | None,
) -> None:
    """Write config.yaml, of this text, and print what the run is about to do."""
    for note in schedule_notes(engine, iterations):
        say(note)
    run_dir.mkdir(parents=True, exist_ok=True)
    write_whole(run_dir / "config.yaml", config)
    counts = engine.method.parameter_counts()
    say(f"{name}: {', '.join(f'{part} {count:,} parameters' for part, count in counts.items())}")
    assert data.splits is not None
    for note in [*data.splits.notes, *data.splits.ledger.sentences()]:
        say(note)
    start = f"iteration {resume['iteration']} to {iterations}" if resume else f"{iterations} iterations"
    say(f"{start} of {data.batch_size} at {in_pixels(data.image_size)}, into {run_dir}")
