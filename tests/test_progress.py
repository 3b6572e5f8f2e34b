"""What is seen of a long command: lines where there is no terminal, a picture that grows, and what Ctrl-C keeps."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan_style.cli import stylize as verb
from gan_style.cli.main import main
from gan_style.core import progress
from gan_style.data.images import read_image
from gan_style.inference import steps
from tests.inference.test_inference import draw, run
from tests.small_models import saved

SETTINGS = ("model.vgg.depth=relu2_1", "model.steps=3", "model.scales=2")


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (progress, steps, verb):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, seed in (("photo", 0), ("wave", 1)):
        draw(tmp_path / f"{name}.png", seed)
    return tmp_path


def by_gatys(files: Path, *words: Any) -> int:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    style = ("--style", files / "wave.png", "--weights", "random")
    return run("stylize", files / "photo.png", files / "out.png", *style, *settings, *words)


def test_an_export_says_what_it_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its steps, where each takes long enough."""
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    out = tmp_path / "a.safetensors"
    words = ["export", str(saved(tmp_path / "a.ckpt", "model=cut")), str(out)]
    assert main(words) == 0
    lines = [line.rpartition(", after ")[0] for line in capsys.readouterr().err.splitlines()]
    compared = [f"{out}: comparing with torch at {size}" for size in ("64 x 96", "97 x 129", "150 x 41")]
    assert lines == [f"{out}: writing", *compared]
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_lines_come_ever_more_rarely(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bars() as bars:
        task = bars.add_task("packing", total=1000)
        at = []
        for done in range(200):
            bars.advance(task)
            if capsys.readouterr().err:
                at.append(done)
            clock.now += 1
    assert at == [5, 15, 35, 75, 135, 195]  # 5 s, then twice as long each time, and at most a minute


def test_a_line_says_how_much_is_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bars(sizes=True) as bars:
        task = bars.add_task("net.pth", total=10_000_000)
        for _ in range(4):
            clock.now += 3
            bars.update(task, completed=2_500_000)
    said = capsys.readouterr().err
    assert said.startswith("net.pth: 2.5 MB of 10.0 MB")
    assert said.count("\n") == 1
    with progress.progress_bars() as bars:
        task = bars.add_task("pictures", total=None)
        clock.now += 6
        bars.update(task, completed=12)
    assert capsys.readouterr().err == "pictures: 12\n"


def test_nothing_is_said_where_a_command_is_quiet(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GAN_STYLE_QUIET", "1")
    with progress.progress_bars() as bars:
        task = bars.add_task("packing", total=4)
        clock.now += 60
        bars.advance(task)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.4, "4 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (9000, "2.5 h")]
)
def test_seconds_as_a_person_says_them(seconds: float, said: str) -> None:
    assert progress.duration(seconds) == said


def test_time_left_knows_that_the_next_scale_costs_four_times_as_much(clock: Clock) -> None:
    told = steps.Steps(10)
    left = []
    for done in range(1, 21):
        clock.now += 1 if done <= 10 else 4
        left.append(told.left(done, 20))
    assert left[0] is None
    assert left[1:] == pytest.approx([10 - done + 40 for done in range(2, 11)] + [4 * (20 - d) for d in range(11, 21)])
    assert told.said(1, 20) == "step 1 of 20"  # of the next region


def test_the_picture_is_seen_while_it_grows(
    files: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[np.ndarray[Any, Any]] = []

    def finite(*_: Any) -> None:  # called with each step
        clock.now += 4
        if (files / "out.preview.png").exists():
            seen.append(read_image(files / "out.preview.png"))

    monkeypatch.setattr(verb, "require_finite", finite)
    assert by_gatys(files) == 0
    assert [one.shape for one in seen] == [(16, 20, 3)] * 3 + [(30, 40, 3)] * 2  # first at half the size
    assert np.any(seen[-1] != seen[-2])
    assert sorted(path.name for path in files.iterdir()) == ["out.png", "photo.png", "wave.png"]
    assert "step 2 of" in (said := capsys.readouterr().err)
    assert " left" in said


@pytest.mark.parametrize("at", [1, 3])
def test_ctrl_c_keeps_what_there_is(
    files: Path, at: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gan_style.core.signals._last_request", -float("inf"))
    steps = 0

    def finite(*_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == at:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(verb, "require_finite", finite)
    assert by_gatys(files) == 130
    assert steps == at
    said = capsys.readouterr().err
    assert f"gan_style: interrupted: {files / 'out.png'} holds the picture of step {at} of " in said
    made, photo = (read_image(files / f"{name}.png") for name in ("out", "photo"))
    assert made.shape == photo.shape
    assert sorted(path.name for path in files.iterdir()) == ["out.png", "photo.png", "wave.png"]


def test_ctrl_c_before_the_first_step_writes_nothing(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gan_style.core.signals._last_request", -float("inf"))
    (files / "out.png").write_bytes(b"mine")
    read_file = verb.read_file

    def read(*args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return read_file(*args)

    monkeypatch.setattr(verb, "read_file", read)
    assert by_gatys(files) == 130
    assert capsys.readouterr().err == "gan_style: interrupted\n"
    assert (files / "out.png").read_bytes() == b"mine"
    assert sorted(path.name for path in files.iterdir()) == ["out.png", "photo.png", "wave.png"]


def test_ctrl_c_in_the_last_step_cuts_nothing(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert by_gatys(files) == 0
    whole = read_image(files / "out.png")
    monkeypatch.setattr("gan_style.core.signals._last_request", -float("inf"))
    left = iter(range(5, -1, -1))

    def finite(*_: Any) -> None:
        if not next(left):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(verb, "require_finite", finite)
    assert by_gatys(files) == 0
    assert next(left, None) is None
    assert "interrupted" not in capsys.readouterr().err
    assert np.array_equal(read_image(files / "out.png"), whole)


def test_a_file_in_the_place_of_the_preview_is_not_replaced(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "out.preview.png").write_bytes(b"mine")
    assert by_gatys(files) == 2
    assert "out.preview.png is there" in capsys.readouterr().err
    assert (files / "out.preview.png").read_bytes() == b"mine"
    assert not (files / "out.png").exists()
