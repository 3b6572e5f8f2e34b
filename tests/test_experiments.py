"""Programs of experiments/: a mistake in a command is one sentence, as at the verbs."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gan_style.core import signals
from gan_style.data.scenes import draw_scene
from gan_style.evaluation import DrawnJudge

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "experiments"
PROGRAMS = {
    path.relative_to(FOLDER).as_posix(): path
    for path in sorted(FOLDER.rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
}
NEEDS = {"video_speed.py": "av", "video_flicker.py": "av", "live.py": "av"}


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a program changes in its process is as before."""
    monkeypatch.setattr(signals, "command", contextlib.nullcontext)  # which leaves signals ignored
    monkeypatch.setattr(sys, "path", [*sys.path])
    variables = dict(os.environ)
    yield
    for name in {*os.environ} - {*variables}:
        del os.environ[name]


def said(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a program says in one line, which ends with 2 and nothing on stdout."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    monkeypatch.setattr(sys, "argv", [str(PROGRAMS[name]), *words])
    monkeypatch.syspath_prepend(PROGRAMS[name].parent)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PROGRAMS[name]), run_name="__main__")
    assert ended.value.code == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err.startswith("gan_style: ")
    assert heard.err.count("\n") == 1
    return heard.err


def test_all_programs_are_found() -> None:
    assert {"benchmark.py", "fuzz.py", "serve.py", "serve_client.py", "instant/ship.py"} <= {*PROGRAMS}
    assert "faithful_ugatit.py" not in PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_unknown_option_is_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said(name, ["--no-such-option"], monkeypatch, capsys)


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("benchmark.py", ["foo"], "'foo' is not KEY=VALUE"),
        ("benchmark.py", ["suite=stp"], "suite=stp is not known: did you mean step?"),
        ("best_rule.py", [], "needs"),
        ("best_rule.py", ["1", "600"], "needs"),
        ("best_rule.py", ["1", "x", "10", "folder"], "'x' is not a whole number"),
        ("best_rule.py", ["table"], "needs"),
        ("best_rule.py", ["table", "no-such-folder"], "no-such-folder"),
        ("tasks_sheet.py", [], "needs PATH"),
        ("tasks_sheet.py", ["a.jpg", "x"], "'x' is not a whole number"),
        ("fuzz.py", ["--out", "x", "nothing"], "there is no target nothing"),
        ("serve_client.py", ["http://x", "--at-once", "4"], "the following arguments are required: source, out"),
        ("serve_client.py", ["http://x", "no-such-folder", "out"], "no-such-folder is no folder"),
        ("serve_client.py", ["http://x", ".", "out", "--at-once", "0"], "--at-once 0"),
    ],
)
def test_another_mistake_is_one_sentence(
    name: str,
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in said(name, words, monkeypatch, capsys)
    assert [*tmp_path.iterdir()] == []


def test_every_parser_is_ours() -> None:
    """Those of the package and of experiments/, of which one has the standard library alone."""
    sources = [*(ROOT / "gan_style").rglob("*.py"), *FOLDER.rglob("*.py")]
    bare = [path.name for path in sources if "= argparse.ArgumentParser(" in path.read_text(encoding="utf-8")]
    assert bare == []
    own = [path.name for path in sources if "(argparse.ArgumentParser):" in path.read_text(encoding="utf-8")]
    assert sorted(own) == ["serve_client.py", "terminal.py"]


def test_the_fuzzer_imports_nothing_of_the_package_before_it_is_instrumented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor of another checkout, which stands on the path of Python before its own."""
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] == "gan_style"}
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--child", "picture", "--out", "x"])
    try:
        namespace = runpy.run_path(str(PROGRAMS["fuzz.py"]))
        called: list[str] = []
        namespace["main"].__globals__["fuzz"] = lambda name, out, minutes: called.append(name)
        namespace["main"]()
        assert called == ["picture"]
        assert [name for name in sys.modules if name.partition(".")[0] == "gan_style"] == []
    finally:
        sys.modules.update(before)


def test_a_photo_is_painted_as_the_drawn_painter_paints_it() -> None:
    """Told the materials by the judge, it keeps of drawn photos about as much of the gradients as true paintings do."""
    program = runpy.run_path(str(FOLDER / "recipe_rows.py"))
    judge = DrawnJudge("paint", "B2A", size=64, seed=0, count=2, samples=2).judge
    true, ours = [], []
    for index in range(12):
        photo = draw_scene(1, index, 64, "A")
        true.append(program["kept"](photo, draw_scene(1, index, 64, "B")))
        ours.append(program["kept"](photo, program["paint"](photo, 64, judge)))
    assert np.mean(ours) == pytest.approx(np.mean(true), rel=0.15)
    assert np.corrcoef(true, ours)[0, 1] > 0.8


def test_a_photo_of_any_size_is_painted_whole() -> None:
    program = runpy.run_path(str(FOLDER / "recipe_rows.py"))
    judge = DrawnJudge("paint", "B2A", size=32, seed=0, count=2, samples=2).judge
    photo = draw_scene(0, 0, 64, "A")[:50, :37]
    made = program["paint"](photo, 32, judge)
    assert made.shape == photo.shape
    assert 20 < np.abs(made.astype(float) - photo).mean() < 120
