"""Ctrl-C six times within a second, at any moment: one sentence, status 130, nothing half-written or held."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_style.checkpoints.checkpoint import load
from gan_style.core import signals
from gan_style.core.errors import Interrupted
from gan_style.training.callbacks.keeper import Keeper
from tests.conftest import SMALL, SMALL_RESNET
from tests.six_signals import six

Run = Callable[..., Path]
ROOT = Path(__file__).parents[1]
COMPLETE = "gan_style: interrupted when the run was complete: nothing is left to do\n"
BEFORE = "gan_style: interrupted before training began\n"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_training_ends_with_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.six_signals", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {row["moment"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert {moment: row["status"] for moment, row in found.items()} == dict.fromkeys(found, 130), found
    said = {moment: row["said"] for moment, row in found.items()}
    assert [said.pop(moment) for moment in ("data", "config")] == [BEFORE] * 2
    assert [said.pop(moment) for moment in ("validation", "report", "summary")] == [COMPLETE] * 3
    assert said.pop("saving twice").startswith("gan_style: stopped at once by a second signal; ")
    for text in said.values():
        assert text.startswith("gan_style: stopped at iteration ")
        assert text.endswith("; go on with resume=last and the same run_dir\n")
        assert text.count("\n") == 1
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".") or path.suffix == ".tmp"] == []
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {*found} - {"data", "config"}
    saved = {moment: [load(path)["iteration"] for path in tmp_path.glob(f"{moment}/**/last.ckpt")] for moment in found}
    ends = {moment: int(saved[moment][0]) for moment in ("training", "saving", "validation", "report", "summary")}
    assert all(0 < ends[moment] < 8 for moment in ("training", "saving"))
    assert all(ends[moment] == 8 for moment in ("validation", "report", "summary"))


def images(folder: Path, count: int = 60) -> Path:
    folder.mkdir()
    for i in range(count):
        noise = np.random.default_rng(i).integers(0, 256, (256, 256, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{i:02d}.png")
    return folder


def interrupted(command: list[str], seconds: float, ready: Callable[[], bool] | None = None) -> tuple[int, str]:
    """The exit status and stderr of a command that got six signals, so long after it was ready for one."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 100
    while not (ready() if ready else handles(process.pid, signal.SIGTERM)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(seconds)
    six(process.pid)
    _, said = process.communicate(timeout=100)
    return process.returncode, said


def handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal by now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt")), 0)
    return bool(caught >> (number - 1) & 1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux says which signals a process handles")
@pytest.mark.parametrize("seconds", [0.0, 1.5])
@pytest.mark.parametrize("start", [("train.py",), ("-m", "gan_style", "train")], ids=["train.py", "gan-style train"])
def test_a_training_that_still_imports_ends_with_one_line(
    tmp_path: Path, start: tuple[str, ...], seconds: float
) -> None:
    words = (*SMALL, *SMALL_RESNET, "trainer.max_steps=4000", f"run_dir={tmp_path / 'run'}")
    status, said = interrupted([*start, *words], seconds)
    assert (status, said) == (130, "gan_style: interrupted\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux says which signals a process handles")
def test_the_verbs_end_with_one_line(run: Run, tmp_path: Path) -> None:
    checkpoint = run("run", "trainer.max_steps=1", "trainer=cpu") / "checkpoints" / "last.ckpt"
    source, target = images(tmp_path / "in"), tmp_path / "out"
    translate = ["-m", "gan_style", "translate", str(checkpoint), str(source), str(target), "--device", "cpu"]
    evaluate = ["-m", "gan_style", "evaluate", str(checkpoint), "--data", "scenes", "--out", str(tmp_path / "x.json")]
    for command, seconds, ready in (
        (translate, 0.0, None),
        (translate, 2.0, None),
        (translate, 0.1, lambda: target.is_dir() and len(list(target.glob("*.png"))) > 3),
        (evaluate, 3.0, None),
    ):
        status, said = interrupted(command, seconds, ready)
        assert (status, said) == (130, "gan_style: interrupted\n"), (command, said)
    done = list(target.iterdir())
    assert 3 < len(done) < 60
    for path in done:
        assert path.suffix == ".png"
        Image.open(path).load()
    assert not (tmp_path / "x.json").exists()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = 1000.0

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(signals.time, "monotonic", lambda: now)
    return pass_by


def test_a_burst_is_one_wish(clock: Callable[[float], None]) -> None:
    assert signals.is_new_request(signal.SIGINT)
    for _ in range(5):
        clock(0.2)
        assert not signals.is_new_request(signal.SIGINT)
    clock(1.1)
    assert signals.is_new_request(signal.SIGINT), "a second wish, as when the first was lost in a library"


@pytest.mark.parametrize("raised", [Interrupted("x"), KeyboardInterrupt()])
def test_what_cleans_up_is_left_alone_but_not_for_ever(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    left: list[Any] = []
    monkeypatch.setattr(signals, "leave", left.append)
    assert signals.is_new_request(signal.SIGTERM)
    clock(60)

    def clean_up() -> None:
        for seconds, expected in ((0, 0), (3, 0), (3, 1)):
            clock(seconds)
            with contextlib.suppress(ValueError):
                try:
                    raise ValueError  # which hides what it is raised within
                except ValueError:
                    assert not signals.is_new_request(signal.SIGINT)
            assert len(left) == expected

    with contextlib.suppress(Interrupted, KeyboardInterrupt):
        try:
            raise raised
        finally:
            clean_up()
    assert signals.is_new_request(signal.SIGINT), "it is over"


def test_a_keeper_takes_a_burst_for_one_wish(tmp_path: Path, clock: Callable[[float], None]) -> None:
    keeper = Keeper(tmp_path, {}, iterations=1, every=1, rule="x")
    for _ in range(6):
        keeper._on_signal(signal.SIGINT, None)
        clock(0.2)
    clock(2)
    with pytest.raises(Interrupted, match="stopped at once by a second signal"):
        keeper._on_signal(signal.SIGINT, None)


def test_a_library_is_imported_whole_before_a_signal_ends_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's start, broken off in the midst, ends the process with a core dump or an endless recursion."""
    code = "import os, time\nfor _ in range(6):\n    os.kill(os.getpid(), 2)\ntime.sleep(0.3)\nwhole = 1\n"
    (tmp_path / "slow_library.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)

    def verb() -> None:
        with signals.stoppable():
            importlib.import_module("slow_library")
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        verb()
    assert sys.modules["slow_library"].whole
    assert not signals._postponed, "none comes later, when another test listens"


def test_after_an_interruption_nobody_listens_any_more() -> None:
    """What is left is to say so, and a further signal would only break that."""
    for raised, within in ((Interrupted, signals.listening), (KeyboardInterrupt, signals.stoppable)):
        with pytest.raises(raised), within():
            raise raised
        assert [signal.getsignal(number) for number in signals.ENDING] == [signal.SIG_IGN] * 2


def test_a_signal_at_the_end_of_a_run_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gan_style.training import run as training

    write = training.write_report

    def signalled(*folders: Path) -> Path:
        for _ in range(6):
            os.kill(os.getpid(), signal.SIGINT)
        return write(*folders)

    monkeypatch.setattr(training, "write_report", signalled)
    with pytest.raises(Interrupted, match="interrupted when the run was complete: nothing is left to do"):
        run("run", "trainer.max_steps=1")
    assert (tmp_path / "run" / "report.html").is_file()
    assert not (tmp_path / "run" / ".lock").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["stopped"] == "finished"
