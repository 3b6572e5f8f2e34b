"""Pictures of `data.image_size=[H,W]`: drawn scenes, and files of several shapes under every preprocess."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.data.drawn import ScenesDataModule
from gan_style.data.folders import FoldersDataModule
from gan_style.data.inspection.examine import inspect
from gan_style.data.scenes import TASKS, draw_scene
from gan_style.data.scenes.looks import LOOKS, draw_look
from gan_style.data.shard_writer import shards as shards_verb
from gan_style.data.sharded import ShardsDataModule
from gan_style.data.styles import StylesDataModule
from gan_style.data.transforms import EvalTransform, TrainTransform

SHAPES = [(300, 400), (400, 300), (256, 256), (70, 200), (120, 97)]  # height, width
H, W = 64, 96


def ramps(height: int, width: int) -> np.ndarray:
    """A picture whose first channel tells the row and whose second tells the column, from 0 to 1."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([(y + 0.5) / height, (x + 0.5) / width, 0 * x], axis=-1)


# Transforms


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("mode", "load"),
    [
        ("resize_and_crop", (72, 108)),
        ("resize_and_crop", 110),
        ("crop", None),
        ("scale_width", 100),
        ("scale_width_and_crop", 100),
        ("none", None),
    ],
)
def test_the_size_of_every_shape_under_every_preprocess(mode: Any, load: Any, shape: tuple[int, int]) -> None:
    height, width = shape
    made = TrainTransform(load, (H, W), preprocess=mode)(ramps(*shape), 1)
    looked_at = EvalTransform((H, W), mode)(ramps(*shape))
    expected = {
        "scale_width": (int(max(100 * height / width, H)), 100),
        "none": (round(height / 4) * 4, round(width / 4) * 4),
    }
    assert made.shape[:2] == expected.get(mode, (H, W))
    expected["scale_width"] = (int(max(W * height / width, H)), W)
    assert looked_at.shape[:2] == expected.get(mode, (H, W)) == EvalTransform((H, W), mode).fitted_size(*shape)


def test_a_crop_is_a_window_of_what_was_resized_and_not_turned() -> None:
    image = ramps(300, 400)
    crop = TrainTransform((72, 108), (H, W), flip=False)(image, 5)
    whole = cv2.resize(image, (108, 72), interpolation=cv2.INTER_AREA)
    windows = [whole[y : y + H, x : x + W] for y in range(72 - H + 1) for x in range(108 - W + 1)]
    assert any(np.array_equal(crop, window) for window in windows)


@pytest.mark.parametrize("shape", SHAPES)
def test_pictures_to_look_at_keep_their_shape_where_training_does(shape: tuple[int, int]) -> None:
    height, width = shape
    found = EvalTransform((H, W), "crop")(ramps(*shape))
    rows, columns = np.ptp(found[..., 0]) * height, np.ptp(found[..., 1]) * width  # pixels of the file that are seen
    assert rows / (H - 1) == pytest.approx(columns / (W - 1), rel=0.03), "one scale along both axes"
    assert found[..., :2].mean(axis=(0, 1)) == pytest.approx([0.5, 0.5], abs=0.02), "the middle"
    assert rows == pytest.approx(height, rel=0.03) or columns == pytest.approx(width, rel=0.03), "as large as fits"


def test_the_mirror_of_a_rectangle_is_its_mirror_image() -> None:
    image, plain = ramps(H, W), TrainTransform(None, (H, W))
    made = [plain(image, seed) for seed in range(9)]
    assert all(np.array_equal(x, image) or np.array_equal(x, image[:, ::-1]) for x in made)
    assert len({x.tobytes() for x in made}) == 2


def test_a_quarter_turn_of_a_rectangle_is_refused_whenever_it_is_drawn() -> None:
    import albumentations

    def refused(seed: int) -> str:
        try:
            TrainTransform(None, (H, W), augment=[albumentations.Transpose(p=0.5)])(ramps(H, W), seed)
        except UserError as error:
            return str(error)
        return ""

    said = (
        "data.augment gives pictures of 96x64 (height x width), but data.image_size is [64,96]: remove what changes the"
    )
    assert {refused(seed) for seed in range(20)} == {"", f"{said} size"}


@pytest.mark.parametrize(
    ("load", "mode", "said"),
    [
        ((72, 90), "resize_and_crop", "is [72,90], smaller than data.image_size, which is [64,96]"),
        ((60, 108), "resize_and_crop", "set data.load_size to [64,96] or more, or to null to crop without"),
        (90, "resize_and_crop", "is 90, smaller than data.image_size, which is [64,96] (height and width)"),
        (90, "scale_width_and_crop", "set data.load_size to 96 or more."),
        ((72, 108), "scale_width_and_crop", "set data.load_size=108, or data.preprocess=resize_and_crop"),
        ((72, 108), "scale_width", "data.load_size=[72,108] names a height"),
    ],
)
def test_a_load_size_that_holds_no_crop_is_refused(load: Any, mode: Any, said: str) -> None:
    with pytest.raises(UserError) as error:
        TrainTransform(load, (H, W), preprocess=mode)
    assert said in str(error.value)


# Drawn scenes


@pytest.mark.parametrize("size", [(32, 48), (48, 32)])
@pytest.mark.parametrize("name", TASKS)
def test_a_scene_is_the_middle_of_the_square_in_every_domain(name: str, size: tuple[int, int]) -> None:
    task, window = TASKS[name], np.s_[8:40, :] if size[0] < size[1] else np.s_[:, 8:40]
    for domain in "AB":
        whole, part = (task.scene(0, 12, side, domain) for side in (48, size))
        assert part.image.shape == (*size, 3)
        for key in ("image", "labels", "tree_map"):
            np.testing.assert_array_equal(getattr(part, key), getattr(whole, key)[window])
        np.testing.assert_array_equal(part.image, task.draw(0, 12, size, domain))
        np.testing.assert_array_equal(part.labels, task.labels(0, 12, size, domain))
        assert part.objects == task.objects(0, 12, size, domain)
        for box in part.objects:
            mask = part.tree_map == box.number
            assert mask.sum() == mask[box.top : box.bottom, box.left : box.right].sum() == box.pixels
        samples = task.samples(0, 12, size, domain, 2)
        np.testing.assert_array_equal(samples[0], part.image)


def test_looks_are_the_middle_of_the_square() -> None:
    for look in LOOKS:
        np.testing.assert_array_equal(draw_look(0, 3, (32, 48), look), draw_look(0, 3, 48, look)[8:40])
    assert draw_scene(0, 3, (20, 30), "A").shape == (20, 30, 3)


@pytest.mark.parametrize("kind", [ScenesDataModule, StylesDataModule])
def test_drawn_data_of_rectangles(kind: type[UnpairedDataModule]) -> None:
    data = kind(image_size=[32, 48], load_size=[36, 54], count=4, val_count=2)  # type: ignore[call-arg]
    data.setup()
    for item in (data.train_set[0], data.val_set[0]):
        assert {key: tuple(x.shape) for key, x in item.items() if hasattr(x, "shape")} == dict.fromkeys(
            [key for key, x in item.items() if hasattr(x, "shape")], (3, 32, 48)
        )
    assert data.splits is not None
    assert data.splits.train_A[0].shape == (36, 54, 3)
    A, B = data.sample_images(3)
    assert A.shape == B.shape == (3, 3, 32, 48)
    about = data.describe()["preprocessing"]
    assert (about["image_size"], about["load_size"]) == ([32, 48], [36, 54])


def test_a_square_is_described_as_ever() -> None:
    data = ScenesDataModule(image_size=[32, 32], load_size=(36, 36), count=2, val_count=1)
    data.setup()
    about = data.describe()["preprocessing"]
    assert (about["image_size"], about["load_size"], data.image_size) == (32, 36, 32)


@pytest.mark.parametrize("size", [[8, 96], [64, 2000]])
def test_a_scene_that_cannot_be_drawn_is_refused(size: list[int]) -> None:
    with pytest.raises(UserError, match=r"data\.image_size=\[\d+,\d+\] must be from 16 to 1024"):
        ScenesDataModule(image_size=size, load_size=None)


# Files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "set" / part).mkdir(parents=True)
        for number, shape in enumerate(SHAPES):
            image = Image.fromarray((255 * ramps(*shape)).astype(np.uint8))
            image.save(tmp_path / "set" / part / f"{number}.png")
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("mode", "load"),
    [
        ("resize_and_crop", [72, 108]),
        ("resize_and_crop", 110),
        ("crop", 286),
        ("scale_width", 100),
        ("scale_width_and_crop", 100),
        ("none", 286),
    ],
)
def test_files_of_several_shapes_under_every_preprocess(root: Path, mode: Any, load: Any) -> None:
    for cache in ("auto", "off"):
        data = FoldersDataModule(str(root), image_size=[H, W], load_size=load, preprocess=mode, cache=cache)
        data.setup()
        items = [data.train_set[i] for i in range(len(SHAPES))]
        sizes = {tuple(item["A"].shape[1:]) for item in items}
        assert (sizes == {(H, W)}) == mode.endswith("crop")
        assert len({tuple(item["B"].shape[1:]) for item in items}) == (1 if mode.endswith("crop") else len(sizes))
        looked_at = {tuple(data.val_set[i]["A"].shape[1:]) for i in range(len(SHAPES))}
        assert (looked_at == {(H, W)}) == mode.endswith("crop")
        assert data.sample_images(5)[0].shape == (5, 3, H, W)


def test_what_is_lower_or_narrower_than_the_crop_is_named(root: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"image_size": [80, 90], "preprocess": "crop"}
    said = r"3\.png is 70x200 \(height x width\), smaller than the crop of \[80,90\]: set data\.load_size=\[80,90\]"
    with pytest.raises(UserError, match=said):
        FoldersDataModule(str(root), **settings).setup()
    data = FoldersDataModule(str(root), on_error="skip", **settings)
    data.setup()
    assert len(data.train_set.images["A"]) == len(SHAPES) - 1
    assert data.smallest_image == (80, 90)
    with pytest.raises(UserError, match=r"3\.png is 70x200 .height x width., smaller than the crop of \[80,90\]"):
        shards(root, tmp_path, **settings).setup()
    fewer = shards(root, tmp_path, on_error="skip", **settings)
    fewer.setup()
    assert len(fewer.train_set.images["B"]) == len(SHAPES) - 1
    assert fewer.train_set[0]["A"].shape == (3, 80, 90)


def shards(root: Path, folder: Path, **settings: Any) -> ShardsDataModule:
    if not (folder / "shards").exists():
        shards_verb(str(root), folder / "shards", size=1.0, shuffle=None)
    return ShardsDataModule(str(folder / "shards"), **settings)


@pytest.mark.parametrize(
    ("settings", "better"),
    [
        ({"load_size": 110}, "data.load_size=[110,165]"),
        ({"load_size": [130, 96]}, "data.load_size=[130,195]"),
        ({"load_size": [72, 108]}, None),
        ({"load_size": [286, 429]}, None),
        ({"load_size": None}, None),
        ({"load_size": 110, "preprocess": "scale_width_and_crop"}, None),
        ({"image_size": 64, "load_size": 72}, None),
    ],
)
def test_another_shape_in_training_than_in_validation_is_said(root: Path, settings: Any, better: str | None) -> None:
    data = FoldersDataModule(str(root), **({"image_size": [H, W]} | settings))
    data.setup()
    assert data.splits is not None
    notes = [note for note in data.splits.notes if "another shape" in note]
    assert len(notes) == (better is not None)
    assert better is None or notes[0].endswith(f"{better} keeps one shape")


def test_inspect_judges_by_both_sides(root: Path) -> None:
    _, findings = inspect(root, image_size=(80, 90))
    (tiny,) = [finding for finding in findings if finding.code == "tiny"]
    assert "4 of 20 pictures have a side shorter than the crop of [80,90], down to 70" in tiny.sentence
    (advice,) = [finding for finding in findings if finding.code == "suggest-size"]
    assert advice.remedy == "data.image_size=[80,90] data.load_size=[89,101]"
    _, findings = inspect(root, image_size=(400, 600))
    (advice,) = [finding for finding in findings if finding.code == "suggest-size"]
    assert advice.remedy == "data.image_size=[160,256] data.load_size=[179,286]"
