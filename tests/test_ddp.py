"""Two processes (gloo): how they start, speak, score, fail and end together; their state is test_every_rank's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from gan_style.checkpoints.checkpoint import load
from gan_style.core.errors import UserError
from tests.conftest import BASICS, HARD, SMALL, SMALL_RESNET, differences, fitting
from tests.test_resume import interrupt_when_training, rows, state

pytestmark = pytest.mark.ddp
ROOT = Path(__file__).parents[1]
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=2")


def start(folder: Path, *overrides: str, own_group: bool = False) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE")}
    command = [sys.executable, "train.py", *small(overrides), *overrides, f"run_dir={folder}"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=own_group,
    )


def train(folder: Path, *overrides: str) -> Path:
    """A run by the command itself, which starts the second rank."""
    process = start(folder, *overrides)
    _, stderr = process.communicate(timeout=280)
    assert process.returncode == 0, stderr
    return folder


def train_on_two_ranks(*runs: tuple[Path, tuple[str, ...]], seconds: float = 280) -> None:
    """Several runs, one after another, in two processes that start once: most of a short run is the imports."""
    words = [[*small(overrides), *TWO, *overrides, f"run_dir={folder}"] for folder, overrides in runs]
    lines = json.dumps(list(zip(free_ports(len(runs)), words, strict=True)))
    launched = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.several_runs", lines],
            cwd=ROOT,
            env=os.environ | launched | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, stderr = process.communicate(timeout=seconds)
            assert process.returncode == 0, stderr
    finally:  # a rank whose fellow failed would wait for it
        for process in processes:
            process.kill()
            process.communicate()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def small(overrides: tuple[str, ...]) -> tuple[str, ...]:
    named = any(word.startswith("model=") for word in overrides)  # such a run says all of its own size
    return BASICS if named else (*SMALL, *SMALL_RESNET)


def test_resume_on_two_ranks_is_bit_exact(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, *HARD, *TWO, "trainer.max_steps=6")
    train(parts, *HARD, *TWO, "trainer.max_steps=3")
    train(parts, *HARD, *TWO, "trainer.max_steps=6", "resume=last")
    assert len(state(whole)["pools"]) == 2
    assert differences(*(state(whole)["pools"])) != [], "each rank has pictures of its own"
    assert differences(state(whole), state(parts)) == []
    assert rows(whole) == rows(parts)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl-c"])
def test_a_signal_to_the_first_rank_stops_both_and_loses_nothing(tmp_path: Path, number: int) -> None:
    process = start(tmp_path / "run", *HARD, *TWO, "trainer.max_steps=400")
    interrupt_when_training(process, tmp_path / "run", number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "resume=last" in stderr
    stopped_at = state(tmp_path / "run")["iteration"]
    end = f"trainer.max_steps={stopped_at + 2}"
    whole = tmp_path / "whole"
    train_on_two_ranks((tmp_path / "run", (*HARD, end, "resume=last")), (whole, (*HARD, end)))
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


class OverflowOnTheSecondRank(pl.Callback):
    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, *_: object) -> None:
        if trainer.global_rank == 1 and pl_module.iteration == 2:
            batch["A"].mul_(1e38)


def test_a_number_that_is_not_finite_on_one_rank_ends_all(tmp_path: Path) -> None:
    """It looks for the layer by itself: the styles that all learn together must not make it wait for the other."""
    words = ("model=adain", *fitting("model=adain"), *TWO, "trainer.max_steps=400")
    fail = ("+callbacks.fail._target_=tests.test_ddp.OverflowOnTheSecondRank", "allow=[tests.]")
    process = start(tmp_path / "run", *words, *fail)
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 1, stderr
    assert "Traceback" not in stderr
    assert "process 1: the loss term" in stderr
    assert "the first layer whose output is not finite is" in stderr


class FreezeALayer(pl.Callback):
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        layer = pl_module.method.D_B.layers[0]  # type: ignore[union-attr,index]
        layer.forward = lambda x: nn.functional.conv2d(x, layer.weight.detach(), layer.bias, 2, 1)


def test_a_weight_without_a_gradient_is_named(tmp_path: Path) -> None:
    fail = ("+callbacks.fail._target_=tests.test_ddp.FreezeALayer", "allow=[tests.]")
    process = start(tmp_path / "run", *TWO, *fail, "trainer.max_steps=400", "doctor.every=400")
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 2, stderr
    assert "Traceback" not in stderr
    assert "D_B.layers.0.weight had no gradient in a turn of D" in stderr
    assert "ddp_find_unused_parameters_true" in stderr


class NoMemoryOnTheSecondRank(pl.Callback):
    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_rank == 1 and trainer.lightning_module.iteration == 2:  # type: ignore[union-attr]
            torch.empty(10**15)


def test_memory_that_runs_out_on_one_rank_is_said(tmp_path: Path) -> None:
    fail = ("+callbacks.fail._target_=tests.test_ddp.NoMemoryOnTheSecondRank", "allow=[tests.]")
    process = start(tmp_path / "run", *TWO, *fail, "trainer.max_steps=400", "trainer.save_every=1")
    _, stderr = process.communicate(timeout=280)
    assert process.returncode == 1, stderr
    assert "Traceback" not in stderr
    assert "process 1: memory ran out (4e+06 GB more were asked for): lower data.batch_size" in stderr
    assert "gan_style: another process of the run ended, see its message above; go on with resume=last" in stderr


def test_more_ranks_than_pictures_to_look_at_score_each_once(run: Callable[..., Path], tmp_path: Path) -> None:
    words = ("trainer.max_steps=1", "data.val_count=1", "model.optimizer_G.lr=0")
    train_on_two_ranks((tmp_path / "two", words))
    one = run("one", "trainer=cpu", "data.batch_size=2", *words, scored=True)
    a, b = (json.loads((folder / "scores.json").read_text()) for folder in (tmp_path / "two", one))
    assert a["protocol"]["N"] == b["protocol"]["N"] == 1
    assert a["scores"] == b["scores"]


def test_scores_of_two_ranks_are_those_of_one_and_they_run_out_of_patience_together(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    """Five pictures: the ranks have three and two."""
    same = (
        "callbacks.set_scores.metrics=[kid,frechet,cmmd]",
        "data.val_count=5",
        "model.optimizer_G.lr=0",
        "trainer.max_steps=1",
    )
    still = ("model.optimizer_G.lr=0", "trainer.val_every=2", "best.patience=2", "trainer.max_steps=99")
    train_on_two_ranks((tmp_path / "two", same), (tmp_path / "patience", still))
    one = run("one", "trainer=cpu", "data.batch_size=2", *same, scored=True)
    a, b = (json.loads((folder / "scores_best.json").read_text()) for folder in (tmp_path / "two", one))
    assert a["protocol"] == b["protocol"]
    assert a["protocol"]["N_fake"] == {"A2B": 5, "B2A": 5}
    for part in ("scores", "baselines"):
        assert flat(a[part]) == pytest.approx(flat(b[part]), rel=1e-4, abs=1e-6)
    assert len(flat(a["scores"])) > 2 * 7 * 3, "values and intervals of seven scores in two directions"
    content = load(tmp_path / "patience" / "checkpoints/last.ckpt")
    assert (content["iteration"], content["best"]["iteration"], content["best"]["stale"]) == (6, 2, 2)


def flat(node: object, path: str = "") -> dict[str, float]:
    if isinstance(node, dict):
        return {k: v for key, value in node.items() for k, v in flat(value, f"{path}/{key}").items()}
    return {path: float(node)} if isinstance(node, int | float) else {}


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux says which signals a process handles")
@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGTERM, 0), (signal.SIGINT, 6), (signal.SIGTERM, 9)])
def test_a_signal_while_the_ranks_meet_ends_them(tmp_path: Path, number: int, seconds: int) -> None:
    """While the first one imports, and about when the processes meet."""
    process = start(tmp_path / "run", *TWO, "trainer.max_steps=4000", own_group=True)
    for _ in range(600):
        if handles(process.pid, signal.SIGTERM):
            break
        time.sleep(0.1)
    time.sleep(seconds)
    os.killpg(process.pid, number)
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr


def handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal by now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught >> (number - 1) & 1)


def test_one_run_folder_and_no_traceback_for_a_mistake(tmp_path: Path) -> None:
    process = start(tmp_path / "run", *TWO, "data.image_size=16", "data.load_size=16", "trainer.max_steps=2")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    assert "Traceback" not in stderr
    assert "too small" in stderr


def test_the_doctor_ends_all_ranks_with_one_sentence(tmp_path: Path) -> None:
    """What the first process sees in its own pictures ends the other, too."""
    saturated = ("model.generator.init_gain=9", "model.optimizer_G.lr=0", "doctor.every=1", "doctor.on_critical=stop")
    process = start(tmp_path / "run", *TWO, *saturated, "trainer.max_steps=400", "trainer.save_every=2")
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 1, stderr
    assert "Traceback" not in stderr
    assert stderr.count("training stopped, as doctor.on_critical=stop asks") == 1
    found = (tmp_path / "run" / "findings.jsonl").read_text().splitlines()
    assert {json.loads(line)["code"] for line in found} == {"saturation"}
    assert 0 < load(tmp_path / "run" / "checkpoints" / "last.ckpt")["iteration"] < 400


def test_torchrun_launches_the_same_run_into_one_folder(tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29517", "train.py"]
    words = (*SMALL, *SMALL_RESNET, *HARD, *TWO, "trainer.max_steps=3", f"run_dir={tmp_path / 'torchrun'}")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run([*launcher, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("report.html") == 1, "only the first rank speaks"
    train_on_two_ranks((tmp_path / "own", (*HARD, "trainer.max_steps=3")))
    assert differences(state(tmp_path / "own"), state(tmp_path / "torchrun")) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own", "torchrun"]
