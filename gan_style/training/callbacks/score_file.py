"""Recording of a validation's scores: in the loggers, Lightning's table of metrics, and `scores.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytorch_lightning as pl
import torch

from gan_style.core.direction import Direction
from gan_style.core.paths import write_whole
from gan_style.core.sizes import stored
from gan_style.core.terminal import say
from gan_style.metrics.table import without_infinities
from gan_style.models.translator import Translator
from gan_style.training.engine.engine import Engine
from gan_style.training.engine.hooks import run_callbacks

LAST, BEST = "scores.json", "scores_best.json"  # of the newest weights, and of those in best.ckpt

_said: WeakKeyDictionary[pl.Trainer, set[tuple[str, str]]] = WeakKeyDictionary()  # warnings are given once in a run
# direction -> score -> value, low, high, floor, and of a score of one's own also better, title, text
Scores = dict[str, dict[str, dict[str, Any]]]


def record(
    trainer: pl.Trainer,
    engine: Engine,
    scores: Scores,
    protocol: Mapping[str, Any],
    baselines: Mapping[str, Scores] | None = None,
) -> None:
    """Log `val/A2B/<score>`, ..., and `val/<score>`, the mean over directions; add all to `scores.json`.

    Every rank must call it, with the same scores.

    Args:
        scores: of the weights of this iteration.
        protocol: how these scores were taken; what all scores share is added.
        baselines: scores that they have to beat.
    """
    scores, broken = _finite(scores)
    baselines = {name: _finite(found)[0] for name, found in (baselines or {}).items()}
    row: dict[str, float] = {}
    means: dict[str, list[float]] = {}
    made: dict[str, float] = {}
    for direction, found in scores.items():
        for name, score in found.items():
            value = score["value"]
            made |= dict.fromkeys((f"val/{direction}/{name}", f"val/{name}"), math.nan)
            if value is not None:
                row[f"val/{direction}/{name}"] = value
                means.setdefault(f"val/{name}", []).append(value)
    row |= {name: sum(values) / len(values) for name, values in means.items()}
    # Lightning's table of metrics, which the rule for best.ckpt reads: NaN is a score that has no value this time
    table = {name: torch.tensor(value, dtype=torch.float64) for name, value in (made | row).items()}
    engine.log_dict(table, logger=False, batch_size=1)
    if not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        logger.log_metrics(row, step=engine.iteration)
    for (direction, name), number in broken.items():
        if (direction, name) not in _said.setdefault(trainer, set()):
            _said[trainer].add((direction, name))
            say(
                f"warning: the metric {name} gives {number} ({direction}), at iteration {engine.iteration}: {LAST} has "
                "null for it until it gives a number, and it chooses no best.ckpt",
                flush=True,
            )
    averaged = any(one.averages_weights for one in run_callbacks(trainer.callbacks))  # type: ignore[attr-defined]
    shared = {
        "checkpoint rule": "the weights at this iteration",
        "iteration": engine.iteration,
        "weights": "EMA" if averaged else "raw",
        "size": stored(trainer.datamodule.image_size),  # type: ignore[attr-defined]
    }
    _add(
        Path(trainer.default_root_dir) / LAST,
        {"protocol": {**shared, **protocol}, "scores": scores, "baselines": baselines},
    )


def _finite(scores: Scores) -> tuple[Scores, dict[tuple[str, str], float]]:
    """Replace numbers that are NaN or infinite by None; where a score has none, say what it gave."""
    found: Scores = {}
    broken: dict[tuple[str, str], float] = {}
    for direction, rows in scores.items():
        found[direction] = {}
        for name, score in rows.items():
            found[direction][name], number = without_infinities(score)
            if number is not None:
                broken[direction, name] = number
    return found, broken


def made_of(model: Translator, batch: Mapping[str, Any], direction: Direction) -> list[Hashable]:
    """Return an id of each translation of a batch, alike on all ranks: its input, and its style if a picture."""
    names = batch[f"path_{direction.source}"]
    return list(zip(names, batch[f"path_{direction.target}"], strict=True)) if model.takes_style else list(names)


def keep_best(run_dir: Path, rule: str, iteration: int) -> None:
    """Write the scores of best.ckpt beside those of the newest weights, with the rule in their protocol."""
    content = _read(run_dir / LAST)
    if content.get("protocol", {}).get("iteration") != iteration:  # nothing was scored
        return
    content["protocol"]["checkpoint rule"] = rule
    _write(run_dir / BEST, content)


def cut(run_dir: Path, iteration: int) -> None:
    """Drop scores of an iteration after the one that the run goes on from: they are computed again."""
    if _read(run_dir / LAST).get("protocol", {}).get("iteration", 0) > iteration:
        (run_dir / LAST).unlink()


def _add(path: Path, new: Mapping[str, Any]) -> None:
    """Merge scores into the file if it is of the same validation, else replace it: several callbacks score one."""
    old = _read(path)
    same = old.get("protocol", {}).get("iteration") == new["protocol"]["iteration"]
    _write(path, _merged(old, new) if same else new)


def _merged(a: Any, b: Any) -> Any:
    if not (isinstance(a, Mapping) and isinstance(b, Mapping)):
        return b
    return {**a, **{key: _merged(a[key], value) if key in a else value for key, value in b.items()}}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
