"""`findings.jsonl` of a run folder: the findings of the doctor, one a line."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from gan_style.core.paths import write_whole
from gan_style.training.doctor.codes import Finding

NAME = "findings.jsonl"


class FindingsFile:
    """File of the findings of a run.

    Args:
        run_dir: its folder; nothing is written before there is a finding.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / NAME

    def add(self, finding: Finding) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(finding.row()) + "\n")

    def cut(self, iteration: int) -> None:
        """Drop findings after an iteration that the run goes on from: they will be found again."""
        if self.path.is_file():
            rows = [row for row in read(self.path) if row["iteration"] <= iteration]
            write_whole(self.path, "".join(json.dumps(row) + "\n" for row in rows))


def read(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a findings file, without a line that a crash left incomplete."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows
