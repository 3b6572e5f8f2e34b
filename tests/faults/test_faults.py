"""Each fault once; `python -m tests.faults --kills 50` prints the whole table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.kinds import FAULTS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="it finds children as Linux lists them")


def faults(*words: str) -> list[str]:
    """The table's rows; a process of its own, because threads of this one would not survive a fork."""
    command = [sys.executable, "-m", "tests.faults", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]


@pytest.mark.slow
def test_a_kill_while_a_checkpoint_is_written_loses_nothing() -> None:
    [row] = faults("--kills", "2", "--only", "is written")
    assert row.startswith("| kill -9 while a checkpoint is written | 1 | 1 | 1 | 1 | 0 |")


@pytest.mark.slow
def test_where_nothing_is_compared_the_table_says_so() -> None:
    [row] = faults("--only", "cannot be written")
    assert row.startswith("| run folder that cannot be written | 1 | 1 | nothing | - | - |")


@pytest.mark.slow
def test_a_disk_that_is_really_full_costs_nothing() -> None:
    [row] = faults("--only", "on a real disk")
    if "skipped: " in row:
        pytest.skip("no disk can be mounted here, which takes root")
    assert row.startswith("| no space left, on a real disk | 1 | 1 | 1 | 1 | 0 |")
    assert "No space left" in row


@pytest.mark.quiet
def test_every_fault_is_survived_without_a_loss() -> None:
    rows = faults("--kills", "6")
    assert len(rows) == len(FAULTS)
