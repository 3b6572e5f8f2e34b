"""State whose shape follows from settings that are others when a run goes on: it fits, or is left out and that is said,
or the run is refused before it begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch

from gan_style.checkpoints import checkpoint
from gan_style.checkpoints.checkpoint import load
from gan_style.core.errors import UserError
from gan_style.metrics.probe import ProbeResult
from gan_style.training.callbacks import cycle_scores, truth_scores
from tests.conftest import differences
from tests.test_resume import state

Run = Callable[..., Path]
BRIEF = ("~callbacks.set_scores", "~callbacks.cycle_scores", "~callbacks.image_grid", "data.val_count=2")
SCORED = ("callbacks.set_scores.metrics=[]", "callbacks.cycle_scores.images=4", "~callbacks.image_grid")


def go_on(run: Run, before: tuple[str, ...], after: tuple[str, ...], cut: int, end: int) -> Path:
    """A run of some words that goes on with others."""
    run("run", *BRIEF, *before, f"trainer.max_steps={cut}")
    return run("run", *BRIEF, *after, f"trainer.max_steps={end}", "resume=last")


def test_past_fakes_of_another_size_are_left_out(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("data.batch_size=2", "model.pool_size=3")
    folder = go_on(run, words, (*words, "data.image_size=48", "data.load_size=52"), 3, 5)
    said = capsys.readouterr().out
    assert "note: 6 remembered pictures of another size are left out: the image pools begin empty" in said
    assert "data.image_size=32 there, data.image_size=48 here; the run goes on, but not as if" in said
    (pools,) = state(folder)["pools"]
    assert [image.shape for image in pools["pool_A"]["images"]] == [(3, 48, 48)] * 3
    run("run", *BRIEF, *words, "data.image_size=48", "data.load_size=52", "trainer.max_steps=6", "resume=last")
    assert "past fakes" not in capsys.readouterr().out, "the same size again"


@pytest.mark.parametrize(("before", "after", "kept"), [(3, 5, 5), (5, 3, 3), (3, 0, 0), (0, 3, 2)])
def test_a_pool_of_another_size_keeps_what_it_can_show(run: Run, before: int, after: int, kept: int) -> None:
    folder = go_on(run, (f"model.pool_size={before}",), (f"model.pool_size={after}",), 5, 7)
    (pools,) = state(folder)["pools"]
    assert len(pools["pool_A"]["images"]) == kept


OPEN = "note: the gradients of an unfinished step, which were accumulated or scaled otherwise, are left out"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("model.accumulate=3",), ("model.accumulate=5",)),
        (("model.accumulate=3", "trainer.precision=16-mixed"), ("model.accumulate=3",)),
        (("model.accumulate=3",), ("model.accumulate=3", "trainer.precision=16-mixed")),
        (("model.accumulate=3", "trainer.precision=64-true"), ("model.accumulate=3",)),
    ],
    ids=["iterations", "from float16", "to float16", "from float64"],
)
def test_open_gradients_that_were_gathered_otherwise_are_left_out(
    run: Run, capsys: pytest.CaptureFixture[str], before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    folder = go_on(run, before, after, 4, 6)
    assert OPEN in capsys.readouterr().out
    assert all(bool(value.isfinite().all()) for value in state(folder)["state_dict"].values())


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed", "64-true"])
def test_a_run_goes_on_in_another_precision(run: Run, capsys: pytest.CaptureFixture[str], precision: str) -> None:
    """Nothing but weights, moments and averages is taken over, and those are cast."""
    other = (f"trainer.precision={precision}",)
    for words in ((), other), (other, ()):
        folder = run(f"run{len(words[0])}", *BRIEF, *words[0], "trainer.max_steps=2")
        run(folder.name, *BRIEF, *words[1], "trainer.max_steps=3", "resume=last")
        assert "trainer.precision=" in capsys.readouterr().out
        kinds = {value.dtype for value in state(folder)["callbacks"]["EMA"]["G_AB"].values()}
        assert kinds == {torch.float64 if "trainer.precision=64-true" in words[1] else torch.float32}


CLEAN = tuple(f"~model.optimizer_{p}.{key}" for p in "GD" for key in ("betas", "fused"))


def optimizer(name: str, *more: str) -> tuple[str, ...]:
    words = tuple(f"model.optimizer_{player}._target_=torch.optim.{name}" for player in "GD")
    return (*words, *CLEAN, *(f"+model.optimizer_{player}.{word}" for player in "GD" for word in more))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "anew"),
    [
        (optimizer("SGD", "momentum=0.9"), (), True),
        ((), optimizer("RMSprop"), True),
        ((), optimizer("SGD", "momentum=0.9"), True),
        ((), ("+model.optimizer_G.amsgrad=true",), True),
        ((), optimizer("AdamW"), False),
        ((), ("model.optimizer_G.betas=[0.0,0.9]", "+model.optimizer_G.weight_decay=0.1"), False),
    ],
    ids=["momentum to Adam", "Adam to RMSprop", "Adam to momentum", "amsgrad", "Adam to AdamW", "other betas"],
)
def test_an_optimiser_of_another_kind_begins_anew(
    run: Run, capsys: pytest.CaptureFixture[str], before: tuple[str, ...], after: tuple[str, ...], anew: bool
) -> None:
    folder = go_on(run, before, after, 2, 3)
    said = capsys.readouterr().out
    assert ("the optimiser of G is of another kind than the one that was saved: it begins anew" in said) == anew
    steps = {float(one["step"]) for one in state(folder)["optimizers"]["G"]["state"].values() if "step" in one}
    assert steps in ({1.0} if anew else {3.0}, set())


def test_a_window_of_the_doctor_that_a_checkpoint_cuts_takes_other_pictures(run: Run) -> None:
    every = ("doctor.every=4",)
    folder = go_on(run, every, (*every, "data.image_size=48", "data.load_size=52", "data.batch_size=2"), 3, 5)
    assert len(load(folder / "checkpoints/last.ckpt")["callbacks"]["Doctor"]["window"]) == 4


def test_averages_can_be_left_out_and_begun(run: Run) -> None:
    without = go_on(run, ("callbacks.ema.decay=0.9",), ("~callbacks.ema",), 2, 3)
    assert "EMA" not in state(without)["callbacks"]
    again = run("run", *BRIEF, "callbacks.ema.decay=0.9", "trainer.max_steps=4", "resume=last")
    assert "EMA" in state(again)["callbacks"]


def test_pools_of_another_number_of_processes_are_dealt_out(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run("run", *BRIEF, "model.pool_size=3", "trainer.max_steps=4")
    last = folder / "checkpoints" / "last.ckpt"
    content = load(last)
    content["pools"] = content["pools"] * 2
    content["arithmetic"]["ways"]["processes"] = 2
    checkpoint.save(content, last)
    run("run", *BRIEF, "model.pool_size=3", "trainer.max_steps=5", "resume=last")
    assert "note: processes=2 there, processes=1 here; the run goes on, but not as if" in capsys.readouterr().out
    assert len(state(folder)["pools"]) == 1


def test_tensors_of_other_shapes_are_refused_before_the_run_folder_changes(run: Run) -> None:
    """Gatys' pictures are its weights."""
    folder = run("run", "model=gatys", *BRIEF, "trainer.max_steps=1")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(
        UserError, match=r"last\.ckpt is of another architecture: tensor\.content=\(1, 3, 32, 32\) there"
    ):
        run("run", "model=gatys", *BRIEF, "data.batch_size=2", "trainer.max_steps=2", "resume=last")
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


# What a validation made


class Sometimes(pl.Callback):
    """Of another package: it scores the validation of iteration 2 alone."""

    seen: ClassVar[list[tuple[int, bool]]] = []

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if pl_module.iteration == 2:
            pl_module.log("val/mine", 1.0, batch_size=1)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seen.append((int(pl_module.iteration), "val/mine" in trainer.callback_metrics))  # type: ignore[arg-type]


MINE = ("+callbacks.mine={_target_: tests.test_resume_other.Sometimes}", "allow=[tests.]", "best.mode=highest")


def test_a_score_of_another_package_is_not_there_where_it_was_not_made(run: Run) -> None:
    words = (*BRIEF, *MINE, "best.monitor=val/mine", "trainer.val_every=2")
    Sometimes.seen.clear()
    whole = run("whole", *words, "trainer.max_steps=6")
    assert Sometimes.seen == [(2, True), (4, False), (6, False)]
    run("parts", *words, "trainer.max_steps=4")
    parts = run("parts", *words, "trainer.max_steps=6", "resume=last")
    bests = [load(folder / "checkpoints/last.ckpt")["best"] for folder in (whole, parts)]
    assert bests == [{"rule": "highest val/mine", "score": 1.0, "iteration": 2, "stale": 2}] * 2


def test_a_score_of_another_package_that_is_never_made_is_refused(run: Run) -> None:
    with pytest.raises(UserError, match=r"best\.monitor=val/mine is not a score of this run"):
        run("run", *BRIEF, *MINE, "best.monitor=val/mine", "trainer.val_every=3", "trainer.max_steps=3")


def probe_of(honesty: dict[int, float | None]) -> Any:
    """A probe that finds this in the validation of each iteration."""

    def probed(self: Any, model: Any, direction: str) -> ProbeResult:
        found = honesty.get(model.iteration)
        return ProbeResult(0.1, 0.2, {}, found, found, found)

    return probed


def test_a_score_that_a_validation_does_not_make_is_not_the_last_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the doctor nor for the best checkpoint, and so it is the same after a resume."""
    monkeypatch.setattr(cycle_scores.CycleScores, "_probe", probe_of({2: 0.0}))
    psnr = {2: 10.0, 6: 9.0}
    taken: list[int] = []
    original = truth_scores.record

    def record(trainer: Any, model: Any, table: Any, *more: Any) -> None:
        taken.append(model.iteration)
        for found in table.values():
            found["psnr"]["value"] = psnr.get(model.iteration)
        original(trainer, model, table, *more)

    monkeypatch.setattr(truth_scores, "record", record)
    words = (*SCORED, "trainer.val_every=2", "best.monitor=psnr")
    whole = run("whole", *words, "trainer.max_steps=8")
    run("parts", *words, "trainer.max_steps=4")
    parts = run("parts", *words, "trainer.max_steps=8", "resume=last")
    assert taken == [2, 4, 6, 8, 2, 4, 6, 8]
    ends = [load(folder / "checkpoints/last.ckpt") for folder in (whole, parts)]
    counts = [end["callbacks"]["Doctor"]["course"]["counts"] for end in ends]
    assert counts[0]["hidden-cycle A2B"] == [1, 0], "one validation showed it"
    assert differences(*counts) == []
    assert [end["best"] for end in ends] == [
        {"rule": "highest val/psnr", "score": 10.0, "iteration": 2, "stale": 3}
    ] * 2


def test_a_score_that_is_undefined_at_first_ends_no_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle_scores.CycleScores, "_probe", probe_of({4: 0.5}))
    honest = (*MINE, "best.monitor=val/cycle_honesty")  # of ours, but offered by none
    folder = run("run", *SCORED, *honest, "trainer.val_every=2", "trainer.max_steps=4")
    best = load(folder / "checkpoints/best.ckpt")["best"]
    assert (best["score"], best["iteration"]) == (0.5, 4)


def test_scores_after_the_checkpoint_are_taken_again(run: Run) -> None:
    """As rows of metrics.csv are: what a killed run had scored beyond its checkpoint is not mixed with new scores."""
    words = (*SCORED, "trainer.val_every=2", "trainer.save_every=2")
    folder = run("run", *words, "trainer.max_steps=4")
    path, last = folder / "scores.json", folder / "checkpoints" / "last.ckpt"
    content = json.loads(path.read_text())
    content["scores"]["A2B"]["old"] = content["scores"]["A2B"]["psnr"]
    path.write_text(json.dumps(content))
    last.write_bytes(last.with_name("previous.ckpt").read_bytes())
    run("run", *words, "trainer.max_steps=4", "resume=last")
    again = json.loads(path.read_text())
    assert again["protocol"]["iteration"] == 4
    assert "psnr" in again["scores"]["A2B"]
    assert "old" not in again["scores"]["A2B"]
