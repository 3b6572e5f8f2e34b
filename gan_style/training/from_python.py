"""Training from Python, with the overrides of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_style.core import memory
from gan_style.core.compose import composed
from gan_style.core.errors import TrainingFailed, UserError
from gan_style.core.paths import cannot_use, expanded
from gan_style.training import run
from gan_style.training.run_folder import scores_of


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training.

    Attributes:
        run_dir: its folder, as the command writes it.
        best: the checkpoint that the rule `best` chose, or None where nothing was saved.
        last: the newest checkpoint, or None.
        scores: `best` and `last` -> direction -> score -> {"value": ...}, beside those of the baselines; empty where
            nothing was scored.
    """

    run_dir: Path
    best: Path | None
    last: Path | None
    scores: dict[str, Any]

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a sentence, the newest pictures, the scores."""
        from gan_style.report.notebook import run_cell

        return run_cell(self.run_dir)


def train(
    *overrides: str,
    run_dir: str | Path | None = None,
    config_dir: str | Path | None = None,
) -> TrainingResult:
    """Train as `gan-style train` does, in this process.

    Ctrl-C and SIGTERM save the run while it trains; afterwards the previous signal handlers are restored. Training on
    several devices starts processes that run the command line again: use the command for it.

    Args:
        *overrides: of config keys, as on the command line, such as "model=cut", "data.root=photos",
            "trainer.max_steps=1000".
        run_dir: the run's folder; None takes that of the overrides, or `runs/<model>-<data>/<time>`.
        config_dir: a folder of the user's own configs, as `--config-dir` names it.

    Raises:
        UserError: a mistake in the overrides, the data or the configs, or a disk that refuses a file.
        TrainingFailed: a loss or a weight is not finite, or memory ran out.
        Interrupted: a signal; the run was saved.
    """
    config = composed(overrides, config_dir)
    if run_dir is not None:
        config["run_dir"] = str(expanded(run_dir))
    try:
        folder = run.train(config)
    except Exception as error:
        if memory.ran_out(error):
            raise TrainingFailed(memory.sentence(error, memory.advice_of("train"))) from error
        if isinstance(error, OSError):
            raise UserError(cannot_use(error, "a file of the run")) from error
        raise
    best, last = (folder / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    return TrainingResult(folder, best if best.is_file() else None, last if last.is_file() else None, scores_of(folder))
