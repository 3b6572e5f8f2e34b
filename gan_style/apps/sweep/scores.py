"""Validation scores of a training, read from its run folder while it runs."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """Rule that compares trainings: the one that chooses best.ckpt."""

    monitor: str
    mode: str

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """The mode in Optuna's terms."""
        return "maximize" if self.mode == "highest" else "minimize"

    def best(self, scores: list[tuple[int, float]]) -> tuple[int, float] | None:
        """Return iteration and value of the best score; the first of equal ones, as best.ckpt."""
        if not scores:
            return None
        sign = 1 if self.mode == "highest" else -1
        return max(scores, key=lambda row: (sign * row[1], -row[0]))


def read_scores(run_dir: Path, monitor: str) -> list[tuple[int, float]]:
    """Read iteration and value of every finite score in metrics.csv, in the order of the iterations."""
    try:
        text = (run_dir / "metrics.csv").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    lines = [line for line in text.replace("\0", "").splitlines(keepends=True) if line.endswith("\n")]
    found: dict[int, float] = {}
    for row in csv.DictReader(lines):  # without a half-written last line
        try:
            value = float(row.get(monitor) or "nan")
            if math.isfinite(value):
                found[int(row["iteration"])] = value
        except (ValueError, KeyError):
            continue
    return sorted(found.items())
