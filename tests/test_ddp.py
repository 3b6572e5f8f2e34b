"""Two processes (gloo): they stay equal, equal one process with twice the batch, and resume bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from gan_style.checkpoint import load
from gan_style.errors import UserError
from tests.conftest import SGD, SMALL, SMALL_RESNET, differences, fitting
from tests.models.test_contract import MODELS
from tests.test_resume import interrupt_when_training, rows, state

pytestmark = pytest.mark.ddp
ROOT = Path(__file__).parents[1]
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=2")
HARD = ("model.generator.dropout=0.5", "model.pool_size=3", "callbacks.ema.decay=0.9")


def start(folder: Path, *overrides: str, own_group: bool = False) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE")}
    named = any(word.startswith("model=") for word in overrides)  # such a run says all of its own size
    small = SMALL[:1] if named else (*SMALL, *SMALL_RESNET)
    command = [sys.executable, "train.py", *small, *overrides, f"run_dir={folder}"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=own_group,
    )


def train(folder: Path, *overrides: str) -> Path:
    process = start(folder, *overrides)
    _, stderr = process.communicate(timeout=280)
    assert process.returncode == 0, stderr
    return folder


def test_two_ranks_of_batch_2_equal_one_process_of_batch_4(tmp_path: Path) -> None:
    """SGD, because Adam would hide a wrong factor; the pool off, because each rank has its own."""
    same = (*SGD, "model.pool_size=0")
    two = train(tmp_path / "two", *same, *TWO, "trainer.max_steps=4")
    one = train(tmp_path / "one", *same, "trainer=cpu", "data.batch_size=4", "trainer.max_steps=4")
    a, b = (load(folder / "checkpoints/last.ckpt")["state_dict"] for folder in (two, one))
    for key in a:
        assert torch.allclose(a[key], b[key], atol=1e-6), key
    start_weights = train(tmp_path / "start", *same, "trainer=cpu", "trainer.max_steps=1", "model.optimizer_G.lr=0")
    before = load(start_weights / "checkpoints/last.ckpt")["state_dict"]
    moved = max(float((a[k] - before[k]).abs().max()) for k in a)
    assert moved > 1e-4


def test_resume_on_two_ranks_is_bit_exact(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", *HARD, *TWO, "trainer.max_steps=6")
    parts = train(tmp_path / "parts", *HARD, *TWO, "trainer.max_steps=3")
    train(tmp_path / "parts", *HARD, *TWO, "trainer.max_steps=6", "resume=last")
    assert len(state(whole)["pools"]) == 2
    assert differences(*(state(whole)["pools"])) != [], "each rank has pictures of its own"
    assert differences(state(whole), state(parts)) == []
    assert rows(whole) == rows(parts)


@pytest.mark.parametrize("model", [name for name in MODELS if name != "cyclegan"])
def test_every_method_resumes_on_two_ranks(tmp_path: Path, model: str) -> None:
    words = (f"model={model}", *fitting(f"model={model}"), *TWO)
    whole = train(tmp_path / "whole", *words, "trainer.max_steps=2")
    parts = train(tmp_path / "parts", *words, "trainer.max_steps=1")
    train(parts, *words, "trainer.max_steps=2", "resume=last")
    assert differences(state(whole), state(parts)) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl-c"])
def test_a_signal_to_the_first_rank_stops_both_and_loses_nothing(tmp_path: Path, number: int) -> None:
    process = start(tmp_path / "run", *HARD, *TWO, "trainer.max_steps=400")
    interrupt_when_training(process, tmp_path / "run", number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "resume=last" in stderr
    stopped_at = state(tmp_path / "run")["iteration"]
    end = f"trainer.max_steps={stopped_at + 2}"
    train(tmp_path / "run", *HARD, *TWO, end, "resume=last")
    whole = train(tmp_path / "whole", *HARD, *TWO, end)
    assert differences(state(whole), state(tmp_path / "run")) == []


class FailOnTheSecondRank(pl.Callback):
    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_rank == 1 and trainer.lightning_module.iteration == 2:  # type: ignore[union-attr]
            raise UserError("this picture is gone")


def test_a_failure_on_one_rank_is_said_and_ends_the_others(tmp_path: Path) -> None:
    fail = ("+callbacks.fail._target_=tests.test_ddp.FailOnTheSecondRank", "allow=[tests.]")
    process = start(tmp_path / "run", *TWO, *fail, "trainer.max_steps=400")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1, stderr
    assert "Traceback" not in stderr
    assert "process 1: this picture is gone" in stderr
    assert "another process of the run ended" in stderr


def test_more_ranks_than_pictures_to_look_at_score_each_once(tmp_path: Path) -> None:
    two = train(tmp_path / "two", *TWO, "trainer.max_steps=1", "data.val_count=1", "model.optimizer_G.lr=0")
    one = train(tmp_path / "one", "trainer=cpu", "trainer.max_steps=1", "data.val_count=1", "model.optimizer_G.lr=0")
    a, b = (json.loads((folder / "scores.json").read_text()) for folder in (two, one))
    assert a["protocol"]["N"] == b["protocol"]["N"] == 1
    assert a["scores"] == b["scores"]


def test_scores_of_two_ranks_are_those_of_one(tmp_path: Path) -> None:
    """Five pictures: the ranks have three and two."""
    same = ("callbacks.set_scores.metrics=[kid,frechet,cmmd]", "data.val_count=5", "model.optimizer_G.lr=0")
    two = train(tmp_path / "two", *TWO, *same, "trainer.max_steps=1")
    one = train(tmp_path / "one", "trainer=cpu", *same, "trainer.max_steps=1")
    a, b = (json.loads((folder / "scores_best.json").read_text()) for folder in (two, one))
    assert a["protocol"] == b["protocol"]
    assert a["protocol"]["N_fake"] == {"A2B": 5, "B2A": 5}
    for part in ("scores", "baselines"):
        assert flat(a[part]) == pytest.approx(flat(b[part]), rel=1e-4, abs=1e-6)
    assert len(flat(a["scores"])) > 2 * 7 * 3, "values and intervals of seven scores in two directions"


def flat(node: object, path: str = "") -> dict[str, float]:
    if isinstance(node, dict):
        return {k: v for key, value in node.items() for k, v in flat(value, f"{path}/{key}").items()}
    return {path: float(node)} if isinstance(node, int | float) else {}


def test_two_ranks_run_out_of_patience_together(tmp_path: Path) -> None:
    still = (*TWO, "model.optimizer_G.lr=0", "trainer.val_every=2", "best.patience=2", "trainer.max_steps=99")
    folder = train(tmp_path / "run", *still)
    content = load(folder / "checkpoints/last.ckpt")
    assert (content["iteration"], content["best"]["iteration"], content["best"]["stale"]) == (6, 2, 2)


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGTERM, 3), (signal.SIGINT, 9), (signal.SIGTERM, 12)])
def test_a_signal_while_the_ranks_meet_ends_them(tmp_path: Path, number: int, seconds: int) -> None:
    process = start(tmp_path / "run", *TWO, "trainer.max_steps=4000", own_group=True)
    time.sleep(seconds)
    os.killpg(process.pid, number)
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr


def test_one_run_folder_and_no_traceback_for_a_mistake(tmp_path: Path) -> None:
    process = start(tmp_path / "run", *TWO, "data.image_size=16", "data.load_size=16", "trainer.max_steps=2")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    assert "Traceback" not in stderr
    assert "too small" in stderr


def test_torchrun_launches_the_same_run_into_one_folder(tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29517", "train.py"]
    words = (*SMALL, *SMALL_RESNET, *HARD, *TWO, "trainer.max_steps=3", f"run_dir={tmp_path / 'torchrun'}")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run([*launcher, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("report.html") == 1, "only the first rank speaks"
    own = train(tmp_path / "own", *HARD, *TWO, "trainer.max_steps=3")
    assert differences(state(own), state(tmp_path / "torchrun")) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own", "torchrun"]
