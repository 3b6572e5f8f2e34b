"""Two processes (gloo): the whole state of each, and every row, whether training was interrupted or not."""

from __future__ import annotations

import csv
import functools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gan_style.checkpoints.checkpoint import load
from tests.conftest import HARD, SGD, differences, fitting
from tests.every_rank import LEAVE, states
from tests.models.test_contract import MODELS
from tests.test_ddp import TWO, start, train_on_two_ranks
from tests.test_resume import state

pytestmark = [pytest.mark.ddp, pytest.mark.timeout(1500)]
QUICK = ("~callbacks.set_scores", "~callbacks.image_grid")  # their part is tested elsewhere
BATCH_NORM = ("model.generator.norm=batch", "model.discriminator.norm=batch")
HALF = ("trainer.precision=16-mixed", "model.accumulate=2")
PAINTER = (
    *("model=cyclegan", "data.image_size=32", "callbacks.ema.decay=0.9", "model.pool_size=3"),
    *("model/generator=painter", "model.generator.filters=4", "model.generator.depth=2"),
    *("model/discriminator=patches", "model.discriminator.judges.patch.filters=4"),
    *("model.discriminator.judges.texture.filters=4", "model.cycle_blur=1.5", "model.cycle_full=0.3"),
    *("model.cycle_noise=0.05", "model.cycle_every=2", "model.pretrain=1"),
    "model.weight_schedules={lambda_cycle: {_target_: gan_style.models.schedules.LinearTo, end: 1, length: 5}}",
)
SETTINGS: dict[str, tuple[str, ...]] = {
    "cyclegan": HARD,
    "batch norm": (*HARD, *BATCH_NORM),
    "batch norm of each process": (*HARD, *BATCH_NORM, "trainer.sync_batchnorm=false"),
    "spectral norm": (*HARD, "model.generator.spectral=true", "model.discriminator.spectral=true"),
    "accumulate": (*HARD, "model.accumulate=2"),
    "float16": (*HARD, "trainer.precision=16-mixed"),
    "accumulate in float16 with batch norm": (*HARD, *HALF, *BATCH_NORM),
    "checkpointing with batch norm": (*HARD, *BATCH_NORM, "trainer.checkpointing=true"),
    "noise and judges with diffaug": (*PAINTER, "model.augment=diffaug"),
    "noise and judges with apa": (*PAINTER, "model.augment=apa"),
    "fastcut with batch norm": ("model=fastcut", *fitting("model=fastcut"), *BATCH_NORM),
    **{name: (f"model={name}", *fitting(f"model={name}")) for name in MODELS if name != "cyclegan"},
}
GROUPS = [list(SETTINGS)[i : i + 9] for i in range(0, len(SETTINGS), 9)]  # most of a start is the imports
END, CUT = 5, 3  # odd, so that it cuts an accumulated step


@pytest.fixture(scope="module")
def group_of_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    @functools.cache
    def trained(group: int) -> Path:
        folder = tmp_path_factory.mktemp("runs")
        runs = []
        for name in GROUPS[group]:
            whole, parts = folder / name / "whole", folder / name / "parts"
            words = (*SETTINGS[name], *QUICK, *LEAVE, f"trainer.val_every={CUT}")
            runs += [(whole, (*words, f"trainer.max_steps={END}")), (parts, (*words, f"trainer.max_steps={CUT}"))]
            runs += [(parts, (*words, f"trainer.max_steps={END}", "resume=last"))]
        train_on_two_ranks(*runs, seconds=1400)
        return folder

    return trained


def rows(run_dir: Path) -> list[dict[str, str]]:
    """All of metrics.csv but the clock and the memory."""
    with open(run_dir / "metrics.csv", newline="") as file:
        found = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not k.startswith(("time/", "memory/"))} for row in found]


@pytest.mark.parametrize(("group", "name"), [(i, name) for i, names in enumerate(GROUPS) for name in names])
def test_ranks_agree_and_a_resumed_run_is_an_undisturbed_one(
    group_of_runs: Callable[[int], Path], group: int, name: str
) -> None:
    whole, parts = (group_of_runs(group) / name / kind for kind in ("whole", "parts"))
    for first, second in (states(whole), states(parts)):
        assert first["same"]["iteration"] == END
        assert differences(first["same"], second["same"]) == []
    assert differences(states(whole), states(parts)) == []
    assert differences(state(whole), state(parts)) == []
    assert rows(whole) == rows(parts)
    assert len(rows(whole)) == END


def test_every_rank_goes_on_after_a_kill(tmp_path: Path) -> None:
    """In the midst of an accumulated step, too: its gradients differ between the ranks."""
    words = (*HARD, *HALF, *BATCH_NORM, *LEAVE, "trainer.save_every=3")
    run, whole = tmp_path / "run", tmp_path / "whole"
    process = start(run, *words, *TWO, "trainer.max_steps=400", own_group=True)
    try:
        for _ in range(2400):
            if (run / "checkpoints" / "previous.ckpt").is_file():
                break
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    kept = load(run / "checkpoints" / "last.ckpt")
    end = f"trainer.max_steps={kept['iteration'] + 2}"
    train_on_two_ranks((run, (*words, end, "resume=last")), (whole, (*words, end)))
    assert differences(states(whole), states(run)) == []
    assert differences(state(whole), state(run)) == []
    assert [row for row in rows(run) if row not in rows(whole)] == []


ALIKE: dict[str, tuple[str, ...]] = {
    "instance norm": (*SGD, "model.pool_size=0"),
    "batch norm": (*SGD, *BATCH_NORM, "model.pool_size=0", "model.lambda_r1=0.1"),
    "accumulate": (*SGD, *BATCH_NORM, "model.pool_size=0", "model.accumulate=2"),
    "adain": (
        "model=adain",
        *fitting("model=adain"),
        "model.optimizer_G._target_=torch.optim.SGD",
        "~model.optimizer_G.betas",
    ),
    "microast": (
        "model=microast",
        *fitting("model=microast"),
        "model.lambda_contrast=0",  # it compares the pictures of a process
        "model.optimizer_G._target_=torch.optim.SGD",
        "~model.optimizer_G.betas",
    ),
    # Its random codes are each process's own, which moves no weight here and does not reach the means of the styles.
    "style_conditional": (
        "model=style_conditional",
        *fitting("model=style_conditional"),
        "model.optimizer_G.lr=0",
    ),
}


def test_two_ranks_of_batch_2_equal_one_process_of_batch_4(run: Callable[..., Path], tmp_path: Path) -> None:
    """SGD, because Adam would hide a wrong factor; the pool off, because each rank has its own.

    In float64: in float32 four iterations turn a difference of 4e-9 into one of 3e-5 on some CPUs.
    """
    same = {
        name: (*words, *QUICK, "trainer.precision=64-true", "trainer.max_steps=4", "trainer.val_every=99")
        for name, words in ALIKE.items()
    }
    train_on_two_ranks(*((tmp_path / f"two {name}", words) for name, words in same.items()))
    for name, words in same.items():
        given = words if words[0].startswith("model=") else ("model.generator.blocks=1", *words)
        one = run(f"one {name}", *given, "trainer=cpu", "data.batch_size=4")
        a, b = (learned(folder) for folder in (tmp_path / f"two {name}", one))
        assert a.keys() == b.keys()
        far = [f"{key} {(a[key] - b[key]).abs().max():.1e}" for key in a if not close(a[key], b[key])]
        assert far == [], name
        start_weights = run(f"start {name}", *given, "trainer=cpu", "data.batch_size=4", "trainer.max_steps=1")
        before = learned(start_weights)
        assert max(float((a[key] - before[key]).abs().max()) for key in a) > 1e-5, name


def learned(run_dir: Path) -> dict[str, torch.Tensor]:
    """Weights and buffers."""
    saved = load(run_dir / "checkpoints/last.ckpt")["state_dict"]
    return {key: value for key, value in saved.items() if isinstance(value, torch.Tensor)}


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-11, atol=1e-12)
