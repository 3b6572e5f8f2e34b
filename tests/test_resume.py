"""Train 2n iterations, or n and resume for n: every tensor and every logged number equal, bit for bit."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.checkpoints import checkpoint
from gan_style.checkpoints.checkpoint import load
from gan_style.core.errors import UserError
from tests.conftest import HARD, SMALL, SMALL_RESNET, differences

Run = Callable[..., Path]
ROOT = Path(__file__).parents[1]


def state(run_dir: Path) -> dict[str, Any]:
    """What must be equal: all of the checkpoint but the config, which names the run folder."""
    return {k: v for k, v in load(run_dir / "checkpoints" / "last.ckpt").items() if k not in ("config", "best")}


def rows(run_dir: Path) -> list[dict[str, str]]:
    """metrics.csv without the clock, and without validations, whose place follows from the length of a run."""
    with open(run_dir / "metrics.csv", newline="") as file:
        found = list(csv.DictReader(file))
    return [{k: v for k, v in r.items() if k.startswith(("iteration", "train/", "lr/"))} for r in found]


def assert_same(a: Path, b: Path) -> None:
    assert differences(state(a), state(b)) == []
    assert rows(a) == rows(b)


@pytest.mark.parametrize(
    ("cut", "workers"),
    [
        pytest.param(4, 0, id="at an epoch's end"),
        pytest.param(3, 2, id="mid-epoch with loader workers"),
        pytest.param(4, 2, id="at an epoch's end with loader workers", marks=pytest.mark.slow),
        pytest.param(3, 0, id="mid-epoch", marks=pytest.mark.slow),
    ],
)
def test_resume_is_bit_exact(run: Run, trained: Run, cut: int, workers: int) -> None:
    extra = (*HARD, "model.schedule.constant=2", "model.schedule.decay=20", "model.schedule.unit=iterations")
    extra += ("data.count=4",)  # iterations of an epoch
    scored = cut == 3  # once with every callback of a user's training
    whole = trained("whole", *extra, "trainer.max_steps=7", scored=scored)
    parts = run("parts", *extra, f"trainer.max_steps={cut}", f"data.num_workers={workers}", scored=scored)
    half = state(parts)
    assert half["iteration"] == cut
    assert differences(half["state_dict"], state(whole)["state_dict"]) != []
    run("parts", *extra, "trainer.max_steps=7", "resume=last", f"data.num_workers={workers}", scored=scored)
    assert_same(whole, parts)


def test_noise_goes_on_after_a_resume(run: Run) -> None:
    extra = ("model/generator=painter", "model.generator.depth=2", "trainer.val_every=2")
    extra += (
        "model/generator@model.generator_BA=resnet6",
        "model.generator_BA.noise=true",
        "model.generator_BA.filters=2",
        "model.generator_BA.blocks=1",
    )
    whole = run("whole", *extra, "trainer.max_steps=4")
    parts = run("parts", *extra, "trainer.max_steps=3")
    run("parts", *extra, "trainer.max_steps=4", "resume=last")
    assert_same(whole, parts)


def test_a_checkpoint_older_than_a_key_goes_on(run: Run, trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    last = trained("run", "trainer.max_steps=1") / "checkpoints" / "last.ckpt"
    content = load(last)
    for node, key in (
        (content["config"]["model"]["generator"], "downsample"),
        (content["config"]["model"], "pool_size"),
    ):
        del node[key]
    checkpoint.save(content, last)
    capsys.readouterr()
    run("run", "trainer.max_steps=2", "resume=last")
    said = capsys.readouterr().out
    assert "iteration 1 to 2" in said
    assert "not as if it had never stopped" not in said


@pytest.mark.slow
def test_everything_listed_matters(run: Run, trained: Run) -> None:
    """A resumed run that lost its pool, its optimisers or its averages must differ, or the test proves nothing."""
    whole = run("whole", *HARD, "trainer.max_steps=8")
    fresh = torch.load(run("fresh", *HARD, "trainer.max_steps=1") / "checkpoints/last.ckpt", weights_only=True)
    for lost in ("pools", "optimizers", "callbacks"):
        parts = trained(f"lost_{lost}", *HARD, "trainer.max_steps=4")
        path = parts / "checkpoints" / "last.ckpt"
        content = torch.load(path, weights_only=True)
        content[lost] = fresh[lost]
        torch.save(content, path)
        run(f"lost_{lost}", *HARD, "trainer.max_steps=8", "resume=last")
        assert differences(state(whole), state(parts)) != [], lost


def test_open_gradients_of_an_accumulated_step_are_state(run: Run) -> None:
    extra = ("model.accumulate=3", "model.clip_grad_norm=0.5")
    whole = run("whole", *extra, "trainer.max_steps=6")
    parts = run("parts", *extra, "trainer.max_steps=4")
    assert state(parts)["gradients"][0]
    run("parts", *extra, "trainer.max_steps=6", "resume=last")
    assert_same(whole, parts)


def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(run: Run) -> None:
    a, b = run("a", "trainer.max_steps=3"), run("b", "trainer.max_steps=3")
    other = run("other", "trainer.max_steps=3", "seed=1")
    assert_same(a, b)
    assert differences(state(a)["state_dict"], state(other)["state_dict"]) != []


def test_validation_keeps_its_iterations_after_a_resume(run: Run) -> None:
    every = ("trainer.val_every=3", "trainer.save_every=2")
    whole = run("whole", *every, "trainer.max_steps=7")
    parts = run("parts", *every, "trainer.max_steps=4")
    run("parts", *every, "trainer.max_steps=7", "resume=last")
    names = {p.name for p in (whole / "images").iterdir()}
    assert names == {f"iteration-{i:06d}.png" for i in (3, 6, 7)}
    assert {p.name for p in (parts / "images").iterdir()} == names | {"iteration-000004.png"}
    for name in names:
        assert (whole / "images" / name).read_bytes() == (parts / "images" / name).read_bytes()


def test_rows_are_on_disk_before_the_checkpoint_that_counts_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a run that is killed after the checkpoint goes on without them."""
    seen, original = [], checkpoint.save

    def save(content: dict[str, Any], path: Path) -> None:
        seen.append((content["iteration"], [r["iteration"] for r in rows(path.parents[1])]))
        original(content, path)

    monkeypatch.setattr(checkpoint, "save", save)
    run("run", "trainer.max_steps=5", "trainer.val_every=2")
    assert seen == [(k, [str(i) for i in range(1, k + 1)]) for k in (2, 4, 5)]


def test_a_finished_run_has_nothing_left_to_do(run: Run, trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    parts = trained("parts", "trainer.max_steps=2")
    run("parts", "trainer.max_steps=2", "resume=last")
    assert "nothing is left to do" in capsys.readouterr().out
    assert load(parts / "checkpoints" / "last.ckpt")["iteration"] == 2


def test_half_a_row_that_a_power_cut_left_is_dropped(run: Run, trained: Run) -> None:
    parts = trained("parts", "trainer.max_steps=2")
    with open(parts / "metrics.csv", "a") as file:
        file.write("1,0.5")
    run("parts", "trainer.max_steps=3", "resume=last")
    assert [r["iteration"] for r in rows(parts)] == ["1", "2", "3"]


@pytest.mark.slow
def test_ctrl_c_of_a_terminal_leaves_the_loader_workers_alone(tmp_path: Path) -> None:
    """It reaches every process of the group, the workers too; a dead one would take training along."""
    command = [sys.executable, "train.py", *SMALL, *SMALL_RESNET, "trainer.max_steps=400", "data.num_workers=2"]
    process = subprocess.Popen(
        [*command, f"run_dir={tmp_path}"], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    interrupt_when_training(process, tmp_path, signal.SIGINT, os.killpg)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert len(stderr.strip().splitlines()) == 1, stderr
    assert load(tmp_path / "checkpoints" / "last.ckpt")["iteration"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_saves_and_the_resumed_run_is_bit_exact(run: Run, tmp_path: Path, number: int) -> None:
    command = [sys.executable, "train.py", *SMALL, *SMALL_RESNET, *HARD, "trainer.max_steps=400"]
    folder = tmp_path / "signalled"
    process = subprocess.Popen([*command, f"run_dir={folder}"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    interrupt_when_training(process, folder, number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert len(stderr.strip().splitlines()) == 1, stderr
    assert "resume=last" in stderr
    stopped_at = load(folder / "checkpoints" / "last.ckpt")["iteration"]
    assert 0 < stopped_at < 400
    end = f"trainer.max_steps={stopped_at + 5}"
    run("signalled", *HARD, end, "resume=last", scored=True)
    assert_same(run("whole", *HARD, end, scored=True), folder)


def interrupt_when_training(
    process: subprocess.Popen[str], folder: Path, number: int, kill: Callable[[int, int], None] = os.kill
) -> None:
    for _ in range(2000):  # the import alone takes a minute on a busy machine
        time.sleep(0.1)
        if (folder / "metrics.csv").is_file() and len((folder / "metrics.csv").read_text().splitlines()) > 4:
            break
        assert process.poll() is None, "training ended before it could be interrupted"
    else:
        raise AssertionError("training has not begun")
    kill(process.pid, number)


def test_what_is_no_longer_the_same_is_said(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for domain in "AB":
        (tmp_path / "set" / f"train{domain}").mkdir(parents=True)
        for i in range(3):
            noise = np.random.default_rng(i).integers(0, 256, (36, 36, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "set" / f"train{domain}" / f"{i}.png")
    words = ("data=folders", f"data.root={tmp_path / 'set'}", "data.image_size=32", "data.load_size=32")
    run("run", *words, "trainer.max_steps=1")
    capsys.readouterr()
    run("run", *words, "trainer.max_steps=2", "resume=last", "data.cache=off", "data.num_workers=1")
    assert "note: data" not in capsys.readouterr().out, "neither changes a number"
    (tmp_path / "set" / "trainA" / "2.png").unlink()
    Image.fromarray(noise[::-1]).save(tmp_path / "set" / "trainB" / "1.png")
    run("run", *words, "trainer.max_steps=3", "resume=last", "data.flip=false", "data.jitter=0.1")
    said = capsys.readouterr().out
    for difference in (
        "data.flip=True there, data.flip=False here",
        "data.jitter=0 there, data.jitter=0.1 here",
        "domain A had 3 training pictures and has 2;",
        "domain B had 3 training pictures and has 3; others of the same number;",
    ):
        assert f"note: {difference}" in said
    assert said.count("the run goes on, but not as if it had never stopped") == 4


def test_a_run_goes_on_in_another_layout(run: Run) -> None:
    """Moments are laid out as the weights are; only rounding may differ."""
    precise = ("trainer.precision=64-true",)
    whole = run("whole", *precise, "trainer.max_steps=4")
    run("parts", *precise, "trainer.max_steps=2")
    parts = run("parts", *precise, "trainer.max_steps=4", "resume=last", "trainer.channels_last=true")
    a, b = state(whole), state(parts)
    assert b["state_dict"]["G_AB.layers.1.weight"].is_contiguous(memory_format=torch.channels_last)
    for key, value in a["state_dict"].items():
        torch.testing.assert_close(value, b["state_dict"][key], rtol=1e-7, atol=1e-9)


def test_resume_is_bit_exact_by_fast_convolutions(run: Run, trained: Run) -> None:
    words = (*HARD, "trainer.fast_convolutions=true")
    whole = run("whole", *words, "trainer.max_steps=4")
    parts = run("parts", *words, "trainer.max_steps=2")
    run("parts", *words, "trainer.max_steps=4", "resume=last")
    assert_same(whole, parts)
    plain = trained("plain", *HARD, "trainer.fast_convolutions=false", "trainer.max_steps=4")
    assert differences(state(plain)["state_dict"], state(whole)["state_dict"]) != []  # they were really taken


@pytest.mark.parametrize("harm", ["cut off", "gone", "a flipped bit"])
def test_a_damaged_newest_checkpoint_leaves_the_one_before(
    run: Run, trained: Run, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    every = (*HARD, "trainer.save_every=2")
    whole = trained("whole", *every, "trainer.max_steps=6")
    parts = trained("parts", *every, "trainer.max_steps=4")
    last = parts / "checkpoints" / "last.ckpt"
    content = last.read_bytes()
    inside = content.index(load(last)["state_dict"]["G_AB.layers.1.weight"].numpy().tobytes()) + 5
    flipped = content[:inside] + bytes([content[inside] ^ 4]) + content[inside + 1 :]
    last.unlink()
    if harm != "gone":
        last.write_bytes(content[:-500] if harm == "cut off" else flipped)
    capsys.readouterr()
    run("parts", *every, "trainer.max_steps=6", "resume=last")
    said = capsys.readouterr().out
    assert said.startswith(f"note: {last} is " if harm != "gone" else f"note: there is no checkpoint {last}")
    assert "; the one before it is taken, " in said
    assert re.search(r"previous\.ckpt of iteration [123]\n", said)
    assert_same(whole, parts)


def test_a_damaged_checkpoint_that_was_named_is_refused(run: Run, trained: Run) -> None:
    parts = trained("parts", "trainer.save_every=1", "trainer.max_steps=2")
    last = parts / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"last\.ckpt is not a checkpoint of gan_style: it is cut off"):
        run("parts", "trainer.max_steps=3", f"resume={last}")


def recipe() -> str:
    """The job script of docs/resume.md."""
    text = (ROOT / "docs" / "resume.md").read_text()
    block = text[text.index("    #SBATCH") :]
    lines = block[: block.index("\nA job that")].splitlines()
    assert all(line.startswith("    ") or not line for line in lines)
    return "".join(f"{line[4:]}\n" for line in lines)


@pytest.mark.parametrize(
    ("training", "requeue", "status", "requeued"),
    [(0, 0, 0, False), (1, 0, 1, False), (2, 0, 2, False), (130, 0, 0, True), (130, 1, 130, True)],
    ids=["done", "failed", "a mistake", "interrupted", "not requeued"],
)
@pytest.mark.parametrize("saved", [False, True], ids=["first", "requeued before"])
def test_the_slurm_recipe_says_how_the_job_ended(
    tmp_path: Path, training: int, requeue: int, status: int, requeued: bool, saved: bool
) -> None:
    for name, end in (("srun", training), ("scontrol", requeue)):
        stub = tmp_path / "bin" / name
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(f'#!/bin/sh\necho {name} "$@" >> said\nexit {end}\n')
        stub.chmod(0o755)
    if saved:
        (tmp_path / "runs" / "mine" / "checkpoints").mkdir(parents=True)
        (tmp_path / "runs" / "mine" / "checkpoints" / "last.ckpt").touch()
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    done = subprocess.run(["bash", "-c", recipe()], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, "")
    said = (tmp_path / "said").read_text().splitlines()
    assert said[0].startswith("srun python train.py model=cyclegan ")
    assert said[0].endswith(" resume=last" if saved else " run_dir=runs/mine")
    assert said[1:] == ["scontrol requeue 17"] * requeued
