"""The same-numbers rule: a change of these files says why in its commit, and comes from `make golden`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.golden.losses import FOLDER, ITERATIONS, MODELS, record


@pytest.mark.parametrize("model", MODELS)
def test_losses_are_those_of_the_golden_file(model: str, tmp_path: Path) -> None:
    expected = list(csv.DictReader((FOLDER / f"{model}.csv").read_text().splitlines()))
    found = list(csv.DictReader(record(model, tmp_path / "run").splitlines()))
    assert len(found) == len(expected) == ITERATIONS
    for row, golden in zip(found, expected, strict=True):
        assert row.keys() == golden.keys()
        # The networks' initial weights and the pictures are float32; another CPU may round them otherwise.
        for name in golden:
            assert float(row[name]) == pytest.approx(float(golden[name]), rel=1e-3), (golden["iteration"], name)
