"""`gan-style table`: every checkpoint below a folder, and what other tools made, in one table."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

import gan_style
from experiments import evaluate
from gan_style.cli.main import main
from gan_style.cli.table import CELL
from gan_style.data.images import read_image
from gan_style.data.saving import save_image
from gan_style.data.scenes import draw_scene
from tests.evaluation.test_judge import SIDE, trained

QUICK = ("draws=2", "pictures=2")


def table(*words: str) -> int:
    """`gan-style table WORDS`, in this process: its exit status."""
    return main(["table", *words])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GAN_STYLE_VGG", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i, part in enumerate(("trainA", "trainB", "testA", "testB")):
        for k in range(8 if part.startswith("train") else 4):
            save_image(draw_scene(0, 100 * i + k, SIDE, part[-1]), tmp_path / "set" / part / f"{k}.png")
    return tmp_path / "set"


def test_a_sweep_and_other_tools_in_one_table(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = tmp_path / "sweep"
    for trial, name in (("trial-000", "last"), ("trial-001", "last"), ("trial-001", "best")):
        (sweep / trial / "checkpoints").mkdir(parents=True, exist_ok=True)
        trained(sweep / trial / "checkpoints" / f"{name}.ckpt", "model=cut")
    os.link(sweep / "trial-000/checkpoints/last.ckpt", sweep / "trial-000/checkpoints/best.ckpt")
    (sweep / "trial-002").mkdir()
    (sweep / "trial-002" / "last.ckpt").write_bytes(b"cut off")
    translator = gan_style.load(sweep / "trial-000/checkpoints/last.ckpt")
    for tool in ("x/out", "y/out"):
        for path in sorted((root / "testA").iterdir()):
            (tmp_path / tool).mkdir(parents=True, exist_ok=True)
            array = read_image(path)
            save_image(translator.translate(array) if tool == "x/out" else array, tmp_path / tool / path.name)
    words = [f"runs={sweep}", f"data={root}", f"folders=[{tmp_path / 'x/out'},{tmp_path / 'y/out'}]", *QUICK]
    assert table(*words) == 2, "one checkpoint cannot be read"
    said = capsys.readouterr()
    assert "trial-002/last: " in said.err
    assert "1 of 6 could not be scored" in said.err
    out = sweep / "evaluation"
    results = json.loads((out / "scores.json").read_text())["results"]
    assert list(results) == ["trial-000/best = trial-000/last", "trial-001/best", "trial-001/last", "x/out", "y/out"]
    kid = {name: result["scores"]["A2B"]["kid_random0"]["value"] for name, result in results.items()}
    assert kid["x/out"] == pytest.approx(kid["trial-000/best = trial-000/last"], rel=1e-9), "the same pictures"
    untouched = results["y/out"]["scores"]["A2B"]["kid_random0"]
    assert untouched["value"] == pytest.approx(untouched["ceiling"], rel=1e-9)
    assert results["y/out"]["scores"]["A2B"]["edge_agreement"]["value"] == pytest.approx(1)
    head = (out / "table.md").read_text().splitlines()[0]
    assert all(name in head for name in results)
    assert (out / "table.tex").read_text().count(r"\toprule") == 1
    ElementTree.fromstring((out / "plot.svg").read_text())
    height, width, _ = read_image(out / "sheet-A2B.png").shape
    assert width > 6 * CELL, "inputs and five columns"
    assert height > 2 * CELL
    for name in ("scores.json", "table.md", "plot.svg", "sheet-A2B.png"):
        assert str(out / name) in said.out


def test_one_checkpoint_on_scenes_is_shown_beside_the_truth(tmp_path: Path) -> None:
    trained(tmp_path / "a.ckpt", "model=cyclegan")
    assert (
        evaluate.main([f"runs={tmp_path / 'a.ckpt'}", "data=scenes", "limit=4", f"out={tmp_path / 'o'}", *QUICK]) == 0
    )
    result = json.loads((tmp_path / "o" / "scores.json").read_text())
    assert {"psnr", "ssim", "cycle_error"} < set(result["scores"]["B2A"])
    for direction in ("A2B", "B2A"):
        sheet = read_image(tmp_path / "o" / f"sheet-{direction}.png")
        assert 3 * CELL < sheet.shape[1] < 4 * CELL, "the input, the truth and one column"


def test_other_sizes_are_not_put_into_one_table(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gan_style.checkpoints import checkpoint

    trained(tmp_path / "runs" / "a.ckpt", "model=cut")
    content = checkpoint.load(tmp_path / "runs" / "a.ckpt")
    checkpoint.save(content | {"preprocessing": {"image_size": 40}}, tmp_path / "runs" / "b.ckpt")
    words = [f"runs={tmp_path / 'runs'}", f"data={root}", *QUICK]
    assert table(*words) == 2
    said = capsys.readouterr()
    assert "different protocols (picture_size: 32 and 40)" in said.err
    out = tmp_path / "runs" / "evaluation"
    assert set(json.loads((out / "scores.json").read_text())["results"]) == {"a", "b"}, "what was computed is kept"
    assert not (out / "table.md").exists()
    assert evaluate.main([*words, "force=true"]) == 0
    assert (out / "table.md").exists()


def test_a_run_whose_name_looks_like_markup_or_moves_the_cursor(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "runs" / "[/red]\x1b[2J\n" / "last.ckpt", "model=cut")
    assert table(f"runs={tmp_path / 'runs'}", f"data={root}", *QUICK) == 0
    said = "".join(capsys.readouterr())
    assert "[/red]\\x1b[2J\\n/last" in said
    assert "\x1b[2J" not in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data=scenes"], "nothing to score"),
        (["runs=nowhere", "data=scenes"], "there is no folder nowhere"),
        (["runs=.", "data=scenes"], "holds no checkpoint"),
        (["runs=."], "data must be given"),
        (["runs=.", "data=scenes", "extractr=vgg"], "did you mean extractor?"),
        (["runs=.", "data=scenes", "draws=many"], "draws=many is not valid"),
        (["runs"], "every word is key=value"),
        (["folders=[x]", "data=scenes"], "add size=N"),
        (["folders=[x]", "data=scenes", "size=32", "limit=2"], "could not be scored"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert table(*words) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert sentence in said[-1]
    assert not any("Traceback" in line for line in said)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    assert list(tmp_path.iterdir()) == []
