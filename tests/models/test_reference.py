"""Twenty iterations of `train.py` by the faster ways, against the official step written out plainly."""

from __future__ import annotations

import copy
import csv
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_style.networks import fast_convolutions, winograd
from gan_style.training import run as runs
from tests.conftest import differences

ITERATIONS = 20
REFERENCE = Path(__file__).parents[2] / "experiments" / "suites" / "reference.py"
# One pair of pictures as it is, for which both sides need no common order.
WORDS = (
    *("model.generator.filters=8", "model.generator.blocks=2", "model.discriminator.filters=8"),
    *("data.count=1", "data.flip=false", "data.preprocess=none", "data.image_size=32", "data.load_size=32"),
    *("data.val_count=1", f"trainer.val_every={ITERATIONS}", "trainer.log_every=1"),
    *(f"trainer.max_steps={ITERATIONS}", "model.schedule.constant=1000"),
)


_known: list[tuple[Any, list[dict[str, float]]]] = []  # what the reference was given, and what it made of it


def reference(model: Any, pair: dict[str, torch.Tensor], dtype: torch.dtype) -> list[dict[str, float]]:
    """The terms of each iteration, from the weights of a model; computed once where both are the same again."""
    given = {"pair": pair, "weights": copy.deepcopy(model.state_dict()), "dtype": str(dtype)}
    for before, rows in _known:
        if differences(before, given) == []:
            return rows
    _known.append((given, from_weights(model, pair, dtype)))
    return _known[-1][1]


def from_weights(model: Any, pair: dict[str, torch.Tensor], dtype: torch.dtype) -> list[dict[str, float]]:
    plain = runpy.run_path(str(REFERENCE))["ReferenceCycleGAN"](filters=8, blocks=2, judge_filters=8)
    for _, network in plain.networks():
        network.to(dtype)
    plain.take_weights(model)
    rows = [plain.step(pair["A"].to(dtype), pair["B"].to(dtype)) for _ in range(ITERATIONS)]
    return [{name: float(term) for name, term in row.items()} for row in rows]


def furthest(rows: list[dict[str, float]], others: list[dict[str, float]]) -> float:
    """The largest relative difference of a term."""
    pairs = [(row[name], other[name]) for row, other in zip(rows, others, strict=True) for name in row]
    return max(abs(one - other) / abs(other) for one, other in pairs)


@pytest.mark.parametrize("joined", ["true", "false"])
def test_losses_are_those_of_the_plain_reference(
    joined: str, monkeypatch: pytest.MonkeyPatch, run: Callable[..., Path]
) -> None:
    """The plain reference in float32 is as far from itself in float64 as ours is."""
    monkeypatch.setattr(fast_convolutions, "MIN_TILES_FOR_WINOGRAD", 1)  # so that small maps go the faster ways, too
    called: list[int] = []
    forward = winograd._forward
    monkeypatch.setattr(winograd, "_forward", lambda *words: called.append(1) or forward(*words))
    sides: dict[torch.dtype, list[dict[str, float]]] = {}

    def check_model(model: Any, settings: Any, data: Any, name: str) -> None:
        batch = next(iter(data.train_dataloader()))
        pair = data.on_after_batch_transfer(batch, 0)
        for dtype in (torch.float32, torch.float64):
            sides[dtype] = reference(model, pair, dtype)

    monkeypatch.setattr(runs, "check_model", check_model)
    folder = run("ours", *WORDS, "trainer.fast_convolutions=true", f"model.join_passes={joined}")
    with open(folder / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/D_A"]]
    assert called
    exact = sides[torch.float64]
    ours = [{name: float(row[f"train/{name}"]) for name in exact[0]} for row in rows]
    assert furthest(ours, exact) < max(1e-4, 5 * furthest(sides[torch.float32], exact))
    assert furthest(ours[1:], exact[:-1]) > 0.01  # an iteration makes a difference
