"""Every suite of experiments/benchmark.py runs: small, by the command that its page gives."""

from __future__ import annotations

import json
import subprocess
import sys
import time
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
    "gpu": ["size=32", "batch=1", "rounds=1", "seconds=1", "rate=1", *FEW, "parts=speed"],
    "start": ["rounds=1", "verbs=describe,first", "data.count=8", "data.image_size=32", "data.load_size=32"],
    "ranks": ["size=32", "rounds=1", "iterations=4", *FEW],
    "doctor": ["size=32", "looks=2", "every=2", *FEW],
    "memory": ["size=64"],
}


COMPILES = "gpu"  # for minutes


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "suite",
    [pytest.param(name, marks=getattr(pytest.mark, "quiet" if name == COMPILES else "long")) for name in SUITES],
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
    assert files - set(SUITES) == {"common", "gpu_checks", "lightning_loop", "peer", "reference"}


@pytest.mark.parametrize(("left", "ok"), [(20, None), (300, False)])
def test_a_check_of_a_gpu_that_the_end_cuts_short_is_left_out_and_has_not_failed(
    left: int, ok: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "experiments")
    from suites.gpu_checks import Clock, checked

    def slow() -> str:
        raise subprocess.TimeoutExpired("train", left)

    row = checked("one", Clock(time.monotonic() + left), slow)
    assert row["ok"] is ok
    assert f"{left} s" in row["said"]


CHECKS = ["check.size=32", "check.iterations=2", "check.models=cut,none", "check.ways=1", "check.jobs=1"]
FEW_OF_CHECKS = [
    "check.model.generator.filters=2",
    "check.model.generator.blocks=1",
    "check.model.discriminator.filters=2",
]


@pytest.mark.long
@pytest.mark.timeout(400)
def test_the_checks_of_a_gpu_hold_on_a_cpu_and_a_row_that_fails_ends_nothing(tmp_path: Path) -> None:
    words = ["suite=gpu", "parts=exactness,inference,methods", "rate=1", *CHECKS, *FEW_OF_CHECKS]
    command = [sys.executable, str(ROOT / "experiments" / "benchmark.py"), *words, "--out", str(tmp_path / "out.json")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "out.json").read_text())
    assert [row["name"] for part in ("exactness", "inference") for row in found[part] if not row["ok"]] == []
    assert len(found["exactness"]) == 3
    assert len(found["inference"]) == 5
    assert [row["ok"] for row in found["methods"]] == [True, False]
    assert "\n" not in found["methods"][1]["said"]
    assert done.stdout.rstrip().endswith("failed: none, bf16")
