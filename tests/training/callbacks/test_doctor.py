"""What the doctor does to a real run: nothing, or what was asked for."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_style.checkpoints.checkpoint import load
from gan_style.core.errors import TrainingFailed, UserError
from gan_style.models.cyclegan import CycleGAN
from gan_style.models.gatys import Gatys
from gan_style.training.doctor.codes import change_for
from gan_style.training.engine.engine import Engine
from tests.conftest import differences
from tests.models.test_contract import MODELS

Run = Callable[..., Path]
SCORES = ("truth_scores", "set_scores", "image_grid", "ema")
BRIEF = ("trainer.val_every=100", "data.val_count=2", "best.monitor=null", *(f"~callbacks.{name}" for name in SCORES))


def collapses(monkeypatch: pytest.MonkeyPatch, when: Callable[[int], bool]) -> None:
    """All translations to B become one grey picture while the stream of pictures is at such positions."""
    original = CycleGAN.generate

    def generate(self: CycleGAN, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        images = original(self, batch)
        if when(self.iteration + self.skipped):
            images["fake_B"] = 1e-3 * images["fake_B"]
        return images

    monkeypatch.setattr(CycleGAN, "generate", generate)


def overflows(monkeypatch: pytest.MonkeyPatch, position: int) -> None:
    """The weights of one layer become huge, not infinite, before that iteration."""
    original = Engine.begin_iteration

    def begin_iteration(self: Engine) -> None:
        original(self)
        if self.position == position:
            with torch.no_grad():
                self.method.G_AB.layers[1].weight.fill_(3e38)

    monkeypatch.setattr(Engine, "begin_iteration", begin_iteration)


def findings(folder: Path) -> list[dict[str, Any]]:
    path = folder / "findings.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def state(folder: Path) -> dict[str, Any]:
    content = load(folder / "checkpoints" / "last.ckpt")
    return {key: value for key, value in content.items() if key not in ("config", "best")}


def test_looking_changes_nothing_and_a_resumed_run_goes_on_counting(run: Run) -> None:
    looked = run("looked", *BRIEF, "trainer.max_steps=9", "doctor.every=2")
    without = run("without", *BRIEF, "trainer.max_steps=9", "~callbacks.doctor")
    assert differences(state(looked)["state_dict"], state(without)["state_dict"]) == []
    assert "doctor/A2B/spread" in rows(looked)[-1]
    parts = run("parts", *BRIEF, "trainer.max_steps=5", "doctor.every=2")
    run("parts", *BRIEF, "trainer.max_steps=9", "doctor.every=2", "resume=last")
    assert differences(state(looked), state(parts)) == []
    assert state(looked)["callbacks"]["Doctor"]["course"]["counts"]


def test_slopes_that_a_checkpoint_cuts_in_two_are_those_of_an_undisturbed_run(run: Run) -> None:
    """They are the largest of two iterations, and a checkpoint may lie between them."""
    words = (*BRIEF, "doctor.every=4", "trainer.save_every=3", "trainer.log_every=1")
    whole = run("whole", *words, "trainer.max_steps=4")
    run("parts", *words, "trainer.max_steps=3")
    parts = run("parts", *words, "trainer.max_steps=4", "resume=last")
    found, expected = ({k: v for k, v in rows(one)[-1].items() if k.endswith("/slope")} for one in (parts, whole))
    assert expected
    assert found == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_in_bfloat16_it_sees_the_same_changes_nothing_and_tells_the_loggers(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    collapses(monkeypatch, lambda position: True)
    words = (*BRIEF, "trainer.max_steps=6", "trainer.precision=bf16-mixed", "logger=tensorboard")
    looked, without = run("looked", *words, "doctor.every=1"), run("without", *words, "~callbacks.doctor")
    assert differences(state(looked)["state_dict"], state(without)["state_dict"]) == []
    assert [(row["code"], row["iteration"]) for row in findings(looked)] == [("collapse", 5)]
    events = EventAccumulator(str(looked / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("doctor/found/collapse")] == [5]
    assert [event.step for event in events.Scalars("doctor/A2B/spread")][-1] == 6


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_looked_at_in_half_precision(run: Run, name: str) -> None:
    folder = run(
        "run", *BRIEF, f"model={name}", "trainer.max_steps=2", "trainer.precision=bf16-mixed", "doctor.every=1"
    )
    assert any(column.startswith("doctor/") for column in rows(folder)[-1])


def test_warn_says_it_once_and_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    collapses(monkeypatch, lambda position: True)
    folder = run("run", *BRIEF, "trainer.max_steps=8", "doctor.every=1")
    assert [(row["code"], row["where"], row["iteration"]) for row in findings(folder)] == [("collapse", "A2B", 5)]
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("doctor:")]
    assert len(said) == 1
    assert "raise model.lambda_cycle (docs/troubleshooting.md#collapse)" in said[0]
    assert [row["iteration"] for row in rows(folder) if row["doctor/found/collapse"]] == ["5"]
    html = (folder / "report.html").read_text()
    assert "Different inputs come out as nearly the same picture" in html
    assert "Raise model.lambda_cycle (docs/troubleshooting.md#collapse)" in html


def test_stop_ends_the_run_with_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    collapses(monkeypatch, lambda position: True)
    words = ("trainer.max_steps=8", "trainer.save_every=2", "doctor.every=1", "doctor.on_critical=stop")
    with pytest.raises(TrainingFailed, match=r"^collapse in A2B at iteration 5: .*; last.ckpt is of iteration 4$"):
        run("run", *BRIEF, *words)
    assert load(tmp_path / "run" / "checkpoints" / "last.ckpt")["iteration"] == 4
    assert json.loads((tmp_path / "run" / "run.json").read_text())["stopped"].startswith("failed: collapse")
    collapses(monkeypatch, lambda position: True)
    run("ignored", *BRIEF, *words, "doctor.ignore=[collapse]")


def test_rollback_goes_on_from_what_was_good_and_can_be_resumed(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    collapses(monkeypatch, lambda position: 4 <= position < 12)
    words = (*BRIEF, "trainer.save_every=2", "doctor.every=1", "doctor.on_critical=rollback")
    whole = run("whole", *words, "trainer.max_steps=14")
    # four pictures in a row are alike from iteration 8 on, the third look finds it at 10, and 6 was the newest good one
    back = [line for line in capsys.readouterr().out.splitlines() if "went back" in line]
    assert len(back) == 1
    assert "went back to iteration 6;" in back[0]
    assert [row["code"] for row in findings(whole)] == ["collapse"]
    content = state(whole)
    assert content["iteration"] == 14
    assert content["skipped"] == 4
    assert content["callbacks"]["Doctor"]["gone_back"] == 1
    assert [int(row["iteration"]) for row in rows(whole)] == list(range(1, 15))
    parts = run("parts", *words, "trainer.max_steps=12")
    assert state(parts)["skipped"] == content["skipped"]
    run("parts", *words, "trainer.max_steps=14", "resume=last")
    assert differences(content, state(parts)) == []


def test_rollbacks_come_to_an_end(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    collapses(monkeypatch, lambda position: position >= 6)
    words = ("trainer.save_every=2", "doctor.every=1", "doctor.on_critical=rollback", "doctor.rollbacks=1")
    with pytest.raises(TrainingFailed, match="training stopped after 1 rollbacks"):
        run("run", *BRIEF, *words, "trainer.max_steps=40")
    assert len(findings(tmp_path / "run")) == 2


def test_nan_names_the_term_and_the_layer(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    overflows(monkeypatch, 3)
    layer = "the first layer whose output is not finite is G_AB.layers.1"
    expected = (
        rf"^the loss term G_gan_B is not finite at iteration 4 \({layer}\): training stopped.*model.optimizer_G.lr"
    )
    with pytest.raises(TrainingFailed, match=expected):
        run("run", *BRIEF, "trainer.max_steps=6")
    assert [row["code"] for row in findings(tmp_path / "run")] == ["not-finite"]
    with pytest.raises(TrainingFailed, match=expected):
        run("without", *BRIEF, "trainer.max_steps=6", "~callbacks.doctor")


def test_nan_is_taken_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    overflows(monkeypatch, 5)
    words = ("trainer.save_every=2", "doctor.every=1", "doctor.on_critical=rollback")
    folder = run("run", *BRIEF, *words, "trainer.max_steps=8")
    content = state(folder)
    assert (content["iteration"], content["skipped"]) == (8, 2), "iteration 6 failed, the checkpoint of 4 was good"
    assert all(bool(value.isfinite().all()) for value in content["state_dict"].values())


def test_advice_names_keys_that_the_model_has() -> None:
    assert change_for("not-finite", CycleGAN) == "lower model.optimizer_G.lr or set model.clip_grad_norm=1"
    assert change_for("not-finite", Gatys) == "lower model.lr"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("doctor.on_critical=halt", "doctor.on_critical=halt is not valid"),
        ("doctor.every=0", "doctor.every=0 is not valid"),
        ("doctor.ignore=[inversio]", "doctor.ignore=inversio is nothing that is looked for: did you mean inversion?"),
    ],
)
def test_wrong_settings_are_refused(run: Run, word: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        run("run", "trainer.max_steps=1", word)
    assert str(caught.value).startswith(message)
