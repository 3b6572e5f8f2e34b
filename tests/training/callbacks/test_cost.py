"""The share of time that training waits for data, and the peak of memory, in every row."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_style.data import datamodule
from gan_style.data.unpaired import UnpairedDataset
from gan_style.training.callbacks import cost as module
from gan_style.training.callbacks.cost import Cost


def test_only_the_time_between_two_batches_is_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    cost: Any = Cost()
    cost.on_train_start(None, None)
    for call, seconds in (
        (cost.on_train_batch_start, 1.0),  # waited
        (cost.on_train_batch_end, 7.0),
        (lambda *_: cost.on_validation_start(None, None), 0.5),  # waited
        (lambda *_: cost.on_validation_end(None, None), 100.0),  # does not count
        (cost.on_train_batch_start, 0.5),  # waited
        (cost.on_train_batch_end, 1.0),
    ):
        now[0] += seconds
        call()
    row = cost.row()
    assert row["time/data_wait"] == pytest.approx(2 / 10)
    assert 0.05 < row["memory/peak_GB"] < 1000
    now[0] += 5
    assert cost.row()["time/data_wait"] == 0, "a row speaks of the time since the last one"


@pytest.mark.parametrize(("seconds", "cores", "told"), [(0.0, 4, ""), (0.5, 1, ""), (0.5, 4, "which is 0, up to 3")])
def test_a_run_that_waits_is_told_so_once_where_that_helps(
    run: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seconds: float,
    cores: int,
    told: str,
) -> None:
    monkeypatch.setattr(module, "MIN_ITERATIONS_FOR_NOTE", 1)
    monkeypatch.setattr(module, "MAX_WAIT_SHARE", 0.6)
    monkeypatch.setattr(datamodule, "usable_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    given = UnpairedDataset.__getitem__

    def slow(self: Any, position: int) -> Any:
        time.sleep(seconds)
        return given(self, position)

    monkeypatch.setattr(UnpairedDataset, "__getitem__", slow)
    settings = ("trainer=cpu", "trainer.max_steps=4", "trainer.log_every=1", "trainer.val_every=100")
    folder = run("run", *settings, "data.num_workers=0")
    with open(folder / "metrics.csv", newline="") as file:
        shares = [float(row["time/data_wait"]) for row in csv.DictReader(file) if row["time/data_wait"]]
    assert len(shares) == 4
    assert (min(shares[1:]) > 0.6) == (seconds > 0)
    printed = capsys.readouterr().out
    assert printed.count("training waits for its data") == bool(told)
    assert told in printed
