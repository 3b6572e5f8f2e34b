"""A grid at every stride, and a blur: found where they were planted, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_style.metrics.filters import from_grey_levels
from gan_style.networks.filters import blur
from gan_style.training.doctor.detectors import DETECTORS, MIN_DETAIL
from gan_style.training.doctor.statistics import Sketch, measure, sketch
from tests.training.doctor.zoo import LEVEL, Planted, Tiny, images, observe, textured, textured_batch_of

LOOKS = 22
GREY_LEVEL = 2 / 255


def cell(stride: int, levels: float, side: int) -> Tensor:
    """A pattern of so many grey levels from its darkest to its lightest, as a transposed convolution leaves it."""
    across = torch.ones(stride)
    across[: stride // 2] = -1
    pattern = (across[:, None] * across + across[:, None] + across) / 4  # from -1/4 to 3/4
    return (levels * GREY_LEVEL * pattern).repeat(side // stride, side // stride)


def batches(side: int) -> Callable[[int], dict[str, Any]]:
    def of(iteration: int) -> dict[str, Any]:
        a, b = (images(2, 2 * iteration + k, mean, side) for k, mean in ((0, 0.0), (1, LEVEL)))
        return {"A": a, "B": b}

    return of


@pytest.mark.parametrize(("stride", "side"), [(2, 32), (4, 32), (8, 64), (16, 128)])
def test_a_grid_is_found_at_its_stride(stride: int, side: int, tmp_path: Path) -> None:
    """Four of 255 grey levels, as a U-Net left them at a period of 8 pixels."""
    grid = cell(stride, 4.0, side)
    model = Tiny(Planted(lambda x: 0.6 * x + 0.05 + grid))
    found = observe(model, batches(side), tmp_path, iterations=4 * LOOKS)
    assert [row["code"] for row in found] == ["checkerboard"]
    assert f"every {stride} pixels" in found[0]["seen"]


@pytest.mark.parametrize("side", [32, 64])
def test_healthy_pictures_have_no_grid(side: int, tmp_path: Path) -> None:
    model = Tiny(Planted(lambda x: 0.6 * x + 0.05))
    assert observe(model, batches(side), tmp_path, iterations=4 * LOOKS) == []


@pytest.mark.parametrize(("direction", "size"), [("AB", 32), ("BA", 32), ("BB", 32), ("AB", 64), ("BB", 64)])
def test_true_pictures_of_drawn_scenes_are_healthy(direction: str, size: int) -> None:
    """Photos taken for paintings, and paintings for others: fewer looks show anything than would be reported."""
    from gan_style.data.scenes import draw_scene

    made, real = (
        [from_grey_levels(draw_scene(k, i, size, domain))[None] for i in range(4 * LOOKS)]
        for k, domain in enumerate(direction)
    )
    sketches = [sketch({"real_A": x, "fake_B": x, "real_B": y}) for x, y in zip(made, real, strict=True)]
    shown = {"checkerboard": 0, "blur": 0}
    for first in range(0, 4 * LOOKS, 4):
        numbers = measure(sketches[first : first + 4])
        for code in shown:
            names, detector = DETECTORS[code]
            shown[code] += detector(*(float(numbers[f"A2B/{name}"]) for name in names))[0]
    assert max(shown.values()) <= LOOKS / 3, shown


def test_a_blur_is_found_and_its_picture_is_not(tmp_path: Path) -> None:
    blurred = Tiny(Planted(lambda x: 0.7 * blur(x, 1.5)))
    found = observe(blurred, textured_batch_of, tmp_path / "blurred", iterations=4 * LOOKS)
    assert [row["code"] for row in found] == ["blur"]
    assert "of the fine detail of real pictures" in found[0]["seen"]
    sharp = Tiny(Planted(lambda x: 0.7 * x))
    assert observe(sharp, textured_batch_of, tmp_path / "sharp", iterations=4 * LOOKS) == []


def test_the_numbers_are_ratios_and_missing_where_nothing_can_be_told() -> None:
    a, b = textured(4, 0), textured(4, 1, LEVEL)

    def numbers(fake: Tensor, real: Tensor = b) -> dict[str, float]:
        found = measure([sketch({"real_A": a, "fake_B": fake, "real_B": real})])
        return {name.removeprefix("A2B/"): float(value) for name, value in found.items()}

    assert numbers(0.5 * b)["detail"] == pytest.approx(0.25, rel=0.02)
    assert numbers(blur(a, 1.5))["detail"] < MIN_DETAIL / 2
    assert numbers(a, torch.zeros_like(b))["detail"] != numbers(a, torch.zeros_like(b))["detail"], "flat targets"
    small = measure([sketch({"real_A": a[..., :6, :6], "fake_B": a[..., :6, :6], "real_B": b[..., :6, :6]})])
    assert "A2B/grid" not in small


def test_a_window_of_before_has_no_cells_and_is_passed_over() -> None:
    """As in a checkpoint of a version that kept a folded pattern instead."""
    old: Sketch = {f"A2B/{kind}": torch.rand(1, 3, 16, 16) for kind in ("input", "output", "target")}
    old |= {"A2B/grid": torch.zeros(4, 4), "A2B/grid_real": torch.zeros(4, 4)}
    assert "A2B/grid" not in measure([old])
    new = sketch({"real_A": textured(2, 0), "fake_B": textured(2, 1), "real_B": textured(2, 2)})
    assert {"A2B/grid", "A2B/detail"} <= measure([old, new]).keys()
