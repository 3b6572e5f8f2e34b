"""Whatever a run is set to: what goes on after a loss is the whole run, in every tensor, count, row and score."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gan_style.checkpoints.checkpoint import load
from gan_style.training.callbacks.keeper import Keeper
from tests.conftest import SGD, differences

pytestmark = pytest.mark.slow
Run = Callable[..., Path]
CUT, END = 6, 8  # three looks of the doctor before it and one after; within a step that accumulates four
# Every kind of state, and a doctor that looks and counts.
BASE = ("trainer.val_every=2", "data.val_count=2", "doctor.every=2", "~callbacks.image_grid", "callbacks.ema.decay=0.9")
BRIEF = ("~callbacks.set_scores", "callbacks.cycle_scores.images=2")
CYCLEGAN = ("model.pool_size=3", "model.generator.dropout=0.5")
STYLES = ("data=styles", "data.count=4", "data.image_size=32", "data.load_size=36")
FLOAT16 = ("trainer.precision=16-mixed",)
DECAY = ("unit=iterations", "constant=4", "decay=8")
SETTINGS: dict[str, tuple[str, ...]] = {
    "adain": ("model=adain",),
    "cut": ("model=cut",),
    "fastcut": ("model=fastcut", "model.batch_negatives=true", "data.batch_size=2"),
    "microast": ("model=microast", "data.batch_size=2", "trainer.fast_convolutions=true"),
    "gatys by lbfgs": ("model=gatys",),
    "gatys by adam": ("model=gatys", "model.method=adam", "model.steps=8"),
    "perceptual_gan": ("model=perceptual_gan", "model.pool_size=3"),
    "style_conditional": ("model=style_conditional", *STYLES),
    "two branches": ("model=perceptual_gan", "model/generator=two_branch", "model.lambda_branch=1"),
    "accumulate": (*CYCLEGAN, "model.accumulate=4"),
    "accumulate, clipped, in float16": (*CYCLEGAN, "model.accumulate=4", "model.clip_grad_norm=0.5", *FLOAT16),
    "clip": (*CYCLEGAN, "model.clip_grad_norm=0.1"),
    "no averages": (*CYCLEGAN, "~callbacks.ema"),
    "no pool": ("model.pool_size=0",),
    "a pool that is not full": ("model.pool_size=9",),
    "bfloat16": (*CYCLEGAN, "trainer.precision=bf16-mixed", "trainer.fast_convolutions=true"),
    "bfloat16 by autocast alone": (*CYCLEGAN, "trainer.precision=bf16-mixed", "trainer.fast_convolutions=false"),
    "float16": (*CYCLEGAN, *FLOAT16),
    "float64": (*CYCLEGAN, "trainer.precision=64-true"),
    "quick": (*CYCLEGAN, "trainer.fast_convolutions=true"),
    "checkpointing": (*CYCLEGAN, "trainer.checkpointing=true"),
    "channels last": (*CYCLEGAN, "trainer.channels_last=true"),
    "deterministic": (*CYCLEGAN, "trainer.deterministic=true"),
    "odd cadences": (*CYCLEGAN, "trainer.val_every=3", "trainer.save_every=5", "doctor.every=3", "trainer.log_every=2"),
    "patience": (*CYCLEGAN, "best.patience=3", "model.optimizer_G.lr=0", "trainer.max_steps=99"),
    "set scores": (*CYCLEGAN, "callbacks.set_scores.metrics=[kid,frechet,swd]", "best.monitor=swd"),
    "hinge and R1": (*CYCLEGAN, "model.gan_mode=hinge", "model.lambda_r1=1"),
    "vanilla without identity": (*CYCLEGAN, "model.gan_mode=vanilla", "model.lambda_idt=0"),
    "wgan with a penalty": (*CYCLEGAN, "model.gan_mode=wgan", "model.lambda_gp=10"),
    "batch norm": (*CYCLEGAN, "model.generator.norm=batch", "data.batch_size=2"),
    "U-Net": ("model/generator=unet128", "model.generator.depth=3", "model.pool_size=3"),
    "spectral norm": (*CYCLEGAN, "model.discriminator.spectral=true"),
    "a decaying rate by SGD": (*CYCLEGAN, *SGD, *(f"model.schedule.{word}" for word in DECAY)),
    "workers and augmentation": (*CYCLEGAN, "data.num_workers=2", "data.jitter=0.2", "data.rotate=10"),
}


@pytest.fixture
def run(run: Run) -> Run:
    """Trainings with all scores, which are state, too."""
    return partial(run, scored=True)


def left_behind(monkeypatch: pytest.MonkeyPatch, whole: Path, parts: Path) -> None:
    """While the whole run trains, copy its folder at an iteration: what `kill -9` would leave there."""
    original = Keeper.on_train_batch_start

    def start(self: Keeper, trainer: Any, model: Any, *more: Any) -> None:
        if self.folder.parent == whole and model.iteration == CUT + 1:
            shutil.copytree(whole, parts)  # before the hook saves
        original(self, trainer, model, *more)

    monkeypatch.setattr(Keeper, "on_train_batch_start", start)


def rows(run_dir: Path) -> list[dict[str, str]]:
    """metrics.csv without the clock and the memory."""
    with open(run_dir / "metrics.csv", newline="") as file:
        found = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if v and not k.startswith(("time/", "memory/"))} for row in found]


def everything(run_dir: Path) -> dict[str, Any]:
    """All that a run leaves, but the names of folders and the time."""
    checkpoints = {path.name: load(path) for path in sorted((run_dir / "checkpoints").glob("*.ckpt"))}
    for content in checkpoints.values():
        del content["config"]
    names = ("findings.jsonl", "scores.json", "scores_best.json")
    files = {name: (run_dir / name).read_bytes() for name in names if (run_dir / name).is_file()}
    return {"checkpoints": checkpoints, "rows": rows(run_dir), **files}


def looks(run_dir: Path) -> bool:
    """Whether the doctor has counted something, or the comparison says nothing of it."""
    return bool(load(run_dir / "checkpoints" / "last.ckpt")["callbacks"]["Doctor"]["course"]["counts"])


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    words = (*BASE, *(() if setting == "set scores" else BRIEF), f"trainer.max_steps={END}", *SETTINGS[setting])
    left_behind(monkeypatch, tmp_path / "whole", tmp_path / "parts")
    whole = run("whole", *words)
    assert load(tmp_path / "parts" / "checkpoints" / "last.ckpt")["iteration"] <= CUT
    parts = run("parts", *words, "resume=last")
    assert differences(everything(whole), everything(parts)) == []
    assert looks(whole) or "gatys" in setting
    if setting == "patience":
        assert load(whole / "checkpoints" / "last.ckpt")["iteration"] < 99


@pytest.mark.parametrize("setting", ["cut", "accumulate", "float16", "set scores", "odd cadences"])
def test_a_run_that_ended_goes_on_as_if_it_had_been_longer(run: Run, setting: str) -> None:
    words = (*BASE, *(() if setting == "set scores" else BRIEF), *SETTINGS[setting])
    whole = run("whole", *words, f"trainer.max_steps={END}")
    run("parts", *words, f"trainer.max_steps={CUT}")
    parts = run("parts", *words, f"trainer.max_steps={END}", "resume=last")
    assert differences(everything(whole), everything(parts)) == []
    assert looks(whole)
