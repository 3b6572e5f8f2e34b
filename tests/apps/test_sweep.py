"""Sweeps: every trial once, whatever is killed; bad input in one sentence; the best one as an experiment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir

from experiments import sweep as script
from gan_style.apps.sweep import plots, settings
from gan_style.apps.sweep.scores import Rule, read_scores
from gan_style.apps.sweep.space import Choice, read_space
from gan_style.core import training_process as process
from gan_style.core.config import build, check, config_dir, plain
from gan_style.core.errors import UserError
from gan_style.training.best_rule import PREFERRED
from tests.conftest import composed

pytest.importorskip("optuna")

from gan_style.apps.sweep import runner, summary

ROOT = Path(__file__).parents[2]
STUB = f"command=[{sys.executable}, {ROOT / 'tests' / 'sweep_stub.py'}]"
SPACE = {"model.lambda_cycle": {"type": "float", "low": 1, "high": 30, "log": True}}


def sweep_file(folder: Path, **content: Any) -> str:
    """`sweep=PATH` of a sweep of six trials, two at a time, of six iterations each."""
    path = folder / "mine.yaml"
    path.write_text(
        yaml.safe_dump({"space": SPACE, "trials": 6, "jobs": 2, "overrides": ["trainer.max_steps=6"], **content})
    )
    return f"sweep={path}"


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a sweep of stubs in this process: exit status, stdout and stderr."""
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.02)

    def start(*words: str, **content: Any) -> tuple[int, str, str]:
        status = script.main([sweep_file(tmp_path, **content), STUB, f"folder={tmp_path / 'sweep'}", *words])
        out, err = capsys.readouterr()
        return status, out, err.strip()

    return start


def started(folder: Path, *words: str, **content: Any) -> subprocess.Popen[str]:
    """A sweep in a process of its own."""
    command = [sys.executable, str(ROOT / "experiments" / "sweep.py"), sweep_file(folder, **content), *words]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, f"folder={folder / 'sweep'}"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(autouse=True)
def _no_orphans(tmp_path: Path) -> Iterator[None]:
    """Trainings outlive their sweep on purpose; those of a test that failed must not outlive the test."""
    yield
    for pid in trainings(tmp_path / "sweep"):
        os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def trials(folder: Path) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads((folder / "summary.json").read_text())["trials"]
    return content


def trainings(folder: Path) -> list[int]:
    """Numbers of the living processes that train below a sweep's folder."""
    start = f"run_dir={folder}/trial-"
    return [pid for pid, words in process._processes() if any(word.startswith(start) for word in words)]


def each_iteration_once(folder: Path, iterations: int) -> None:
    """A kill between a log line and its checkpoint may repeat the one iteration that was not saved."""
    logged = [int(line) for line in (folder / "log.txt").read_text().split()]
    assert sorted(set(logged)) == list(range(1, iterations + 1))
    assert len(logged) <= iterations + 1
    assert [i for i, _ in read_scores(folder, "val/psnr")] == list(range(1, iterations + 1))


def test_all_trials_and_none_twice_after_the_sweep_and_a_training_were_killed(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = (STUB, "pruner=none", "+seconds=0.15")
    first = started(tmp_path, *words)
    until(lambda: (folder / "trial-003" / "log.txt").is_file())
    alive = trainings(folder)
    first.kill()
    first.communicate()
    assert len(alive) == 2, "trainings outlive their sweep"
    os.kill(alive[0], signal.SIGKILL)
    begun = (folder / "trial-001" / "log.txt").read_bytes()
    second = started(tmp_path, *words)
    out, err = second.communicate(timeout=100)
    assert second.returncode == 0, err
    assert "goes on" in out
    assert [row["trial"] for row in trials(folder)] == list(range(6))
    assert {row["state"] for row in trials(folder)} == {"done"}
    assert sorted(path.name for path in folder.glob("trial-*")) == [f"trial-{i:03d}" for i in range(6)]
    for i in range(6):
        each_iteration_once(folder / f"trial-{i:03d}", 6)
    assert (folder / "trial-001" / "log.txt").read_bytes() == begun, "what was done is not done again"
    assert len({row["params"]["model.lambda_cycle"] for row in trials(folder)}) == 6
    assert not trainings(folder)


def test_sigterm_saves_the_trainings_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = (STUB, "trials=2", "+seconds=0.2")
    first = started(tmp_path, *words)
    until(lambda: (folder / "trial-001" / "log.txt").is_file())
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=60)
    assert first.returncode == 130
    assert err.strip() == "gan_style: stopped with 2 trials saved; the same command goes on"
    assert not trainings(folder)
    assert {row["state"] for row in trials(folder)} == {"running"}
    second = started(tmp_path, *words)
    assert second.wait(60) == 0, second.communicate()
    second.communicate()
    for i in range(2):
        each_iteration_once(folder / f"trial-{i:03d}", 6)


def test_a_killed_training_goes_on_while_the_sweep_runs(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    running = started(tmp_path, STUB, "trials=1", "+seconds=0.15")
    until(lambda: (folder / "trial-000" / "log.txt").is_file())
    os.kill(trainings(folder)[0], signal.SIGKILL)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "trial 0  ended by a signal (status -9): it goes on from what it saved" in out
    each_iteration_once(folder / "trial-000", 6)


def test_a_trial_that_crashes_is_reported_and_the_others_go_on(sweep: Callable[..., Any], tmp_path: Path) -> None:
    status, out, err = sweep("name=crash", "pruner=none", "trials=8")
    assert (status, err) == (0, "")
    failed = [row for row in trials(tmp_path / "sweep") if row["state"] == "failed"]
    assert failed
    assert len(trials(tmp_path / "sweep")) == 8
    for row in failed:
        assert row["params"]["model.lambda_cycle"] > 20
        assert row["error"] == "RuntimeError: a loss burst"
        assert f"trial {row['trial']}  failed: RuntimeError: a loss burst" in out
    assert "RuntimeError: a loss burst" in (tmp_path / "sweep" / "summary.md").read_text()


def test_a_training_that_keeps_dying_fails(
    sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = process.Training.__init__

    def deadly(self: process.Training, *words: Any) -> None:
        real(self, *words)
        if self.folder.name == "trial-000":
            self.kill()  # before it can have done anything

    monkeypatch.setattr(process.Training, "__init__", deadly)
    status, out, _ = sweep("trials=2")
    assert status == 0
    assert out.count("trial 0  ended by a signal") == 2
    assert [row["state"] for row in trials(tmp_path / "sweep")] == ["failed", "done"]


def test_hopeless_trials_are_pruned(sweep: Callable[..., Any], tmp_path: Path) -> None:
    status, out, _ = sweep("trials=10", "jobs=1", "pruner_startup=2", "+seconds=0.1", "sampler=random")
    assert status == 0
    rows = trials(tmp_path / "sweep")
    pruned = [row for row in rows if row["state"] == "pruned"]
    assert pruned
    assert "pruned  val/psnr" in out
    done = [row["score"] for row in rows if row["state"] == "done"]
    assert max(done) > max(row["score"] for row in pruned)
    assert all(row["iteration"] < 6 for row in pruned)


def test_more_trials_can_be_asked_for_and_a_restart_draws_no_value_twice(
    sweep: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("sampler=random", "pruner=none", "+seconds=0")
    assert sweep("trials=2", *words)[0] == 0
    status, out, _ = sweep("trials=4", *words)
    assert status == 0
    assert "2 done before" in out
    assert "rehearsal" not in out
    values = [row["params"]["model.lambda_cycle"] for row in trials(tmp_path / "sweep")]
    assert len(set(values)) == 4


def test_the_first_trial_is_the_training_as_it_is(
    sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings.Sweep, "unvaried", lambda self: {"model.lambda_cycle": 10.0})
    assert sweep("trials=3", "jobs=1", "+seconds=0", "pruner=none")[0] == 0
    values = [row["params"]["model.lambda_cycle"] for row in trials(tmp_path / "sweep")]
    assert values[0] == 10.0
    assert len(set(values)) == 3


@pytest.mark.parametrize("name", settings.shipped())
def test_a_shipped_sweep_starts_at_its_experiment(name: str, tmp_path: Path) -> None:
    one = settings.read([f"sweep={name}", f"folder={tmp_path}"])
    point = one.unvaried()
    assert point is not None
    assert set(point) == set(one.space)
    varied = composed(*one.overrides.values(), "name=x", *(f"{k}={summary.word(v)}" for k, v in point.items()))
    assert varied == composed(*one.overrides.values(), "name=x")


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        ({"type": "int", "low": 3, "high": 9, "step": 3}, 9),
        ({"type": "int", "low": 1, "high": 9, "step": 3}, None),
        ({"type": "float", "low": 9, "high": 9}, 9.0),
        ({"type": "float", "low": 8.1, "high": 9.3, "step": 0.1}, 9.0),
        ({"type": "float", "low": 8.15, "high": 9.3, "step": 0.1}, None),
        ({"type": "int", "low": 3, "high": 8}, None),
        ({"type": "choice", "values": [6, 9]}, 9),
        ({"type": "choice", "values": [4, 6]}, None),
    ],
)
def test_outside_of_the_space_there_is_no_such_trial(
    dimension: dict[str, Any], expected: float | None, tmp_path: Path
) -> None:
    """The network of `model=cyclegan` has nine blocks."""
    word = sweep_file(tmp_path, space={"model.generator.blocks": dimension})
    point = settings.read([word]).unvaried()
    assert point == (None if expected is None else {"model.generator.blocks": expected})
    assert settings.read([word, STUB]).unvaried() is None


def test_a_grid_has_every_combination_once(sweep: Callable[..., Any], tmp_path: Path) -> None:
    space = {
        "seed": {"type": "choice", "values": [0, 1, 2]},
        "model.gan_mode": {"type": "choice", "values": ["lsgan", "hinge"]},
    }
    assert sweep("+seconds=0", space=space, sampler="grid", trials=None, pruner="none")[0] == 0
    points = [(row["params"]["seed"], row["params"]["model.gan_mode"]) for row in trials(tmp_path / "sweep")]
    assert sorted(points) == [(s, m) for s in range(3) for m in ("hinge", "lsgan")]


def test_every_training_sees_the_budgets_pictures(sweep: Callable[..., Any], tmp_path: Path) -> None:
    space = {"data.batch_size": {"type": "choice", "values": [1, 3, 4]}}
    assert sweep("+seconds=0", space=space, sampler="grid", overrides=[], budget=12)[0] == 0
    for row in trials(tmp_path / "sweep"):
        config = json.loads((tmp_path / "sweep" / f"trial-{row['trial']:03d}" / "config.yaml").read_text())
        assert config["trainer"]["max_steps"] == 12 // row["params"]["data.batch_size"]


def test_trainings_share_a_wandb_group_and_not_a_gpu(sweep: Callable[..., Any], tmp_path: Path) -> None:
    assert sweep("+seconds=0", "gpus=[4,5,6,7]", "trials=2")[0] == 0
    lines = [(tmp_path / "sweep" / f"trial-00{i}" / "environment.txt").read_text() for i in range(2)]
    assert lines == ["mine-sweep 4,6", "mine-sweep 5,7"]


def test_the_summary_has_plots_that_need_no_network_and_the_best_composes(
    sweep: Callable[..., Any], tmp_path: Path
) -> None:
    overrides = ["data=tiny", "model.generator.filters=4", "+seconds=0", "trainer.max_steps=6"]
    space = {
        **SPACE,
        "model/generator": {"type": "choice", "values": ["resnet6", "unet128"]},
        "model.optimizer_G.lr": {"type": "float", "low": 1e-6, "high": 1e-5, "log": True},
    }
    status, out, _ = sweep("pruner=none", "trials=12", space=space, overrides=overrides)
    assert status == 0
    folder = tmp_path / "sweep"
    page = (folder / "sweep.html").read_text()
    assert page.count("<svg") == 2
    assert "<polyline" in (folder / "parallel.svg").read_text()
    for outside in ("<script", "<link", "src=", "href="):
        assert outside not in page
    assert "experiment=best" in out
    rows = trials(folder)
    best = max(rows, key=lambda row: row["score"])
    assert json.loads((folder / "summary.json").read_text())["best"] == best["trial"]
    assert (folder / "best.yaml").read_text().startswith("# @package _global_\n")
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        words = [f"hydra.searchpath=[file://{folder}]", "experiment=best", "name=x", "seed=0"]
        config = plain(compose("train", words))
    assert config["model"]["lambda_cycle"] == best["params"]["model.lambda_cycle"]
    assert config["model"]["optimizer_G"]["lr"] == best["params"]["model.optimizer_G.lr"]
    assert ("unet" in config["model"]["generator"]["_target_"]) == (best["params"]["model/generator"] == "unet128")
    assert (config["data"]["count"], config["trainer"]["max_steps"]) == (8, 6)


def test_every_value_of_the_sweep_over_the_recipe_builds(tmp_path: Path) -> None:
    """Each value of each dimension builds method and average; as long as the demo, in pictures."""
    sweep = settings.read(["sweep=recipe", f"folder={tmp_path}"])
    demo = composed("experiment=demo", "name=x")
    assert sweep.file.budget == demo["trainer"]["max_steps"] * demo["data"]["batch_size"]
    first = {key: dimension.first() for key, dimension in sweep.space.items()}
    for key, dimension in sweep.space.items():
        for value in dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high):
            words = [f"{name}={summary.word(chosen)}" for name, chosen in (first | {key: value}).items()]
            config = composed(*sweep.overrides.values(), "name=x", *words)
            build(config["model"], channels_A=3, channels_B=3)
            build(config["callbacks"]["ema"])


def test_the_best_of_an_experiment_builds_on_it(tmp_path: Path) -> None:
    words = [f"sweep={config_dir() / 'sweep' / 'lambdas.yaml'}", "experiment=demo", "~callbacks.ema", "trials=1"]
    one = settings.read(words)
    best = {"trial": 0, "params": {"model.lambda_cycle": 2.0}, "score": 1.0, "iteration": 1}
    base = runner.Base("val/psnr", "highest", 1, 1)
    (tmp_path / "experiment").mkdir()
    text = summary.best_config(one, base, best)
    (tmp_path / "experiment" / "best.yaml").write_text(text)
    assert "# It also needs, on the command line: ~callbacks.ema" in text
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = plain(compose("train", [f"hydra.searchpath=[file://{tmp_path}]", "experiment=best", "name=x"]))
    assert config["model"]["lambda_cycle"] == 2.0
    assert config["model"]["schedule"]["constant"] == 1050
    assert config["trainer"]["max_steps"] == 4000


MISTAKES = [
    (("sweep=lambda",), "sweep=lambda is not known: did you mean lambdas?"),
    (("sweep=no/such.yaml",), "there is no sweep file no/such.yaml"),
    (("trials=3",), "sweep=NAME must be given; there are: batch_size, generator, lambdas, recipe, seed"),
    (("sweep=lambdas", "trials=0"), "trials=0 is not valid"),
    (("sweep=lambdas", "--config-dir", "conf", "trials=0"), "trials=0 is not valid"),
    (("sweep=lambdas", "trials=abc"), "trials=abc is not valid"),
    (("sweep=lambdas", "jobs=0"), "jobs=0 is not valid"),
    (("sweep=lambdas", "trails=3"), "trails is not a known key: did you mean trials?"),
    (("sweep=lambdas", "pruner=medium"), "pruner=medium is not valid"),
    (("sweep=lambdas", "sampler=grid"), "sampler=grid needs choices"),
    (("sweep=lambdas", "storage=sqlite:////no/such/dir/x.db"), "cannot be used: (sqlite3.OperationalError)"),
    (("sweep=lambdas", "storage=postgresql://me:secret@127.0.0.1:9/x"), "storage=postgresql://me:***@127.0.0.1:9/x"),
    (("sweep=lambdas", "storage=nonsense"), "storage=nonsense cannot be used"),
    (("sweep=lambdas", "run_dir=x"), "run_dir cannot be set"),
    (("sweep=lambdas", "model.lambda_cycle=3"), "model.lambda_cycle is varied by sweep=lambdas"),
    (("sweep=lambdas", "budget=9", "trainer.max_steps=3"), "both say how long"),
    (("sweep=lambdas", "budget=null"), "no common length: give budget=PICTURES or trainer.max_steps=N"),
    (("sweep=lambdas", "words"), "words cannot be read"),
    (("sweep=lambdas", "name=broken"), "a training of this sweep cannot start: model=broken is not known"),
    (("sweep=lambdas", "data=folders"), "has no val/psnr to choose by"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[" ".join(w) for w, _ in MISTAKES])
def test_a_mistake_is_one_line_and_status_2(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([*words, STUB, f"folder={tmp_path / 'sweep'}"]) == 2
    err = capsys.readouterr().err.strip()
    assert message in err
    assert len(err.splitlines()) == 1
    assert "secret" not in err


FILES = [
    ({"space": {}}, "has an empty space"),
    ({"space": None}, "has an empty space"),
    ({"trails": 3}, "trails in mine.yaml is not a known key: did you mean trials?"),
    (
        {"space": {"seed": {"type": "flat", "low": 1, "high": 2}}},
        "space.seed.type=flat is not known: did you mean float?",
    ),
    (
        {"space": {"seed": {"type": "int", "low": 1, "hihg": 2}}},
        "space.seed.hihg is not a known key: did you mean high?",
    ),
    ({"space": {"seed": {"type": "int", "low": 3, "high": 2}}}, "space.seed.low=3 is above its high=2"),
    ({"space": {"seed": {"type": "int", "low": 0.5, "high": 2}}}, "whole"),
    ({"space": {"seed": {"type": "float", "low": 0, "high": 2, "log": True}}}, "has no logarithm"),
    ({"space": {"seed": {"type": "choice", "values": []}}}, "space.seed.values is empty"),
    ({"space": {"seed": {"type": "choice", "values": [1, 1]}}}, "names a value twice"),
    ({"space": {"seed": {"type": "choice", "values": [[1]]}}}, "put quotes around it"),
    ({"space": {"seed": 5}}, "space.seed=5 is not valid"),
]


@pytest.mark.parametrize(("content", "message"), FILES, ids=[message for _, message in FILES])
def test_a_mistake_in_a_sweep_file_is_named(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        settings.read([sweep_file(tmp_path, **content)])
    assert message in str(caught.value)


@pytest.mark.parametrize("room", ["sweep", "bench"])
def test_a_folder_is_free_again_after_an_error_that_is_still_held(
    room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a notebook holds the last error, with the frames in which a lock was."""
    from gan_style.apps.bench.runner import LOCK, alone_in

    monkeypatch.setattr(runner, "storage_of", lambda sweep: 1 / 0)

    def fail() -> None:
        if room == "sweep":
            runner.run(SimpleNamespace(folder=tmp_path))  # type: ignore[arg-type]
        with alone_in(tmp_path):
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError) as kept:
        fail()
    with runner.FileLock(tmp_path / (LOCK if room == "bench" else ".lock"), timeout=0):
        assert kept.tb


def test_another_sweep_in_the_folder_and_two_at_once_are_refused(sweep: Callable[..., Any], tmp_path: Path) -> None:
    assert sweep("+seconds=0", "trials=1")[0] == 0
    status, _, err = sweep("+seconds=0", "trials=1", "trainer.max_steps=7")
    assert status == 2
    assert "holds a sweep mine whose overrides differ" in err
    with runner.FileLock(tmp_path / "sweep" / ".lock"):
        status, _, err = sweep("+seconds=0", "trials=2")
    assert status == 2
    assert "another sweep runs in" in err


@pytest.mark.parametrize("name", settings.shipped())
def test_shipped_sweeps_name_keys_that_exist(name: str) -> None:
    one = settings.read([f"sweep={name}"])
    for end in (0, -1):
        params = {key: d.values[end] if hasattr(d, "values") else (d.low, d.high)[end] for key, d in one.space.items()}
        config = composed(*runner.command_of(one, params)[2:], "name=x")
        check(config)
        with torch.device("meta"):
            build(config["model"])


def test_the_wandb_sweep_drives_the_same_command() -> None:
    content = yaml.safe_load((ROOT / "experiments" / "wandb_sweep.yaml").read_text())
    words = [word for word in content["command"] if "=" in word]
    assert content["command"][-1] == "${args_no_hyphens}"
    assert (ROOT / content["program"]).is_file()
    check(composed(*words, *(f"{key}={node['min']}" for key, node in content["parameters"].items()), "name=x"))
    assert content["metric"]["name"] == f"val/{PREFERRED[0]}", "what chooses best.ckpt where the truth is known"


def test_scores_are_read_while_the_file_is_written(tmp_path: Path) -> None:
    assert read_scores(tmp_path, "val/psnr") == []
    (tmp_path / "metrics.csv").write_text("iteration,loss,val/psnr\n1,0.5,\n2,0.5,nan\n3,0.4,17.5\n4,0.4,18.2")
    assert read_scores(tmp_path, "val/psnr") == [(3, 17.5)]
    assert Rule("x", "highest").best([(1, 2.0), (2, 3.0), (3, 3.0)]) == (2, 3.0)
    assert Rule("x", "lowest").best([(1, 2.0), (2, 3.0)]) == (1, 2.0)


def test_paths_with_spaces_reach_hydra_whole() -> None:
    for text in ("/tmp/a b=c/it's", "/tmp/plain"):
        assert composed(f"run_dir={process.quoted(Path(text))}", "name=x")["run_dir"] == text


def test_a_plot_of_equal_scores_and_one_value_is_drawn() -> None:
    space = read_space({"a": {"type": "int", "low": 3, "high": 3}, "b": {"type": "choice", "values": ["<x>"]}}, "x")
    rows = [{"trial": i, "state": "done", "score": 1.0, "params": {"a": 3, "b": "<x>"}} for i in range(2)]
    svg = plots.parallel(rows, space, Rule("val/psnr", "highest"))
    assert svg.count("<polyline") == 2
    assert "&lt;x&gt;" in svg
    assert plots.parallel([], space, Rule("val/psnr", "highest")) == plots.importance({}) == ""


SMALL = (
    "data=tiny",
    "data.image_size=32",
    "data.load_size=36",
    "model.generator.filters=4",
    "model.generator.blocks=1",
    "model.discriminator.filters=4",
    "logger=wandb",
    "logger.upload_checkpoint=false",
)


@pytest.mark.quiet
@pytest.mark.timeout(1200)  # eight starts of a training, two at a time: two minutes, and far more on a busy machine
def test_real_trainings_killed_in_the_middle_are_each_done_once_in_one_wandb_group(tmp_path: Path) -> None:
    from wandb.proto import wandb_internal_pb2

    folder = tmp_path / "sweep"
    words = (*SMALL, "trials=6", "pruner=none", "trainer.val_every=5", "trainer.save_every=5")
    content = {"overrides": ["trainer.max_steps=30"]}
    first = started(tmp_path, *words, **content)
    until(lambda: (folder / "trial-001" / "checkpoints" / "last.ckpt").is_file(), 400)
    for pid in [first.pid, *trainings(folder)]:
        os.kill(pid, signal.SIGKILL)
    first.communicate()
    second = started(tmp_path, *words, **content)
    out, err = second.communicate(timeout=700)
    assert second.returncode == 0, err
    assert "goes on" in out
    assert [(row["trial"], row["state"]) for row in trials(folder)] == [(i, "done") for i in range(6)], out
    for row in trials(folder):
        run = folder / f"trial-{row['trial']:03d}"
        assert [i for i, _ in read_scores(run, "val/psnr")] == [5, 10, 15, 20, 25, 30]
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["model"]["lambda_cycle"] == row["params"]["model.lambda_cycle"]
        records = [
            wandb_records(path, wandb_internal_pb2.Record) for path in run.glob("wandb/offline-run-*/run-*.wandb")
        ]
        groups = {
            record.run.run_group for part in records for record in part if record.WhichOneof("record_type") == "run"
        }
        assert groups == {"mine-sweep"}
        assert any("psnr" in str(record.history) for part in records for record in part)


def wandb_records(path: Path, kind: Any) -> list[Any]:
    """The whole records of a `run-*.wandb` file (LevelDB framing); a killed run's file may end in half of one."""
    data, position, payload, records = path.read_bytes(), 7, b"", []
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, part = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        if position + 7 + length > len(data) or part == 0:
            break
        payload += data[position + 7 : position + 7 + length]
        position += 7 + length
        if part in (1, 4):
            records.append(kind.FromString(payload))
            payload = b""
    return records


@pytest.mark.quiet
def test_submitit_runs_a_grid_and_takes_a_failed_job_back(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    small = [word for word in SMALL if not word.startswith("logger")]
    jobs = ["trainer.max_steps=1", "model.lambda_cycle=5,abc", f"hydra.sweep.dir={tmp_path / 'grid'}"]
    command = [sys.executable, "train.py", "-m", "hydra/launcher=submitit_local", *small, "model/generator=resnet6"]
    done = subprocess.run([*command, *jobs], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert (tmp_path / "grid" / "0" / "report.html").is_file()
    assert not (tmp_path / "grid" / "1" / "report.html").exists()
    assert done.returncode == 2
    assert "model.lambda_cycle=abc is not valid" in done.stderr.splitlines()[-1]
