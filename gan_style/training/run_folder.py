"""Run folders: their location, the checkpoint to resume from, and the summary of a run."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from gan_style.checkpoints import checkpoint
from gan_style.core import terminal
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, resolved, slashed, write_whole
from gan_style.core.version import __version__
from gan_style.data.drawn import ScenesDataModule
from gan_style.data.named.folder import read_manifest
from gan_style.data.named.table import NAMED_SETS
from gan_style.models.translator import Translator
from gan_style.training import loggers
from gan_style.training.callbacks.cost import peak_gigabytes
from gan_style.training.callbacks.keeper import Keeper
from gan_style.training.callbacks.losses import LogLosses
from gan_style.training.callbacks.score_file import BEST, LAST
from gan_style.training.trainer import machine

STARTED = "GAN_STYLE_STARTED"
# Nearly every run has a cycle_honesty of 1, one that has learned nothing among them (docs/evaluation.md): only what is
# lower says something, and is in the last lines of a run.
SAID_HONESTY = 0.95

DRAWN = {
    "name": "scenes",
    "licence": "none needed: they are made of nobody's pictures",
}


def locate(run_dir: str | None, resume: str | None, name: str, multirun_dir: Path | None) -> tuple[Path, Path | None]:
    """Return the run folder and the checkpoint to resume from; nothing is created yet.

    Raises:
        UserError: nothing to resume.
    """
    for key, value in (("run_dir", run_dir), ("resume", resume)):
        if value == "":
            raise UserError(f"{key}= is empty: give it a value, or leave it out")
    given = expanded(run_dir) if run_dir else multirun_dir
    if run_dir and slashed(run_dir) and not expanded(run_dir).exists():
        raise UserError(f"run_dir={run_dir} is no folder below another{slashed(run_dir)}: write it with /")
    if resume == "last":
        if given is None:
            raise UserError("resume=last goes on with the run of run_dir: add run_dir=DIR, or give resume=PATH")
        newest = given / "checkpoints" / "last.ckpt"
        if not newest.is_file() and not newest.with_name("previous.ckpt").is_file():
            raise UserError(f"resume=last found no checkpoint {newest}: check run_dir, or leave resume out")
        return given, newest
    if resume:
        path = expanded(resume)
        own = path.parent.parent
        if given is None and path.parent.name == "checkpoints" and (own / "config.yaml").is_file():
            given = own
        return given or new_run_dir(name), path
    return given or new_run_dir(name), None


def check_folder_is_free(run_dir: Path, resume_from: Path | None) -> None:
    """Check that a folder holds no other run; call it while the folder is locked, so that none can begin meanwhile.

    Args:
        run_dir: folder of the run.
        resume_from: the checkpoint to resume from.

    Raises:
        UserError: the folder holds another run than that of the checkpoint.
    """
    if not holds_a_run(run_dir):
        return
    if resume_from is None:
        raise UserError(
            f"run_dir={run_dir} already holds a run: add resume=last to go on with it, or name another folder"
        )
    if resolved(resume_from).parent != resolved(run_dir / "checkpoints"):
        raise UserError(f"run_dir={run_dir} holds another run than {resume_from}: name another folder")


def holds_a_run(folder: Path) -> bool:
    """Check for a checkpoint: a start that failed leaves none, and its folder may be used again."""
    return any((folder / "checkpoints" / name).is_file() for name in ("last.ckpt", "previous.ckpt"))


def load_to_go_on(path: Path, newest: bool) -> dict[str, Any]:
    """Load the checkpoint to resume from; if the newest is damaged or missing, the one before it, with a note.

    Args:
        path: of a checkpoint.
        newest: whether "the newest" was asked for, and not this very file.

    Raises:
        UserError: it cannot be read, and there is none before it that can.
    """
    try:
        return checkpoint.load(path)
    except UserError as error:
        before = path.with_name("previous.ckpt")
        if not newest or not before.is_file():
            raise
        content = checkpoint.load(before)
        say(f"note: {error}; the one before it is taken, {before} of iteration {content['iteration']}")
        return content


def new_run_dir(name: str) -> Path:
    """Return `runs/<name>/<time>`; the first process passes the time to the others in the environment.

    Raises:
        UserError: the name leads out of runs, as that of an untrusted experiment may.
    """
    if not name or os.path.isabs(name) or ".." in Path(name).parts or not name.isprintable():
        raise UserError(f"name={name} is no name of a folder below runs: take letters, or give the folder as run_dir=")
    now = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    stamp = now if loggers.is_first_process() else os.environ.get(STARTED, now)
    os.environ[STARTED] = stamp
    return Path("runs") / name / stamp


def scores_of(run_dir: Path) -> dict[str, Any]:
    """Read the scores of best.ckpt and of the newest weights, and the baselines: name -> direction -> score."""
    found: dict[str, Any] = {}
    for name, file in (("best", BEST), ("last", LAST)):
        if (run_dir / file).is_file():
            content = json.loads((run_dir / file).read_text(encoding="utf-8"))
            found[name] = content["scores"]
    return found | (content["baselines"] if found else {})


def write_run_file(run_dir: Path, trainer: pl.Trainer, model: Translator, seconds: float, stopped: str) -> None:
    """Write `run.json`: the machine, cost, checkpoints and data set of a run."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    losses = next(callback for callback in callbacks if isinstance(callback, LogLosses))
    keeper = next(callback for callback in callbacks if isinstance(callback, Keeper))
    content = {
        "gan_style": __version__,
        **machine(trainer),
        "iterations": model.iteration,
        "from_iteration": keeper.started_at,
        "seconds": round(seconds, 1),
        "images_per_s": None if losses.images_per_s != losses.images_per_s else round(losses.images_per_s, 2),
        "peak_memory_gb": round(peak_gigabytes(), 2),
        "parameters": model.parameter_counts(),
        "best": keeper.best,
        "last": {"iteration": keeper.saved_at},
        "data": credits_of(trainer.datamodule),  # type: ignore[attr-defined]
        **({"init_from": keeper.about["init_from"]} if "init_from" in keeper.about else {}),
        "stopped": stopped,
        **({"ended early": keeper.ended_early} if keeper.ended_early else {}),
    }
    write_whole(run_dir / "run.json", json.dumps(content, indent=2) + "\n")


def credits_of(data: Any) -> dict[str, str] | None:
    """Return what the report says about the pictures of a named or drawn set; None for others.

    Args:
        data: a data module; a folder made by `gan-style download` has a manifest with the set's name.
    """
    if isinstance(data, ScenesDataModule):
        return DRAWN | {"about": f"landscapes, drawn by gan_style; task {data.task.name}: {data.task.text}"}
    root = getattr(data, "root", None)
    if root is None:  # given as data.A and data.B, so not the set
        return None
    name = getattr(data, "set", None)
    if not name:
        with contextlib.suppress(UserError, OSError):  # must not fail at the end of a run
            name = read_manifest(expanded(root)).get("name")
    if name not in NAMED_SETS:
        return None
    return {key: getattr(NAMED_SETS[name], key) for key in ("name", "about", "licence", "citation")}


def summarise(run_dir: Path, keeper: Keeper) -> None:
    """Print the last lines of a run: scores beside their baselines, and the paths of its files."""
    if not loggers.is_first_process():
        return
    columns = scores_of(run_dir)
    if columns:
        say(f"{'':28}{''.join(f'{name:>{_width(name)}}' for name in columns)}")
    for direction, scores in columns.get("last", {}).items():
        for score in scores:
            found = [(name, column.get(direction, {}).get(score, {}).get("value")) for name, column in columns.items()]
            if score == "cycle_honesty" and all(value is None or value >= SAID_HONESTY for _, value in found):
                continue
            cells = ["" if value is None else f"{value:.4g}" for _, value in found]
            say(
                f"{direction + ' ' + score:28}"
                + "".join(f"{cell:>{_width(name)}}" for (name, _), cell in zip(found, cells, strict=True))
            )
    say(f"pictures    {run_dir / 'images'}")
    say(f"report      {run_dir / 'report.html'}")
    best = keeper.best
    say(f"checkpoint  {keeper.folder / 'best.ckpt'} (iteration {best['iteration']}, {best['rule']})")
    if keeper.ended_early:
        say(f"ended early: {keeper.ended_early}; to go on, resume=last with a higher best.patience or without it")


def _width(column: str) -> int:
    return max(len(column) + 6, 12)  # the longest number of four digits has ten characters


@rank_zero_only
def say(text: str) -> None:
    """Print a line, in the first process only."""
    terminal.say(text, flush=True)
