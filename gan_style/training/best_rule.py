"""Choice of best.ckpt, and early stopping of a run that no longer improves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytorch_lightning as pl

from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.types import Count
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.metrics.table import NAMED
from gan_style.models.translator import Translator
from gan_style.training.callbacks.keeper import out_of_patience
from gan_style.training.engine.hooks import run_callbacks

# What `auto` takes the first of that the data allows. Of what knows the truth, a true painter wins the local distance
# and a blur does not, while PSNR ranks a blur first (docs/benchmark.md); swd: experiments/2026-11-25-best-rule.
PREFERRED = ("local_distance", "swd")


@dataclass
class BestRule:
    """Rule that chooses best.ckpt.

    Args:
        monitor: a score of validations: its column (`val/A2B/ssim`), or its name (`psnr`, `kid`, `swd`, ...) for the
            mean over directions; "auto" takes `local_distance` where the truth is known and else `swd`; None the
            newest weights.
        mode: its better end; "auto" knows that of our own scores.
        patience: validations without a better score after which the run ends; None does not end it.
    """

    monitor: str | None
    mode: Literal["auto", "highest", "lowest"] = "auto"
    patience: Count | None = None

    def __str__(self) -> str:
        return f"{self.mode} {self.monitor}" if self.monitor else "newest, because there is no score to choose by"


def resolve(
    asked: Mapping[str, Any],
    callbacks: Sequence[pl.Callback],
    model: Translator,
    data: UnpairedDataModule,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Find the score that a rule means, before training begins.

    Args:
        asked: the config's `best`, of the keys of `BestRule`.
        callbacks: those that score say what they offer; of a callback from another package nothing is known before it
            has scored.
        before: the rule of the checkpoint that the run goes on from; "auto" keeps it, because it chose its best.ckpt.

    Returns: the keys of `BestRule`, without "auto".

    Raises:
        UserError: the run has no such score, or it is not clear which end of which is better.
    """
    rule = BestRule(**asked)
    offered: dict[str, str] = {}
    for callback in run_callbacks(callbacks):
        offered |= callback.offers(model, data)
    if rule.monitor == "auto":
        if rule.mode != "auto":
            raise UserError(f"best.mode={rule.mode} is the better end of a score: name that too, best.monitor=NAME")
        kept = before.get("monitor") if isinstance(before, Mapping) else None  # of a file, so it may be anything
        metrics = [*([kept] if isinstance(kept, str) else []), *PREFERRED]
        found = [name for metric in metrics for name in _meant(metric, offered)[:1]]
        rule.monitor = found[0] if found else None
    elif rule.monitor is not None:
        meant = _meant(rule.monitor, offered)
        own = any(not type(callback).__module__.startswith("gan_style.") for callback in callbacks)
        if len(meant) != 1 and not own:
            raise UserError(
                f"best.monitor={rule.monitor} is not a score of this run"
                + (did_you_mean(rule.monitor, offered) if offered else ", which has none: leave it out")
            )
        rule.monitor = meant[0] if meant else rule.monitor
    if rule.mode == "auto" and rule.monitor is not None:
        if rule.monitor not in offered:
            raise UserError(f"best.mode must be given for best.monitor={rule.monitor}: highest or lowest")
        rule.mode = offered[rule.monitor]  # type: ignore[assignment]
    if rule.patience is not None and rule.monitor is None:
        raise UserError("best.patience needs a score to wait for, and this run has none: leave it out")
    return asdict(rule)


def nothing_left(resume: Mapping[str, Any], iterations: int, rule: BestRule) -> str | None:
    """Return why a checkpoint needs no more training, or None if it does."""
    if resume["iteration"] >= iterations:
        return f"has done {resume['iteration']} of {iterations} iterations"
    best = resume["best"]
    if best["rule"] == str(rule) and out_of_patience(best, rule.patience):
        return f"saw no better {rule.monitor} in {rule.patience} validations, which is best.patience"
    return None


def _meant(metric: str, offered: Mapping[str, str]) -> list[str]:
    """Return the columns that a name stands for: itself, or the mean over directions of that metric."""
    if metric in offered:
        return [metric]
    row = NAMED.get(metric)
    if row is not None and f"val/{row.inception}" in offered:  # frechet is called fid with the weights of 2015
        return [f"val/{row.inception}"]
    return [name for name in offered if name == f"val/{metric}" or name.startswith(f"val/{metric}_")]
