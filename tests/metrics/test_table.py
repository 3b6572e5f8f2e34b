"""The table of scores: each row can be computed, and names find their rows."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gan_style.metrics.table import NAMED, TABLE, better_end, goodness, row_of

HIGHER = {"precision", "recall", "density", "coverage", "psnr", "ssim", "edge_agreement", "cycle_honesty", "diversity"}
HIGHER |= {"label_iou", "rendition_difference"}
AT_ONE = {"detail", "fine_detail", "domain_detail", "domain_fine_detail", "spread"}


def test_each_name_is_of_one_row_and_each_function_is_there() -> None:
    assert len(NAMED) == len(TABLE)
    for row in TABLE:
        assert row_of(row.name) is row
        assert row.title
        assert row.text[0].isupper()
        assert row.text[-1] not in ".;"
        assert bool(row.features) != bool(row.inputs)
        if row.function:
            named = [p for p in inspect.signature(row.compute()).parameters.values() if p.default is p.empty]
            assert len(named) == (2 if row.of_sets else len(row.inputs)), row.name
        assert row.quicker.keys() <= (inspect.signature(row.compute()).parameters.keys() if row.quicker else set())
    assert {row.name for row in TABLE if row.higher} == HIGHER, "which end is better, said a second time here alone"
    assert {row.name for row in TABLE if row.better == "one"} == AT_ONE
    for row in TABLE:
        assert row.features in (None, "extractor", "patches") or row.look()(torch.zeros(2, 3, 32, 32)).ndim == 2


def test_goodness_is_higher_for_what_is_better() -> None:
    assert sorted([0.1, 3.0, 0.5, 1.1, 0.0], key=lambda x: goodness("one", x)) == [0.0, 0.1, 3.0, 0.5, 1.1]
    assert goodness("highest", 2) > goodness("highest", 1)
    assert goodness("lowest", 2) < goodness("lowest", 1)


@pytest.mark.parametrize(
    ("column", "row"),
    [
        ("kid_random0", "kid"),
        ("kid", "kid"),
        ("FID", "fid"),
        ("frechet_vgg19_relu1_1", "frechet"),
        ("given_style_mean_std_vgg19", "style_mean_std"),
        ("content_vgg19_relu4_1", "content"),
        ("cycle_honesty", "cycle_honesty"),
        ("cycle", None),
        ("kids", None),
        ("sharpness", None),
    ],
)
def test_a_column_finds_its_row(column: str, row: str | None) -> None:
    found = row_of(column)
    assert (found.name if found else None) == row


def test_a_file_says_the_better_end_only_of_what_no_row_knows() -> None:
    assert better_end("kid_x", {"better": "highest"}) == "lowest"
    assert better_end("sharpness", {"better": "highest"}) == "highest"
    assert better_end("sharpness", {"better": "both"}) is None
    assert better_end("sharpness", {"value": 1.0}) is None


def test_shares_lie_in_their_range_and_least_is_enough() -> None:
    real, fake = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0))
    for row in TABLE:
        if row.of_sets and row.least > 2:
            value = float(row.compute()(real[: row.least], fake[: row.least]))
            assert value >= 0
            assert not row.share or value <= 1


@pytest.mark.parametrize("module", ["gan_style.metrics.table", "gan_style.report"])
def test_reading_the_table_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'torchmetrics', 'torchvision') if m in sys.modules])"
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
