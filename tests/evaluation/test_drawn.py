"""Rows whose place is known, planted among the scores of a drawn task: each stands where it belongs in every column."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
import torch

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.data.scenes.geometry import Composition, with_more_trees
from gan_style.evaluation.drawn import OF_IMAGES, OF_SETS, DrawnJudge, Images
from gan_style.metrics.filters import from_grey_levels
from gan_style.metrics.local import local_distance
from gan_style.metrics.table import NAMED, goodness
from gan_style.metrics.truth import psnr

Scores = dict[str, dict[str, float]]


@cache
def judge_at(size: int) -> DrawnJudge:
    return DrawnJudge("paint", "A2B", size, seed=0)


def edited(judge: DrawnJudge, edit: Callable[[Composition], Composition]) -> Images:
    """What a true painter paints who sees other trees."""
    scenes = [
        judge.task.scene(judge.seed, i, judge.size, "B", judge.samples, part=judge.part, edit=edit)
        for i in judge.indices
    ]
    return np.stack([scene.image for scene in scenes])


def fewer_trees(scene: Composition) -> Composition:
    random = np.random.default_rng(int(1e6 * scene.horizon))
    return replace(scene, trees=tuple(tree for tree in scene.trees if random.random() >= 0.1))


def one_more_tree(scene: Composition) -> Composition:
    return with_more_trees(scene, np.random.default_rng(int(1e6 * scene.horizon)), 1)


def mean_of_paintings(judge: DrawnJudge) -> Images:
    """The mean of eight true paintings, none of which is a sample of the truth."""
    drawn = [
        judge.task.samples(judge.seed, i, judge.size, "B", 8, first=judge.samples + 1, part=judge.part)
        for i in judge.indices
    ]
    return np.rint(np.mean(drawn, axis=1)).astype(np.uint8)


@cache
def planted(size: int) -> dict[str, Scores]:
    judge = judge_at(size)
    rows = judge.rows | {
        "inversion": 255 - judge.inputs,
        "mean": mean_of_paintings(judge),
        "blurred painter": np.stack([cv2.GaussianBlur(x, (0, 0), 1) for x in judge.rows["true painter"]]),
        "other strokes": np.stack(
            [judge.task.samples(0, i, size, "B", 1, first=99, part=judge.part)[0] for i in judge.indices]
        ),
        "trees removed": edited(judge, fewer_trees),
        "trees invented": edited(judge, one_more_tree),
    }
    return {name: judge.scores(images, draws=0) for name, images in rows.items()}


def order(size: int, column: str) -> list[str]:
    """The rows from the best to the worst."""
    table = planted(size)
    return sorted(table, key=lambda row: goodness(NAMED[column].better, table[row][column]["value"]), reverse=True)


PAINTERS = {"true painter", "other strokes"}
OF_OTHER_TREES = {"trees removed", "trees invented"}
UNTRUE = {"input", "colour transfer", "inversion"}
WRONG = {*UNTRUE, "another scene"}


def test_the_mean_has_the_best_psnr_and_neither_detail_nor_texture() -> None:
    assert order(32, "psnr")[0] == order(32, "ssim")[0] == "mean"
    table = planted(32)
    for row in PAINTERS:
        assert table["mean"]["psnr"]["value"] > table[row]["psnr"]["value"] + 4
        for column in ("detail", "fine_detail"):
            assert table[row][column]["value"] == pytest.approx(1, abs=0.05)
            assert table["mean"][column]["value"] < 0.7
        assert table[row]["texture"]["value"] < 1 < 2 < table["mean"]["texture"]["value"]


def test_a_true_painter_wins_and_each_fault_costs() -> None:
    """By the energy distance: other strokes, then other trees and a blur, and far behind what is no painting of it."""
    places = order(32, "energy_distance")
    assert {*places[:2]} == PAINTERS
    assert places[2] == "trees removed", "10% of the trees"
    assert {*places[3:5]} == {"mean", "trees invented"}
    assert places[5] == "blurred painter"
    assert {*places[6:]} == WRONG
    assert places[-1] == "inversion"


def test_objects_are_lost_and_invented_where_they_were() -> None:
    table = planted(32)
    value = {column: {row: table[row][column]["value"] for row in table} for column in ("invented", "lost")}
    for row in PAINTERS:
        assert max(value["invented"][row], value["lost"][row]) < 0.2
        assert value["lost"]["trees removed"] > value["lost"][row] + 0.1
    assert value["invented"]["trees removed"] < 0.2
    assert value["invented"]["trees invented"] == pytest.approx(1, abs=0.2)
    assert value["lost"]["trees invented"] < 0.2
    for row in ("another scene", "input", "inversion"):
        assert value["invented"][row] > 1.2
        assert value["lost"][row] > 1.5


def test_texture_knows_paintings_whatever_they_show() -> None:
    places = order(32, "texture")
    assert {*places[:5]} == {*PAINTERS, *OF_OTHER_TREES, "another scene"}
    assert {*places[5:8]} == UNTRUE
    assert places[8:] == ["mean", "blurred painter"]


def test_a_grid_is_seen_in_its_column() -> None:
    judge = judge_at(32)
    painter = judge.rows["true painter"].astype(np.int32)
    cell = np.zeros((4, 4, 1), np.int32)
    cell[:2, :2], cell[2:, 2:] = 8, -8  # a deviation of 5.7
    images = np.clip(painter + np.tile(cell, (8, 8, 1)), 0, 255).astype(np.uint8)
    clean = planted(32)["true painter"]
    assert clean["grid"]["value"] < 0.5
    assert judge.scores(images, draws=0)["grid"]["value"] == pytest.approx(5.7, abs=0.5)


@pytest.mark.parametrize("direction", ["A2B", "B2A"])
def test_what_chooses_best_ckpt_is_won_by_a_true_painter(direction: str) -> None:
    """By local distance to one true picture, as in validations: then a blur, no change, and an untrained model."""
    judge = judge_at(32) if direction == "A2B" else DrawnJudge("paint", "B2A", 32, seed=0, count=16, samples=2)
    torch.manual_seed(0)
    untrained = build({"_target_": "gan_style.networks.resnet.ResnetGenerator", "blocks": 2, "filters": 8})
    with torch.no_grad():
        made = untrained(from_grey_levels(judge.inputs))
    painter = judge.rows["true painter"]
    blurred = np.stack([cv2.GaussianBlur(x, (0, 0), 1) for x in painter])
    rows = {
        "painter": from_grey_levels(painter),
        **({"mean": from_grey_levels(mean_of_paintings(judge))} if direction == "A2B" else {}),
        "blurred": from_grey_levels(blurred),
        "colour transfer": from_grey_levels(judge.rows["colour transfer"]),
        "input": from_grey_levels(judge.inputs),
        "untrained": made,
    }
    truth = from_grey_levels(judge.truths[:, 0])
    values = [float(local_distance(images, truth).mean()) for images in rows.values()]
    assert values == sorted(values), dict(zip(rows, values, strict=True))
    assert min(b - a for a, b in itertools.pairwise(values)) > 1
    if direction == "A2B":
        assert psnr(rows["mean"], truth).mean() > psnr(rows["painter"], truth).mean(), "which PSNR gets wrong"


def holds_for_labels(size: int) -> None:
    table = {row: scores["label_iou"]["value"] for row, scores in planted(size).items()}
    print(size, {row: round(value, 3) for row, value in table.items()})
    for row in PAINTERS:
        assert table[row] > 0.8, row
    for row in WRONG:
        assert table[row] < 0.4, row
    for row in OF_OTHER_TREES:
        assert max(table[row] for row in WRONG) + 0.2 < table[row] < min(table[row] for row in PAINTERS)


def test_labels_are_seen_whatever_the_strokes_and_in_nothing_else() -> None:
    holds_for_labels(32)


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 128])
def test_labels_at_larger_sizes(size: int) -> None:
    holds_for_labels(size)


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 128])
def test_the_painter_wins_at_larger_sizes(size: int) -> None:
    places = order(size, "energy_distance")
    assert {*places[:2]} == PAINTERS
    assert places[2] == "trees removed"
    assert {*places[-4:]} == WRONG
    assert order(size, "psnr")[0] == "mean"
    assert {*order(size, "fine_detail")[-2:]} <= {"mean", "blurred painter", "input", "inversion", "colour transfer"}


def test_what_scores_hold() -> None:
    judge = DrawnJudge("paint", "B2A", 16, seed=3, count=4, samples=2)
    images = judge.rows["input"]
    scores = judge.scores(images, draws=4)
    assert [*scores] == [*OF_IMAGES, *OF_SETS]
    for name, entry in scores.items():
        assert entry["low"] <= entry["value"] <= entry["high"], name
        assert goodness(NAMED[name].better, entry["floor"]) >= goodness(NAMED[name].better, entry["value"]), name
        assert set(entry) >= {"ceiling", "floor"}
    values = judge.values(images)
    assert [*values] == [*OF_IMAGES]
    assert all(each.shape == (4,) for each in values.values())
    assert float(values["psnr"].mean()) == pytest.approx(scores["psnr"]["value"])
    with pytest.raises(UserError, match=r"translations \[3, 16, 16, 3\] uint8 are not those of the 4 test pictures"):
        judge.values(images[:3])
    with pytest.raises(UserError, match="two of each at least"):
        DrawnJudge("paint", "A2B", 16, seed=0, count=1)


def test_one_truth_is_met_exactly_and_has_no_spread() -> None:
    judge = DrawnJudge("recolour", "A2B", 32, seed=0, count=4, samples=2)
    scores = judge.scores(judge.truths[:, 0], several=judge.truths, draws=0)
    assert scores["psnr"]["value"] > 90
    assert scores["energy_distance"]["value"] == 0
    assert scores["detail"]["value"] == pytest.approx(1)
    assert "spread" not in scores


def test_spread_of_painters_and_of_a_model_without_noise() -> None:
    judge = judge_at(32)
    others = [judge.task.samples(0, i, 32, "B", 4, first=50, part=judge.part) for i in judge.indices]
    painters = judge.scores(judge.truths[:, 0], several=np.stack(others), draws=0)["spread"]
    assert painters["value"] == pytest.approx(1, abs=0.05)
    same = judge.scores(judge.truths[:, 0], several=judge.truths[:, :1].repeat(3, axis=1), draws=0)["spread"]
    assert same["value"] == 0
