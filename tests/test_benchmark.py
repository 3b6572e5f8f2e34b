"""Every suite of experiments/benchmark.py runs: small, by the command that its page gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FEW = ["model.generator.filters=4", "model.discriminator.filters=4"]
SUITES = {
    "step": ["size=32", "rounds=1", *FEW],
    "profile": ["size=32", *FEW],
    "styles": ["size=32", "rounds=1", "depth=relu2_1"],
    "methods": ["size=32", "rounds=1", "models=cut", *FEW],
    "data": ["count=4", "rounds=1"],
    "inference": ["size=32", "rounds=1", "count=2"],
    "gpu": ["size=32", "batch=1", "rounds=1", "seconds=1", "rate=1", *FEW],
    "ranks": ["size=32", "rounds=1", "iterations=4", *FEW],
    "doctor": ["size=32", "looks=2", "every=2", *FEW],
    "memory": ["size=64"],
}


COMPILES = "gpu"  # for minutes


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "suite",
    [pytest.param(name, marks=getattr(pytest.mark, "quiet" if name == COMPILES else "slow")) for name in SUITES],
)
def test_a_suite_runs_and_writes_its_numbers(suite: str, tmp_path: Path) -> None:
    words = [f"suite={suite}", *SUITES[suite], "--out", str(tmp_path / "out.json")]
    command = [sys.executable, str(ROOT / "experiments" / "benchmark.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "out.json").read_text())["threads"] >= 1
    assert done.stdout.strip()


def test_no_suite_is_left_out() -> None:
    files = {path.stem for path in (ROOT / "experiments" / "suites").glob("*.py")}
    assert files - set(SUITES) == {"common", "lightning_loop", "peer", "reference"}
