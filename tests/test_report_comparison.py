"""Several runs on one page."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.drawn import ScenesDataModule
from gan_style.data.folders import FoldersDataModule
from gan_style.data.named.folder import MANIFEST
from gan_style.data.named.table import NAMED_SETS
from gan_style.report import write_report
from gan_style.report.read import Run
from gan_style.report.summary import data_name
from gan_style.training.run_folder import credits_of
from tests.test_report import CONFIG, SCORES, Page, table, write_grid, write_metrics

COST = {"seconds": 60.0, "images_per_s": 8.0, "peak_memory_gb": 1.5, "stopped": "finished"}


def make(folder: Path, scores: dict[str, Any], *, config: str = CONFIG, seed: int = 0, **record: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"{config}run_dir: {folder}\n", encoding="utf-8")
    (folder / "scores.json").write_text(json.dumps(scores))
    (folder / "run.json").write_text(json.dumps({**COST, **record}))
    write_metrics(folder / "metrics.csv", 50)
    write_grid(folder / "images" / "iteration-000500.png", seed=seed)
    return folder


def better(by: float) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads(json.dumps(SCORES))
    scores["scores"]["A2B"]["psnr"]["value"] += by
    return scores


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    make(tmp_path / "runs/a", SCORES, best={"rule": "highest val/psnr", "iteration": 200})
    other = CONFIG.replace("lambda_cycle: 10.0", "lambda_cycle: 20.0")
    make(tmp_path / "runs/deep/b", better(0.5), config=other, seed=1, seconds=120.0)
    return tmp_path / "runs"


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_a_folder_of_runs_and_their_names_give_the_same_bytes_anywhere(runs: Path, tmp_path: Path) -> None:
    content = write_report(runs).read_bytes()
    assert (runs / "report.html").read_bytes() == content
    assert write_report(runs).read_bytes() == content
    out = write_report(runs / "a", runs / "deep/b", runs / "a", out=tmp_path / "new/page.html")
    assert out.read_bytes() == content
    shutil.copytree(runs, tmp_path / "moved")
    for path in (tmp_path / "moved").rglob("config.yaml"):  # what it says of its own place is no difference
        path.write_text(path.read_text().replace("/runs/", "/moved/"))
    assert write_report(tmp_path / "moved").read_bytes() == content


def test_scores_and_cost_are_one_table(runs: Path) -> None:
    html = text(write_report(runs))
    head, *rows = table(html)
    assert head == ["", "a", "deep/b", "Input", "Colour transfer"]
    assert rows[0] == [
        "A2B PSNR (dB)",
        "19.31 [19.06, 19.56]",
        "19.81 [19.06, 19.56]",
        "12.44",
        "14.13",
    ]
    assert ["Time", "1 min 0 s", "2 min 0 s", "", ""] in rows
    assert ["Speed", "8.0 images per second", "8.0 images per second", "", ""] in rows
    assert ["Rule of best.ckpt", "highest val/psnr", "\N{EN DASH}", "", ""] in rows
    assert "<b>19.81</b>" in html
    assert "<b>19.31</b>" not in html
    assert "2 runs of CycleGAN on scenes: A2B PSNR (dB) is best in deep/b, 19.81; B2A" in html
    assert "not to be compared" not in html


def test_only_what_differs_in_the_configurations_is_shown(runs: Path) -> None:
    html = text(write_report(runs))
    _, *rows = table(html[html.index('<section id="configurations">') :])
    assert rows == [["model.lambda_cycle", "10.0", "20.0"]]


def test_other_protocols_are_said_and_nothing_is_called_best(runs: Path) -> None:
    scores = better(0.5)
    scores["protocol"] |= {"N": 64, "iteration": 9000}
    (runs / "deep/b/scores.json").write_text(json.dumps(scores))
    html = text(write_report(runs))
    assert "taken by different protocols (N) and are not to be compared" in html
    assert "<b>19.81</b>" not in html
    assert "is best" not in html
    assert table(html)[0] == ["", "a", "deep/b"]  # what they have to beat is not the same
    _, *rows = table(html[html.index('<section id="configurations">') :])
    assert ["protocol.N", "32", "64"] in rows


def test_what_has_to_be_beaten_is_no_common_number_where_it_differs(runs: Path) -> None:
    scores = better(0.5)
    scores["baselines"]["input"]["A2B"]["psnr"]["value"] = 11.0
    (runs / "deep/b/scores.json").write_text(json.dumps(scores))
    _, first, *_ = table(text(write_report(runs)))
    assert first[-2:] == ["differs", "14.13"]


def test_curves_have_the_colour_of_their_run_in_every_chart(runs: Path) -> None:
    with (runs / "a/metrics.csv").open(newline="") as file:
        rows = [row[:-1] for row in csv.reader(file)]  # without val/B2A/psnr
    with (runs / "a/metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    html = text(write_report(runs))
    charts = dict(re.findall(r'<h3 class="chart-title">(.*?)</h3>(.*?)</figure>', html, re.DOTALL))
    assert list(charts)[:2] == ["Validation PSNR (dB): A2B", "Validation PSNR (dB): B2A"]
    keys = {title: re.findall(r'class="line (c\d)"[^>]*/></svg>([^ ]+) <b>', chart) for title, chart in charts.items()}
    both = [("c0", "a"), ("c1", "deep/b")]
    assert keys["Validation PSNR (dB): A2B"] == keys["Generator losses: G_gan"] == both
    assert keys["Validation PSNR (dB): B2A"] == both[1:]


def test_grids_stand_side_by_side_and_nothing_is_loaded(runs: Path) -> None:
    page = Page(text(write_report(runs)))
    sources = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert sum(value.startswith("data:image/png") for value in sources) == 2
    assert all(value.startswith(("data:image/", "#")) for value in sources)
    assert "deep/b, iteration 500" in page.text


def test_one_run_below_a_folder_is_a_report_of_its_own(runs: Path) -> None:
    shutil.rmtree(runs / "deep")
    alone = write_report(runs / "a").read_bytes()
    assert write_report(runs).read_bytes() == alone


def test_files_that_say_nothing_are_named(runs: Path) -> None:
    (runs / "a/run.json").write_text("{")
    (runs / "deep/b/run.json").write_text(json.dumps({"stopped": "failed: a loss is not finite"}))
    html = text(write_report(runs))
    assert "a: run.json cannot be read" in html
    assert "deep/b did not finish: failed: a loss is not finite." in html


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "deep/b"], "say where with --out FILE.html"),
        (["a", "absent", "--out", "x.html"], "there is no run folder"),
        (["a", "--out", "x.pdf"], "x.pdf should end in .html"),
        (["empty"], "is not a run folder, nor a folder of such"),
    ],
)
def test_mistakes_are_one_sentence(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    (runs / "empty").mkdir()
    monkeypatch.chdir(runs)
    before = sorted(runs.rglob("*"))
    assert main(["report", *words]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert sorted(runs.rglob("*")) == before


def test_the_command_prints_what_it_wrote(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs / "a"), str(runs / "deep/b"), "--out", str(runs / "x.html")]) == 0
    assert capsys.readouterr().out == f"{runs / 'x.html'}\n"


def test_the_report_names_the_task_of_drawn_pictures() -> None:
    data = {"data._target_": "gan_style.data.drawn.ScenesDataModule", "data.image_size": 64}
    named = [data_name(Run("run", settings={**data, **more})) for more in ({}, {"data.task": "night"})]
    assert named == ["scenes", "scenes, night"]
    about = credits_of(ScenesDataModule(task="night"))
    assert about is not None
    assert "task night: A photo by day becomes one by moonlight" in about["about"]


def test_a_run_records_its_checkpoints_and_where_it_went_on(run: Callable[..., Path]) -> None:
    folder = run("a", "trainer.max_steps=2", "trainer.val_every=1")
    record = json.loads((folder / "run.json").read_text())
    assert record["last"] == {"iteration": 2}
    assert record["best"]["iteration"] in (1, 2)
    assert (record["from_iteration"], record["data"]) == (0, credits_of(ScenesDataModule()))
    run("a", "trainer.max_steps=3", "trainer.val_every=1", "resume=last")
    record = json.loads((folder / "run.json").read_text())
    assert (record["from_iteration"], record["last"]) == (2, {"iteration": 3})
    html = text(folder / "report.html")
    assert f"Rule of best.ckpt: {record['best']['rule']}." in html
    assert "since iteration 2" in html


def test_the_licence_is_that_of_the_pictures_as_far_as_it_is_known(tmp_path: Path) -> None:
    entry = NAMED_SETS["horse2zebra"]
    folders = partial(FoldersDataModule, image_size=32)
    own, fetched = tmp_path / "own", tmp_path / "fetched"
    for folder in (own, fetched):
        folder.mkdir()
    manifest = fetched / MANIFEST
    manifest.write_text('{"name": "horse2zebra"}')
    for data in (folders(str(own), set="horse2zebra"), folders(str(fetched))):
        found = credits_of(data)
        assert found is not None
        assert (found["licence"], found["citation"]) == (entry.licence, entry.citation)
    assert credits_of(folders(str(own))) is None
    assert credits_of(folders(set="horse2zebra", A=str(own), B=str(own))) is None, "other pictures"
    for content in ('{"name": "of another program"}', "cut o"):
        manifest.write_text(content)
        assert credits_of(folders(str(fetched))) is None


def test_a_report_that_cannot_be_written_leaves_the_old_one(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_report(runs)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_report(runs)
    assert path.read_bytes() == before
    assert [p.name for p in runs.iterdir() if p.name.endswith(".tmp")] == []
    with pytest.raises(UserError):
        write_report(runs / "absent")
