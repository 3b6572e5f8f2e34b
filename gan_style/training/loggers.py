"""Loggers: a CSV file always, TensorBoard or Weights & Biases in addition."""

from __future__ import annotations

import csv
import io
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from gan_style.core.paths import write_whole
from gan_style.core.terminal import warn
from gan_style.training.engine.hooks import RewindingLogger


class CSVLog(RewindingLogger):
    """Logger to `metrics.csv`: one row per iteration that logged something, a column per name.

    Lightning's own CSVLogger deletes the file when a run is resumed; this one keeps the rows up to the iteration of the
    checkpoint, as if the run had never stopped.

    Args:
        path: the file.
        from_iteration: later rows are dropped.
    """

    def __init__(self, path: Path, from_iteration: int = 0) -> None:
        super().__init__()
        self.path = path
        self.from_iteration = from_iteration
        self._columns: list[str] = []
        self._row: dict[str, str] = {}

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the config has a file of its own."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._row and self._row["iteration"] != str(step):
            self.save()
        self._row["iteration"] = str(step)
        self._row |= {name: f"{float(value):.9g}" for name, value in metrics.items()}

    @rank_zero_only
    def save(self) -> None:
        """Write the current row, which stays open until the next iteration, because a validation adds to it."""
        if not self._row:
            return
        if not self._columns:
            self._columns = ["iteration"]
            self._rewrite([row for row in self._read() if int(row["iteration"]) <= self.from_iteration])
        new = [name for name in self._row if name not in self._columns]
        if new:
            rows = self._read()
            self._columns += new
            self._rewrite(rows)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns, restval="", lineterminator="\n").writerow(self._row)
        self._row = {}

    @rank_zero_only
    def rewind(self, iteration: int) -> None:
        """Remove the rows of later iterations, which will be written again."""
        self.save()
        rows = self._read()
        self._rewrite([row for row in rows if int(row["iteration"]) <= iteration])

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _read(self) -> list[dict[str, str]]:
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        reader = csv.DictReader(line for line in lines if line.endswith("\n"))  # a power cut may leave half a line
        rows = list(reader)
        self._columns += [name for name in reader.fieldnames or [] if name not in self._columns]
        return rows

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.path, text.getvalue())


def is_first_process() -> bool:
    """Check whether this is the process that writes; works before the processes are connected."""
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


def csv_loggers(*, run_dir: Path, from_iteration: int = 0, run_id: str = "") -> list[Logger]:
    """Build the loggers of `logger=csv`."""
    return [CSVLog(run_dir / "metrics.csv", from_iteration)]


def tensorboard_loggers(*, run_dir: Path, from_iteration: int = 0, run_id: str = "") -> list[Logger]:
    """Build the loggers of `logger=tensorboard`; `tensorboard --logdir runs` shows every run."""
    board = TensorBoardLogger(
        run_dir, name="", version="tensorboard", purge_step=from_iteration + 1 if from_iteration else None
    )
    return [*csv_loggers(run_dir=run_dir, from_iteration=from_iteration), board]


class ForgivingWandb(WandbLogger):
    """Logger to W&B whose failures do not stop training: the first is reported, and nothing more is sent."""

    lost = False

    def guarded(self, call: Callable[[], object]) -> None:
        """Call it, unless W&B has failed before."""
        if self.lost:
            return
        try:
            call()
        except Exception as error:  # errors of the service, network and disk have no common class
            self.lost = True
            reason = " ".join(f"{error}".split())[:120]
            warn(f"note: W&B has failed ({reason}): training goes on, and metrics.csv has every row")

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.guarded(lambda: super(ForgivingWandb, self).log_metrics(metrics, step))


def wandb_loggers(
    *,
    run_dir: Path,
    from_iteration: int = 0,
    run_id: str = "",
    settings: Any = None,
    project: str = "gan_style",
    entity: str | None = None,
    name: str | None = None,
    group: str | None = None,
    tags: list[str] | None = None,
    offline: bool = True,
    init_timeout: float = 20.0,
    upload_checkpoint: bool = True,
) -> list[Logger]:
    """Build the loggers of `logger=wandb`, which needs no account and no network; `wandb sync` sends an offline run.

    Args:
        run_dir: W&B writes into `run_dir/wandb`.
        from_iteration: of a resumed run.
        run_id: kept in the checkpoint, so that a resumed run is the same W&B run.
        settings: the plain config, shown with the run.
        project, entity, name, group, tags: of the W&B run.
        offline: unless the environment variable WANDB_MODE is set.
        init_timeout: seconds to wait for the server before going offline.
        upload_checkpoint: log best.ckpt as an artifact when training ends.
    """
    loggers = csv_loggers(run_dir=run_dir, from_iteration=from_iteration)
    if not is_first_process():
        return [*loggers, WandbLogger(save_dir=run_dir, offline=True)]
    import wandb

    mode: Any = os.environ.get("WANDB_MODE") or ("offline" if offline else "online")
    quiet = wandb.Settings(init_timeout=init_timeout, silent=True, console="off", x_disable_stats=True)
    arguments: dict[str, Any] = {
        "project": project,
        "entity": entity,
        "name": name or run_dir.name,
        "group": group,
        "tags": tags,
        "id": run_id or None,
        "resume": "allow",
        "dir": str(run_dir),
        "config": settings,
        "settings": quiet,
    }
    try:
        run = wandb.init(mode=mode, **arguments)
    except (wandb.errors.CommError, wandb.errors.UsageError) as error:
        reason = " ".join(str(error).split())[:120]
        warn(f"W&B does not take this run ({reason}): it is logged offline")
        run = wandb.init(mode="offline", **arguments)
    logger = ForgivingWandb(experiment=run, save_dir=run_dir)
    logger.upload_checkpoint = upload_checkpoint  # type: ignore[attr-defined]
    return [*loggers, logger]


def wandb_run_id(loggers: list[Logger]) -> str | None:
    """Return the W&B id to keep in the checkpoint; None without W&B."""
    for logger in loggers:
        if isinstance(logger, WandbLogger) and is_first_process():
            return str(logger.experiment.id)
    return None


def begun_at(resume: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a logger is given of the checkpoint that its run goes on from."""
    if resume is None:
        return {"from_iteration": 0, "run_id": ""}
    return {"from_iteration": resume["iteration"], "run_id": resume.get("wandb_id") or ""}


@rank_zero_only
def finish(loggers: list[Logger], checkpoint: Path | None) -> None:
    """Log the checkpoint and close the files and connections of a run."""
    for logger in loggers:
        if isinstance(logger, ForgivingWandb):
            logger.guarded(partial(_log_checkpoint, logger, checkpoint))
        else:
            logger.finalize("success")


def _log_checkpoint(logger: WandbLogger, checkpoint: Path | None) -> None:
    import wandb

    if checkpoint is not None and checkpoint.is_file() and getattr(logger, "upload_checkpoint", False):
        artifact = wandb.Artifact(f"checkpoint-{logger.experiment.id}", type="model")
        # "immutable" avoids a second copy of a large file; best.ckpt is replaced, never changed in place
        artifact.add_file(str(checkpoint), policy="immutable")
        logger.experiment.log_artifact(artifact, aliases=["best"])
    logger.experiment.finish()
    logger.finalize("success")
