"""`gan-style bench`: settings, verdicts, folders, and a small table to the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gan_style
from gan_style.apps.bench.cell import MADE, Spec, judge_of, run
from gan_style.apps.bench.collect import Row, Table, best_of, collect, names_of, save_images
from gan_style.apps.bench.output import markdown, page, verdict_lines
from gan_style.apps.bench.runner import FAILED, cells_of
from gan_style.apps.bench.settings import (
    GATYS,
    RESULT,
    Protocol,
    Settings,
    _to_json,
    all_models,
    begin_folder,
    overrides_of,
    rows_of_models,
)
from gan_style.apps.bench.verdicts import permutation_p, smallest_difference, student, verdicts
from gan_style.cli.bench import settings_of
from gan_style.cli.main import _parsed, main
from gan_style.core.compose import composed
from gan_style.core.errors import UserError
from gan_style.core.training_process import _is_below, quoted, unquoted

TINY = Protocol(size=32, iterations=4, count=4, samples=3)


def settings(**changes: Any) -> Settings:
    given: dict[str, Any] = {
        "tasks": ("paint",),
        "models": {"cyclegan": ("model=cyclegan",)},
        "seeds": 2,
        "protocol": TINY,
    }
    return Settings(**given | changes)


def test_equals_are_called_equal_in_95_of_100_draws() -> None:
    random = np.random.default_rng(0)
    told = sum(permutation_p(random.normal(24, 0.3, 5), random.normal(24, 0.3, 5)) <= 0.05 for _ in range(1000))
    assert told <= 50 + 3 * 7  # 5% of 1,000, and three deviations


def test_half_a_decibel_is_told_apart_where_the_table_says_so() -> None:
    random = np.random.default_rng(1)
    deviation, seeds = 0.2, 5
    draws = [(random.normal(24.5, deviation, seeds), random.normal(24, deviation, seeds)) for _ in range(400)]
    smallest = float(np.median([smallest_difference(a, b) for a, b in draws]))
    assert smallest < 0.5
    assert np.mean([permutation_p(a, b) <= 0.05 for a, b in draws]) > 0.8


def test_the_smallest_difference_is_told_in_about_four_of_five_cases() -> None:
    random = np.random.default_rng(2)
    exact = (student(0.975, 8) + student(0.8, 8)) * np.sqrt(2 / 5)
    told = np.mean([permutation_p(random.normal(exact, 1, 5), random.normal(0, 1, 5)) <= 0.05 for _ in range(600)])
    assert 0.72 < told < 0.88


@pytest.mark.parametrize(("level", "degrees", "known"), [(0.975, 8, 2.306), (0.975, 6, 2.447), (0.8, 8, 0.889)])
def test_quantiles_are_those_of_the_tables(level: float, degrees: int, known: float) -> None:
    assert student(level, degrees) == pytest.approx(known, rel=0.01)


def test_p_of_five_against_five_that_do_not_overlap_is_that_of_two_splits() -> None:
    assert permutation_p(range(5), range(10, 15)) == pytest.approx(2 / 252)


def test_three_trainings_tell_nothing_and_say_so() -> None:
    [verdict] = verdicts("paint", {"a": {"psnr": [1.0, 1.1, 1.2]}, "b": {"psnr": [9.0, 9.1, 9.2]}})
    assert (verdict.better, verdict.p, verdict.told, verdict.smallest) == ("b", None, False, None)
    lines = verdict_lines(Table({}, [], [verdict], {}), "paint")
    assert lines == ["PSNR (dB): too few trainings to tell rows apart: give --seeds 4 or more."]


def test_a_ratio_is_better_the_nearer_to_one() -> None:
    runs = {"twice": {"detail": [2.0, 2.1, 1.9, 2.0]}, "most": {"detail": [0.8, 0.82, 0.78, 0.8]}}
    [verdict] = verdicts("paint", runs)
    assert (verdict.better, verdict.told) == ("most", True)
    rows = [Row("paint", name, scores={"detail": {"value": x}}) for name, x in (("twice", 2.0), ("most", 0.8))]
    assert best_of(rows, "detail") == {"most"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": ("nigth",)}, "there is no such task"),
        ({"seeds": 0}, "--seeds 0 must be 1 or more"),
        ({"protocol": Protocol(size=8)}, "--size=8 must be from 16 to 1024"),
        ({"models": {"input": ("model=cut",)}}, "two rows are called input"),
        ({"folders": {"theirs": Path("nowhere")}}, "there is no such folder"),
    ],
)
def test_mistakes_are_one_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        settings(**changes)


def test_a_row_of_ones_own_name() -> None:
    rows = rows_of_models(["cut", "cycle5=model=cyclegan,model.lambda_cycle=5"])
    assert rows == {"cut": ("model=cut",), "cycle5": ("model=cyclegan", "model.lambda_cycle=5")}
    with pytest.raises(UserError, match="give the name of a model"):
        rows_of_models(["=x"])


@pytest.mark.parametrize("model", [name for name in all_models() if name != GATYS])
def test_the_overrides_of_every_model_compose(model: str) -> None:
    words = overrides_of(model, (f"model={model}",), "night", 3, TINY)
    config = composed(words)
    assert (config["data"]["task"], config["seed"], config["trainer"]["max_steps"]) == ("night", 3, 4)


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (["../x=model=cut"], "a row cannot be called"),
        (["a=model=cut", "a=model=cyclegan"], "a is given twice"),
        (["oracle=model=cut"], "two rows are called oracle"),
        (["x=model=cut,trainer.max_steps=9"], "trainer.max_steps=9 is the same for all rows"),
        (["x=model=cut,data.image_size=64"], "data.image_size=64 is the same for all rows"),
        (["cut="], "give the name of a model"),
    ],
)
def test_mistakes_in_rows_are_one_sentence(models: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        settings(models=rows_of_models(models))


RECIPE = (
    "recipe=model=cyclegan,model/generator=painter,model/discriminator=patches,model.lambda_idt=0,model.cycle_blur=1.5,"
    "model.weight_schedules={lambda_cycle:{_target_:gan_style.models.schedules.LinearTo,end:1,length:600}}"
)


def test_a_row_that_chooses_a_network_takes_it_as_its_file_has_it() -> None:
    words = overrides_of("recipe", rows_of_models([RECIPE])["recipe"], "night", 0, TINY)
    config = composed(words)
    assert config["model"]["generator"]["filters"] == 16, "painter's, not that of the other rows"
    assert config["model"]["optimizer_G"]["lr"] == 4e-4, "what is not of the networks is shared"
    assert config["model"]["weight_schedules"]["lambda_cycle"]["length"] == 600
    back = ("model=cyclegan", "model/generator@model.generator_BA=painter")
    assert "model.generator.filters=24" in overrides_of("back", back, "night", 0, TINY), "of the other generator"
    own = overrides_of("mine", ("model=cyclegan", "model/generator=painter"), "night", 0, TINY)
    assert "model.discriminator.filters=32" in own
    assert not [word for word in own if word.startswith("model.generator.")]


def test_lists_in_a_row_stay_whole() -> None:
    assert rows_of_models(["x=model=cut,model.nce_layers=[0,4],seed_me={a:1,b:2}"])["x"] == (
        "model=cut",
        "model.nce_layers=[0,4]",
        "seed_me={a:1,b:2}",
    )


@pytest.mark.parametrize(("model", "said"), [("cyclgan", "cyclegan"), ("c5=model=cyclegan,model.lambda_cyle=5", "c5")])
def test_a_wrong_row_is_said_before_anything_is_trained(
    model: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--models", model, "--out", str(tmp_path / "b")]) == 2
    heard = capsys.readouterr()
    assert said in heard.err
    assert heard.out == ""
    assert not (tmp_path / "b").exists()


def test_what_is_given_beside_quick_is_kept() -> None:
    words = ["bench", "--quick", "--models", "adain", "cut", "--tasks", "night", "--count", "64"]
    found = settings_of(_parsed(words))
    assert (list(found.models), found.tasks, found.seeds) == (["adain", "cut"], ("night",), 1)
    assert (found.protocol.count, found.protocol.iterations) == (64, 20)
    assert list(settings_of(_parsed(["bench", "--quick"])).models) == ["cyclegan", "cut", "fastcut"]


def test_a_folder_is_scored_alone_and_joins_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench"
    given, _ = planted(out, seeds=1)
    out.joinpath("settings.json").write_text(_to_json(given))
    judge = judge_of("paint", TINY)
    save_images(tmp_path / "theirs" / "paint", names_of(judge), judge.inputs)
    words = ["--tasks", "paint", "--count", "4", "--iterations", "4", "--out", str(out)]
    assert main(["bench", "--folder", f"theirs={tmp_path / 'theirs'}", *words]) == 2
    assert "samples 3 there and 8 here" in capsys.readouterr().err
    whole = begin_folder(out, settings(models={}, folders={"theirs": tmp_path / "theirs"}, tasks=("paint",)))
    assert set(whole.models) == {"painter", "flat"}
    cells = [cell for cell in cells_of(whole, out, None, ()) if cell.begun]
    assert [row.model for row in collect(whole, cells).rows[4:]] == ["theirs", "painter", "flat"]


def test_own_packages_reach_the_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard: list[tuple[str, ...]] = []

    def train(*words: str, **_: Any) -> Any:
        heard.append(words)
        raise UserError("stop here")

    monkeypatch.setattr("gan_style.training.from_python.train", train)
    spec = Spec("paint", "mine", 0, ("model=cut",), TINY, None, ("mylab.", "other."))
    with pytest.raises(UserError, match="stop here"):
        run(spec, tmp_path, resume=False)
    assert "allow=[mylab.,other.]" in heard[0]


@pytest.mark.parametrize("name", ["cycle+5", "plain"])
def test_what_a_killed_benchmark_left_running_is_found(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "b" / "rows" / "paint" / name
    assert _is_below(f"run_dir={quoted(folder)}", f"{tmp_path / 'b'}/rows/")
    assert not _is_below(f"run_dir={quoted(folder)}", f"{tmp_path / 'c'}/rows/")


def test_a_folder_of_other_settings_is_refused_and_more_rows_may_join(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    begin_folder(folder, settings())
    begin_folder(folder, settings(models={"cut": ("model=cut",)}, tasks=("night",), seeds=5))
    with pytest.raises(UserError, match=r"of another benchmark .iterations 4 there and 600 here"):
        begin_folder(folder, settings(protocol=Protocol(count=4, samples=3)))
    begin_folder(folder, settings(models={"cut": ("model=cut", "model.lambda_nce=3")}))  # nothing of it is there yet
    done = folder / "rows" / "paint" / "cut" / "seed-0"
    done.mkdir(parents=True)
    (done / RESULT).touch()
    with pytest.raises(UserError, match="the row cut has other overrides"):
        begin_folder(folder, settings(models={"cut": ("model=cut", "model.lambda_nce=5")}))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").touch()
    with pytest.raises(UserError, match="holds other files"):
        begin_folder(tmp_path / "photos", settings())
    (folder / "settings.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        begin_folder(folder, settings())


def planted(tmp_path: Path, seeds: int = 4) -> tuple[Settings, Path]:
    """Write what the trainings of two rows would have left: a true painter and a blur."""
    given = settings(models={"painter": ("model=cut",), "flat": ("model=cut",)}, seeds=seeds)
    judge = judge_of("paint", TINY)
    random = np.random.default_rng(0)
    for cell in cells_of(given, tmp_path, None, ()):
        images = judge.rows["true painter"] if cell.spec.model == "painter" else judge.rows["colour transfer"]
        noise = random.integers(-4, 5, images.shape)
        images = np.clip(images.astype(int) + noise, 0, 255).astype(np.uint8)
        cell.folder.mkdir(parents=True)
        np.savez_compressed(cell.folder / MADE, images=images)
        values = {name: [float(x) for x in found] for name, found in judge.values(images).items()}
        result = {"seed": cell.spec.seed, "scores": judge.scores(images, draws=2), "values": values}
        (cell.folder / RESULT).write_text(json.dumps(result | {"seconds": 1.0, "peak_GB": 0.5}))
    return given, tmp_path


def test_noise_is_scored_by_renditions_and_seeds_where_there_is_none(tmp_path: Path) -> None:
    noisy = ("model=cyclegan", "model/generator=painter", "model.generator.filters=4", "model.generator.depth=3")
    given = settings(models={"noisy": noisy, "plain": (*noisy, "model.generator.noise=false")})
    cells = cells_of(given, tmp_path, None, ())
    for cell in cells:
        cell.folder.mkdir(parents=True)
        run(cell.spec, cell.folder, resume=False)
    results = {(c.spec.model, c.spec.seed): json.loads((c.folder / RESULT).read_text()) for c in cells}
    rows = {row.model: row for row in collect(given, cells).rows}
    each = [results["noisy", seed]["scores"]["spread"]["value"] for seed in (0, 1)]
    assert rows["noisy"].scores["spread"]["value"] == pytest.approx(np.mean(each))
    assert rows["noisy"].runs["spread"] == each
    assert min(each) > 0
    translator = gan_style.load(cells[0].folder / "checkpoints" / "last.ckpt")
    judge = judge_of("paint", TINY)
    made = np.stack([translator.translate(x, "A2B", seed=i) for i, x in enumerate(judge.inputs)])
    assert np.array_equal(np.load(cells[0].folder / MADE)["images"], made), "each has noise of its own"
    assert "spread" not in results["plain", 0]["scores"]
    made = [np.load(c.folder / MADE)["images"] for c in cells if c.spec.model == "plain"]
    assert rows["plain"].scores["spread"] == judge_of("paint", TINY).spread(np.stack(made, axis=1))["spread"]
    assert "spread" not in rows["plain"].runs


def test_a_table_says_who_beats_whom_and_shows_pictures(tmp_path: Path) -> None:
    given, folder = planted(tmp_path)
    cells = cells_of(given, folder, None, ())
    (cells[0].folder / RESULT).unlink()
    (cells[0].folder / FAILED).write_text(json.dumps({"reason": "the VGG's weights are not there"}))
    given = settings(models=given.models, seeds=5)
    cells = cells_of(given, folder, None, ())
    table = collect(given, cells)
    by_name = {row.model: row for row in table.rows}
    assert by_name["painter"].seeds == [1, 2, 3]
    assert by_name["painter"].failed == "2 of 5 trainings: the VGG's weights are not there"
    flat = by_name["flat"].scores["energy_distance"]
    assert flat["low"] <= flat["value"] <= flat["high"]
    assert flat["value"] > 3 * by_name["painter"].scores["energy_distance"]["value"]
    text = markdown(table)
    assert "painter failed: 2 of 5" in text
    assert "too few trainings" in text
    html = page(table)
    assert html.count("<img ") == 7  # input, truth, three that need no model, and two rows
    assert "http" not in html


def test_four_trainings_tell_a_painter_from_a_colour_transfer(tmp_path: Path) -> None:
    given, folder = planted(tmp_path)
    table = collect(given, cells_of(given, folder, None, ()))
    assert any(
        line.startswith("Energy distance: painter beats flat; differences") for line in verdict_lines(table, "paint")
    )


def test_a_folder_is_a_row_and_what_is_wrong_with_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = judge_of("paint", TINY)
    save_images(tmp_path / "good" / "paint", names_of(judge), judge.rows["true painter"])
    save_images(tmp_path / "lacks" / "paint", names_of(judge)[1:], judge.inputs[1:])
    save_images(tmp_path / "more" / "paint", [*names_of(judge), "x"], [*judge.inputs, judge.inputs[0]])
    save_images(tmp_path / "small" / "paint", names_of(judge), judge.inputs[:, :16, :16])
    folders = {name: tmp_path / name for name in ("good", "lacks", "more", "small")}
    folders["empty"] = tmp_path
    found = {row.model: row for row in collect(settings(models={}, folders=folders), []).rows}
    assert found["good"].scores == found["true painter"].scores
    first = names_of(judge)[0]
    assert f"lacks 1 of 4 pictures, {first}.png first" in str(found["lacks"].failed)
    assert "has 1 pictures that are no test pictures, x.png first" in str(found["more"].failed)
    assert f"{first}.png is 16x16, not 32x32" in str(found["small"].failed)
    assert "does not exist" in str(found["empty"].failed)


def test_exported_pictures_are_those_that_a_folder_is_scored_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "tasks")
    assert main(["bench", "--tasks", "few", "--size", "16", "--count", "2", "--export", out]) == 0
    judge = judge_of("few", Protocol(size=16, count=2))
    for name, image in zip(names_of(judge), judge.inputs, strict=True):
        assert np.array_equal(np.asarray(Image.open(f"{out}/few/bench/{name}.png")), image)
    assert "--folder NAME=DIR" in capsys.readouterr().out


def test_a_score_that_is_no_number_is_said(tmp_path: Path) -> None:
    given, folder = planted(tmp_path, seeds=1)
    cells = cells_of(given, folder, None, ())
    result = json.loads((cells[0].folder / RESULT).read_text())
    result["scores"]["detail"]["value"] = float("inf")
    (cells[0].folder / RESULT).write_text(json.dumps(result))
    table = collect(given, cells)
    [row] = [row for row in table.rows if row.model == "painter"]
    assert row.failed == "detail: no finite number"
    assert "detail" not in row.scores
    json.dumps(table.as_dict(), allow_nan=False)


@pytest.mark.parametrize("name", ["plain", "with space", "o'clock"])
def test_a_folder_of_any_name_reaches_the_process(name: str) -> None:
    assert unquoted(quoted(Path("/tmp") / name)) == f"/tmp/{name}"


def test_a_spec_comes_back_from_its_text() -> None:
    spec = Spec("paint", "mine", 2, ("model=cut", "model.lambda_nce=5"), TINY, "conf", ("mylab.",))
    assert Spec.from_json(spec.to_json()) == spec


@pytest.mark.long
def test_the_quick_one_writes_a_whole_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gan_style", "bench", "--quick", "--iterations", "4", "--out", str(tmp_path / "b")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "b" / "bench.json").read_text())["rows"]
    assert len(rows) == 2 * (4 + 3)
    assert not any(row["failed"] for row in rows)
    assert all((tmp_path / "b" / f"bench.{suffix}").stat().st_size > 1000 for suffix in ("md", "tex", "html"))


@pytest.mark.long
def test_the_verb_to_the_end_killed_in_the_middle(tmp_path: Path) -> None:
    words = ["bench", "--tasks", "paint", "--models", "cyclegan", "adain", "--seeds", "1", "--count", "4", "--oracle"]
    words += ["--iterations", "20", "--jobs", "2"]
    environment = {**os.environ, "GAN_STYLE_VGG": str(tmp_path / "not-there.pth")}
    command = [sys.executable, "-m", "gan_style", *words]
    once = subprocess.run([*command, "--out", str(tmp_path / "once")], env=environment, capture_output=True, text=True)
    assert once.returncode == 0, once.stderr
    assert "paint adain seed 0: failed" in once.stdout

    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "killed")], env=environment, stdout=subprocess.DEVNULL
    )
    checkpoints = tmp_path / "killed" / "rows" / "paint" / "cyclegan" / "seed-0" / "metrics.csv"
    deadline = time.monotonic() + 240
    while not checkpoints.is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = subprocess.run(
        [*command, "--out", str(tmp_path / "killed")], env=environment, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr

    tables = [json.loads((tmp_path / name / "bench.json").read_text()) for name in ("once", "killed")]
    for table in tables:
        for row in table["rows"]:
            del row["seconds"], row["peak_GB"]
    assert tables[0] == tables[1]
    [failed] = [row for row in tables[0]["rows"] if row["failed"]]
    assert failed["model"] == "adain"
    assert "not-there.pth" in failed["failed"]
    assert {row["model"] for row in tables[0]["rows"]} >= {"true painter", "input", "cyclegan", "oracle"}
