"""A metric of one's own package: one file, one row; scored in training and by `evaluate`, shown in report and table."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_style.checkpoints import checkpoint
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.saving import save_image
from gan_style.data.scenes import draw_scene
from gan_style.metrics.own import as_nodes, features_of, own_scores, require_finite, values_of
from gan_style.metrics.table import Score
from tests.conftest import forget
from tests.small_models import saved

Run = Callable[..., Path]

# The whole of what is written to add two metrics.
PACKAGE = '''
"""Metrics of a laboratory."""
from functools import partial

from torch import Tensor

from gan_style.metrics import Score


def energy(images: Tensor, power: float) -> Tensor:
    """Mean differences of neighbours: [B, 3, H, W] -> [B, 1]."""
    return images.diff(dim=-1).abs().pow(power).mean(dim=(1, 2, 3))[:, None]


def gap(real: Tensor, fake: Tensor) -> Tensor:
    return (real.mean() - fake.mean()).abs()


def sharpness(power: float = 1.0) -> Score:
    return Score(
        "sharpness", "lowest", gap, partial(energy, power=power), title="Sharpness gap", text="How far they are apart"
    )


def kept(fakes: Tensor, sources: Tensor) -> Tensor:
    return 1 - (fakes - sources).abs().mean(dim=(1, 2, 3)) / 2


def likeness() -> Score:
    return Score("likeness", "highest", kept, inputs=("fakes", "sources"), title="Likeness")


def nan_gap(real: Tensor, fake: Tensor) -> Tensor:
    return (real.mean() - fake.mean()) * float("nan")


def broken_set() -> Score:
    return Score("broken_set", "lowest", nan_gap, partial(energy, power=1.0))


def broken_features() -> Score:
    return Score("broken_features", "lowest", gap, lambda images: energy(images, 1.0) / 0)


def endless(fakes: Tensor) -> Tensor:
    return fakes.mean(dim=(1, 2, 3)) + float("inf")


def broken_picture() -> Score:
    return Score("broken_picture", "highest", endless, inputs=("fakes",))


def no_row() -> int:
    return 3
'''
NODES = ["mylab.sharpness.sharpness", {"_target_": "mylab.sharpness.likeness"}]


@pytest.fixture(autouse=True)
def _mylab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    forget("mylab")
    folder = tmp_path / "site" / "mylab"
    folder.mkdir(parents=True)
    (folder / "sharpness.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("GAN_STYLE_VGG", raising=False)
    monkeypatch.delenv("GAN_STYLE_ALLOW", raising=False)
    yield
    forget("mylab")


@pytest.fixture
def run(run: Run) -> Run:
    """Trainings with all scores, which are what is tested."""
    return partial(run, scored=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i, part in enumerate(("trainA", "trainB", "testA", "testB")):
        for k in range(8):
            save_image(draw_scene(0, 100 * i + k, 32, part[-1]), tmp_path / "set" / part / f"{k}.png")
    return tmp_path / "set"


def test_it_is_scored_in_training_and_chooses_the_best(run: Run) -> None:
    metrics = "metrics=[mylab.sharpness.sharpness,{_target_:mylab.sharpness.likeness}]"
    folder = run("run", metrics, "allow=[mylab.]", "best.monitor=sharpness", "trainer.max_steps=2")
    with open(folder / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["val/sharpness"]]
    for name in ("sharpness", "likeness"):
        for column in (f"val/{name}", f"val/A2B/{name}", f"val/B2A/{name}"):
            assert float(rows[-1][column]) > 0, column
    found = json.loads((folder / "scores.json").read_text())
    entry = found["scores"]["A2B"]["sharpness"]
    assert {key: entry[key] for key in ("better", "title")} == {"better": "lowest", "title": "Sharpness gap"}
    assert entry["low"] <= entry["value"] <= entry["high"]
    assert entry["floor"] < entry["value"]
    assert found["baselines"]["input"]["A2B"]["likeness"]["value"] == 1
    assert "better" not in found["scores"]["A2B"]["swd"], "the table says it"
    assert json.loads((folder / "run.json").read_text())["best"]["rule"] == "lowest val/sharpness"
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert "How far they are apart; lower is better." in page
    assert page.count("Sharpness gap") >= 3, "a row for each direction, and the term"
    assert "Not a score this report knows" not in page


def naming(metrics: Any, path: Path, *words: str) -> Path:
    """A checkpoint whose config names metrics."""
    content = checkpoint.load(saved(path, *words))
    content["config"]["metrics"] = as_nodes(metrics)
    checkpoint.save(content | {"preprocessing": {"image_size": 32}, "best": {"rule": "newest"}}, path)
    return path


def test_evaluate_scores_what_the_checkpoint_names_and_was_allowed(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = naming(NODES, tmp_path / "a.ckpt", "model=cyclegan")
    words = ["evaluate", str(path), "--data", str(root), "--draws", "2", "--out"]
    assert main([*words, str(tmp_path / "all.json"), "--allow", "mylab."]) == 0
    result = json.loads((tmp_path / "all.json").read_text())
    scores = result["scores"]["A2B"]
    real, inputs = ([draw_scene(0, start + k, 32, d) for k in range(8)] for start, d in ((300, "B"), (200, "A")))
    means = [
        torch.stack([torch.from_numpy(p).permute(2, 0, 1) / 127.5 - 1 for p in part]).diff(dim=-1).abs().mean()
        for part in (real, inputs)
    ]
    assert scores["sharpness"]["ceiling"] == pytest.approx(abs(float(means[0] - means[1])), rel=1e-4)
    assert scores["likeness"]["ceiling"] == 1
    assert scores["likeness"]["better"] == "highest"
    assert json.loads(result["protocol"]["networks"]["sharpness"]) == {"_target_": NODES[0]}
    shown = capsys.readouterr().out
    assert "sharpness" in shown
    assert "warning: not scored" not in shown

    assert main([*words, str(tmp_path / "some.json")]) == 0
    assert f"not scored: {NODES[0]}, a metric of another package" in capsys.readouterr().out
    assert "sharpness" not in json.loads((tmp_path / "some.json").read_text())["scores"]["A2B"]


BROKEN = ["mylab.sharpness.broken_set", "mylab.sharpness.broken_picture", "mylab.sharpness.likeness"]


def no_constant(text: str) -> Any:
    raise AssertionError(f"{text} is no JSON")


def test_a_training_goes_on_past_scores_that_are_not_finite(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = f"metrics=[{','.join([*BROKEN, 'mylab.sharpness.broken_features'])}]"
    folder = run("run", metrics, "allow=[mylab.]", "trainer.max_steps=4", "trainer.val_every=2")
    found = json.loads((folder / "scores.json").read_text(), parse_constant=no_constant)
    said = capsys.readouterr().out
    for name, number in (("broken_set", "nan"), ("broken_picture", "inf"), ("broken_features", "nan")):
        entry = found["scores"]["A2B"][name]
        assert [entry[key] for key in ("value", "low", "high", "floor")] == [None] * 4
        assert said.count(f"warning: the metric {name} gives {number} (A2B), at iteration 2: ") == 1
        assert said.count(f"the metric {name} gives") == 2, "once for each direction, not in every validation"
    assert found["scores"]["A2B"]["likeness"]["value"] > 0
    assert found["protocol"]["iteration"] == 4
    assert main(["report", str(folder)]) == 0


def test_evaluate_leaves_out_scores_that_are_not_finite(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = naming(BROKEN, tmp_path / "a.ckpt", "model=cut")
    words = ["evaluate", str(path), "--data", str(root), "--draws", "4", "--allow", "mylab.", "--out"]
    assert main([*words, str(tmp_path / "a.json")]) == 0
    result = json.loads((tmp_path / "a.json").read_text(), parse_constant=no_constant)
    said = capsys.readouterr().out
    for name, number in (("broken_set", "nan"), ("broken_picture", "inf")):
        assert name not in result["scores"]["A2B"]
        assert f"warning: not scored: the metric {name} gives {number} (A2B)" in said
    assert "likeness" in result["scores"]["A2B"]
    assert len([note for note in result["notes"] if "gives" in note]) == 2


def test_a_table_of_results_knows_the_better_end() -> None:
    from gan_style.evaluation.result_table import latex, markdown

    def result(value: float) -> dict[str, Any]:
        entry = {"value": value, "low": value, "high": value, "floor": None}
        scores = {"sharpness": entry | {"better": "highest"}, "mystery": dict(entry)}
        return {"protocol": {}, "scores": {"A2B": scores}}

    lines = markdown({"a": result(1.0), "b": result(2.0)}).splitlines()
    assert lines[2] == "| sharpness | higher | 1 (1 to 1) | **2** (2 to 2) |  |  |"
    assert lines[3] == "| mystery |  | 1 (1 to 1) | 2 (2 to 2) |  |  |"
    assert r"sharpness $\uparrow$ & 1" in latex({"a": result(1.0), "b": result(2.0)})


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("mylab.sharpness.sharpness", "give a list of import paths"),
        ([3], "give a list of import paths"),
        (["mylab.sharpness.no_row"], "gives a int"),
        (["mylab.sharpness.missing"], "cannot be imported"),
        (["os.system"], "is not allowed"),
        ([{"_target_": "mylab.sharpness.sharpness", "powr": 2.0}], "did you mean power"),
        (["mylab.sharpness.sharpness", {"_target_": "mylab.sharpness.sharpness", "power": 2.0}], "another name"),
    ],
)
def test_what_is_no_metric_is_said(metrics: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        own_scores(metrics, ("mylab.",))


def test_without_leave_or_without_who_scores_it_a_run_does_not_start(run: Run) -> None:
    with pytest.raises(UserError, match=r"metrics\._target_=mylab.sharpness.sharpness is not allowed"):
        run("run", "metrics=[mylab.sharpness.sharpness]")
    for name, scorer in (("sharpness", "set_scores"), ("likeness", "truth_scores")):
        with pytest.raises(UserError, match=f"metrics={name} is scored by callbacks[.]{scorer}, which"):
            run("run", f"metrics=[mylab.sharpness.{name}]", "allow=[mylab.]", f"~callbacks.{scorer}")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Score("Sharp", "lowest", max, max), "lower-case"),
        (Score("kid_mine", "lowest", max, max), "read as a score of gan_style"),
        (Score("sharp", "smallest", max, max), "highest or lowest"),  # type: ignore[arg-type]
        (Score("sharp", "lowest", "", max), "has no function"),
        (Score("sharp", "lowest", max), "features"),
        (Score("sharp", "lowest", max, max, inputs=("fakes",)), "features"),
        (Score("sharp", "lowest", max, "pixels"), "give extractor, patches or a function"),
        (Score("sharp", "lowest", max, inputs=("sources",)), "give fakes"),
        (Score("sharp", "lowest", max, inputs=("fakes", "back")), "give fakes"),
    ],
)
def test_a_row_that_cannot_be_used_is_said(row: Score, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_style.metrics.own.build", lambda node, allowed: row)
    with pytest.raises(UserError, match=message):
        own_scores(["mylab.sharpness.sharpness"], ("mylab.",))


def test_what_it_computes_is_one_row_or_number_a_picture() -> None:
    images = torch.zeros(4, 3, 8, 8)
    for wrong in (lambda x: x.mean(), lambda x: x[:2], lambda x: x.mean(dim=(1, 2, 3))):
        with pytest.raises(UserError, match="the metric sharp gives"):
            features_of(Score("sharp", "lowest", max, wrong), images)
    with pytest.raises(UserError, match="the metric sharp gives features that are NaN or infinite"):
        require_finite(Score("sharp", "lowest", max, max), images / 0)
    with pytest.raises(UserError, match="a number for each picture"):
        values_of(Score("sharp", "lowest", lambda x: x.mean(), inputs=("fakes",)), images)
