"""The drawn tasks: pure functions of their arguments, whose truth, labels and objects belong together."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gan_style.core.errors import UserError
from gan_style.data.scenes import MATERIALS, PARTS, TASKS, Part, Task, draw_scene, find_task

GOLDEN = Path(__file__).parents[1] / "golden" / "paint.npz"
NAMES = ("recolour", "paint", "photo", "unshared", "few", "shifted", "night", "shapes")
BOTH = [(name, domain) for name in NAMES for domain in "AB"]
SKY, MOUNTAIN, WATER, MEADOW, TREE = range(5)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255.0**2 / np.mean((first.astype(float) - second.astype(float)) ** 2)))


def test_the_tasks_have_their_names_in_order_and_say_what_they_are() -> None:
    assert tuple(TASKS) == NAMES
    assert all(task.name == name for name, task in TASKS.items())
    assert len({task.title for task in TASKS.values()}) == len({task.text for task in TASKS.values()}) == len(NAMES)
    assert MATERIALS == ("sky", "mountain", "water", "meadow", "tree")


def test_paint_draws_the_pictures_of_the_golden_file() -> None:
    golden = np.load(GOLDEN)
    assert len(golden.files) == 10
    for key in golden.files:
        domain, index, size = key.split("-")
        found = draw_scene(0, int(index), int(size), domain).astype(int) - golden[key]
        # Another processor may round an exponential otherwise; a change of the drawing moves thousands of values.
        assert abs(found).max() <= 1, key
        assert (found != 0).mean() < 1e-3, key


@pytest.mark.parametrize("name", NAMES)
def test_tasks_draw_the_pictures_of_the_golden_file(name: str) -> None:
    """Else benchmarks of two versions are not comparable: then `FORMAT` of export.py is raised, too."""
    golden = np.load(GOLDEN.with_name("tasks.npz"))
    for part, domain in (("trainA", "A"), ("trainB", "B")):
        found = TASKS[name].draw(0, 403, 32, domain, 1, part=part).astype(int) - golden[f"{name}-{domain}"]  # type: ignore[arg-type]
        assert abs(found).max() <= 1
        assert (found != 0).mean() < 2e-3


def test_tasks_of_the_same_domains_share_their_test_pictures() -> None:
    for domain in "AB":
        image = draw_scene(0, 7, 32, domain)
        for name in ("paint", "few", "shifted"):
            assert np.array_equal(TASKS[name].draw(0, 7, 32, domain), image)
        assert np.array_equal(TASKS["photo"].draw(0, 7, 32, "AB"[domain == "A"]), image), "the domains swapped"
    assert np.array_equal(TASKS["photo"].draw(0, 7, 32, "A", 3), draw_scene(0, 7, 32, "B", 3))


def fingerprint(order: int = 1) -> str:
    """A hash of one scene of every task, drawn forwards or backwards."""
    found = {}
    for name, domain in BOTH[::order]:
        for part in PARTS[::order]:
            scene = TASKS[name].scene(2, 11, 24, domain, 1, part=part)
            content = scene.image.tobytes() + scene.labels.tobytes() + repr(scene.objects).encode()
            found[name, domain, part] = hashlib.sha256(content).hexdigest()
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def test_pictures_are_a_pure_function_in_any_order_and_process() -> None:
    code = "from tests.data.test_tasks import fingerprint; print(fingerprint(-1))"
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert result.stdout.strip() == fingerprint() == fingerprint(-1)


@pytest.mark.parametrize(("name", "domain"), BOTH)
def test_views_agree_with_the_scene(name: str, domain: str) -> None:
    task = TASKS[name]
    for part in ("trainB", "testA"):
        scene = task.scene(1, 4, 40, domain, part=part)
        assert scene.image.shape == (40, 40, 3)
        assert scene.image.dtype == np.uint8
        assert np.array_equal(task.draw(1, 4, 40, domain, part=part), scene.image)
        assert np.array_equal(task.labels(1, 4, 40, domain, part=part), scene.labels)
        assert task.objects(1, 4, 40, domain, part=part) == scene.objects
        assert scene.labels.max() < len(MATERIALS)
        for tree in scene.objects:
            mask = scene.tree_map == tree.number
            assert mask.sum() == tree.pixels == mask[tree.top : tree.bottom, tree.left : tree.right].sum()
            assert (scene.labels[mask] == TREE).all()


@pytest.mark.parametrize(("name", "domain"), BOTH)
@pytest.mark.parametrize("size", [16, 17, 200])
def test_every_size_draws(name: str, domain: str, size: int) -> None:
    for index in range(4):
        assert TASKS[name].draw(5, index, size, domain, part="trainB").std() > 10


@pytest.mark.parametrize(("name", "domain"), BOTH)
def test_all_sizes_show_the_same_scene(name: str, domain: str) -> None:
    agree, alike = [], []
    for index in range(6):
        small, large = (TASKS[name].scene(0, index, size, domain) for size in (32, 128))
        shrunk = cv2.resize(large.image, (32, 32), interpolation=cv2.INTER_AREA)
        alike.append(np.corrcoef(shrunk.ravel(), small.image.ravel())[0, 1])
        # the middle of the four times four pixels
        agree.append((large.labels[2::4, 2::4] == small.labels).mean())
    assert np.mean(agree) > 0.95
    assert min(alike) > 0.93


@pytest.mark.parametrize("name", NAMES)
def test_both_domains_show_the_same_scene(name: str) -> None:
    task = TASKS[name]
    for index in range(8):
        part: Part = "testB" if index % 2 else "testA"
        A, B = (task.scene(0, index, 64, domain, part=part) for domain in "AB")
        same = A.labels == B.labels
        if task.same_labels:
            assert same.all()
            assert A.objects == B.objects
        else:  # all but trees and the ridge of the mountains
            ground = np.isin(A.labels, (WATER, MEADOW)) & (B.tree_map == 0)
            assert same[ground].all()
            assert 0.7 < same.mean() < 0.99
        assert psnr(A.image, B.image) < 30, "there is something to translate"


def test_shapes_differ_where_trees_are() -> None:
    task = TASKS["shapes"]
    wider = []
    for index in range(12):
        A, B = (task.scene(0, index, 64, domain) for domain in "AB")
        nearest = [{tree.number: tree for tree in scene.objects} for scene in (A, B)]
        for number in nearest[0].keys() & nearest[1].keys():
            a, b = (trees[number] for trees in nearest)
            if a.left > 4 and b.left > 4 and max(a.right, b.right) < 60 and a.pixels > 30:
                wider.append((b.right - b.left) / (a.right - a.left))
    assert len(wider) >= 5
    assert np.median(wider) > 1.3


@pytest.mark.parametrize(("name", "domain"), BOTH)
def test_samples_differ_in_pixels_but_not_in_labels(name: str, domain: str) -> None:
    task = TASKS[name]
    one_to_many = task.directions_one_to_many[{"A": "B2A", "B": "A2B"}[domain]]
    first, second = (task.scene(0, 3, 48, domain, sample) for sample in (0, 1))
    assert np.array_equal(first.labels, second.labels)
    assert first.objects == second.objects
    assert np.array_equal(first.image, second.image) == (not one_to_many)
    several = task.samples(0, 3, 48, domain, 3)
    assert several.shape == (3, 48, 48, 3)
    assert np.array_equal(several, [task.draw(0, 3, 48, domain, sample) for sample in range(3)])
    assert np.array_equal(task.samples(0, 3, 48, domain, 1, first=2)[0], several[2])


def test_which_directions_have_many_truths() -> None:
    many = {name: [d for d, yes in task.directions_one_to_many.items() if yes] for name, task in TASKS.items()}
    assert many == {
        "recolour": [],
        "paint": ["A2B"],
        "photo": ["B2A"],
        "unshared": [],
        "few": ["A2B"],
        "shifted": ["A2B"],
        "night": ["A2B", "B2A"],
        "shapes": [],
    }


@pytest.mark.parametrize("share", [0.0, 0.15, 0.3, 0.6])
def test_trees_are_in_a_share_of_domain_B_only(share: float) -> None:
    task = find_task("unshared", share)
    for first, part in ((400, "trainB"), (1000, "testB")):
        with_trees = [bool(task.composition(0, first + i, part).trees) for i in range(100)]
        assert sum(with_trees) == pytest.approx(100 * share, abs=2)
    assert not any(task.composition(0, i, part).trees for i in range(100) for part in ("trainA", "testA"))
    for i in range(400, 410):
        A, B = (task.objects(0, i, 64, domain, part="trainB") for domain in "AB")
        assert A == B, "a translation keeps them"
        assert bool(B) == bool(task.composition(0, i, "trainB").trees)


def test_a_larger_share_keeps_the_trees_of_a_smaller_one() -> None:
    few, many = (find_task("unshared", share) for share in (0.15, 0.6))
    for i in range(100):
        assert not few.composition(0, i, "trainB").trees or many.composition(0, i, "trainB").trees


def shares(task: Task, part: Part, count: int = 60) -> np.ndarray:
    """Share of each material in pictures of a part."""
    domain = part[-1]
    seen = np.concatenate([task.labels(0, i, 24, domain, part=part).ravel() for i in range(count)])
    return np.bincount(seen, minlength=len(MATERIALS)) / len(seen)


def test_training_sets_of_shifted_hold_other_materials_and_its_tests_do_not() -> None:
    task = TASKS["shifted"]
    A, B = shares(task, "trainA"), shares(task, "trainB")
    assert A[WATER] > 4 * B[WATER]
    assert B[MOUNTAIN] > 2 * A[MOUNTAIN]
    test_A, test_B = shares(task, "testA"), shares(task, "testB")
    assert np.abs(test_A - test_B).max() < 0.03
    assert B[WATER] < test_A[WATER] < A[WATER]
    assert A[MOUNTAIN] < test_A[MOUNTAIN] < B[MOUNTAIN]
    lakes = [sum(task.composition(0, i, part).lake for i in range(200)) for part in ("trainA", "trainB")]
    assert lakes == [pytest.approx(170, abs=3), pytest.approx(30, abs=3)]


def test_night_is_darker_and_days_differ() -> None:
    task = TASKS["night"]
    for i in range(6):
        day, night = (task.draw(0, i, 32, domain).mean() for domain in "AB")
        assert night < 0.75 * day
    days = task.samples(0, 0, 32, "A", 6)
    assert max(psnr(days[0], other) for other in days[1:]) < 40
    assert min(psnr(days[0], other) for other in days[1:]) < 20, "some are at another time of day"


def test_an_edit_changes_what_is_drawn_and_what_is_counted() -> None:
    task = TASKS["paint"]
    whole = task.scene(0, 0, 64, "B")
    bare = task.scene(0, 0, 64, "B", edit=lambda scene: replace(scene, trees=scene.trees[:-1]))
    assert len(bare.objects) == len(whole.objects) - 1
    gone = whole.tree_map == len(task.composition(0, 0).trees)
    assert gone.any()
    assert not (bare.tree_map[gone] == len(task.composition(0, 0).trees)).any()


def test_tasks_travel_to_other_processes() -> None:
    for task in (*TASKS.values(), find_task("unshared", 0.6)):
        copy = pickle.loads(pickle.dumps(task))
        assert copy.key == task.key
        assert np.array_equal(copy.draw(0, 450, 24, "B", part="trainB"), task.draw(0, 450, 24, "B", part="trainB"))


def test_keys_tell_tasks_apart() -> None:
    keys = [*(task.key for task in TASKS.values()), find_task("unshared", 0.0).key, find_task("unshared", 0.15).key]
    assert len(set(keys)) == len(keys)
    assert not any("." in key for key in keys), "a dot would begin a suffix"
    assert find_task("unshared", 0.3).key == find_task("unshared").key


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pain",), "data.task=pain is no task: did you mean paint?"),
        (
            ("zzz",),
            "data.task=zzz is no task; there are: few, night, paint, photo, recolour, shapes, shifted, unshared",
        ),
        (("night", 0.3), "data.unshared=0.3 is for data.task=unshared, and the task is night: leave it out"),
    ],
)
def test_a_wrong_task_is_one_sentence(arguments: tuple[str, float], said: str) -> None:
    with pytest.raises(UserError) as error:
        find_task(*arguments)
    assert str(error.value) == said


def test_wrong_arguments_are_refused() -> None:
    for changes in ({"size": 8}, {"size": 2048}, {"domain": "C"}, {"part": "valA"}):
        with pytest.raises(ValueError, match="must be"):
            TASKS["paint"].draw(**{"seed": 0, "index": 0, "size": 32, "domain": "A", **changes})  # type: ignore[arg-type]
