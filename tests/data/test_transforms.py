"""Augmentation is geometry and a seed, nothing else."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest
import torch

from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.data.transforms import EvalTransform, TrainTransform, resize
from gan_style.data.values import ValueRange


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def coordinates(size: int) -> np.ndarray:
    """A picture whose pixel [y, x] holds (y, x, 0)."""
    y, x = np.mgrid[:size, :size]
    return np.stack([y, x, 0 * x], axis=2).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(40, 40), (13, 90), (70, 33), (1, 1)])
def test_the_result_has_the_asked_size_and_type(height: int, width: int, channels: int) -> None:
    image = noise(height, width, channels)
    kept = image.copy()
    for result in (TrainTransform(36, 32)(image, 5), EvalTransform(32)(image)):
        assert result.shape == (32, 32, channels)
        assert result.dtype == np.uint8
    np.testing.assert_array_equal(image, kept)


def test_equal_seeds_give_equal_crops_whatever_came_before() -> None:
    image = noise(50, 60)
    one, other = TrainTransform(40, 32), TrainTransform(40, 32)
    first = {seed: one(image, seed) for seed in range(20)}
    for seed in reversed(range(20)):
        np.testing.assert_array_equal(other(image, seed), first[seed])
    assert len({result.tobytes() for result in first.values()}) > 15


def test_the_global_random_states_neither_matter_nor_change() -> None:
    image, transform = noise(50, 60), TrainTransform(40, 32)
    np.random.seed(0)
    before = transform(image, 3)
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr,index]
    np.random.seed(1)
    np.testing.assert_array_equal(transform(image, 3), before)
    np.random.seed(0)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # type: ignore[index]


def test_a_crop_is_a_window_and_every_place_and_both_flips_occur() -> None:
    image, transform = coordinates(12), TrainTransform(None, 10)
    seen = set()
    for seed in range(300):
        result = transform(image, seed)
        flipped = result[0, 0, 1] > result[0, 1, 1]
        upright = result[:, ::-1] if flipped else result
        y, x = (int(value) for value in upright[0, 0, :2])
        np.testing.assert_array_equal(upright, image[y : y + 10, x : x + 10])
        seen.add((y, x, bool(flipped)))
    assert seen == {(y, x, flipped) for y in range(3) for x in range(3) for flipped in (False, True)}


def test_half_of_the_pictures_are_flipped_and_none_without_flip() -> None:
    image = coordinates(8)
    flips = sum(TrainTransform(None, 8)(image, seed)[0, 0, 1] == 7 for seed in range(400))
    # Five standard deviations of a binomial with n = 400 and p = 1/2 are 50.
    assert 150 < flips < 250
    for seed in range(30):
        np.testing.assert_array_equal(TrainTransform(None, 8, flip=False)(image, seed), image)


def test_seeds_of_63_bits_are_told_apart() -> None:
    image, transform = noise(300, 300), TrainTransform(None, 20)
    results = {transform(image, seed).tobytes() for seed in (1, 1 + 2**32, 1 + 2**62)}
    assert len(results) == 3


def test_shrinking_averages_and_growing_is_cubic() -> None:
    image = noise(64, 64)
    blocks = image.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize(image, 16, 16) - blocks).max() <= 0.51
    expected = cv2.resize(image, (80, 80), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(resize(image, 80, 80), expected)
    np.testing.assert_array_equal(resize(image, 64, 64), image)


def test_a_side_that_shrinks_is_averaged_although_the_other_grows() -> None:
    stripes = np.zeros((8, 256, 3), np.uint8)
    stripes[:, ::4] = 200
    assert set(resize(stripes, 16, 64).ravel()) == {50}


def test_evaluation_keeps_the_whole_picture() -> None:
    image = noise(64, 32)
    transform = EvalTransform(48)
    np.testing.assert_array_equal(transform(image, 0), transform(image, 1))
    np.testing.assert_array_equal(transform(image), resize(image, 48, 48))


def test_wrong_sizes_name_their_keys() -> None:
    with pytest.raises(UserError, match=r"data\.load_size is 64, smaller than data\.image_size, which is 12"):
        TrainTransform(64, 128)
    with pytest.raises(UserError, match=r"data\.image_size=0 is not valid: give N"):
        EvalTransform(0)
    with pytest.raises(UserError, match=r"data\.load_size=-1 is not valid"):
        TrainTransform(-1, 8)
    with pytest.raises(UserError, match=r"is 30x40 \(height x width\), smaller than data\.image_size, which is 32"):
        TrainTransform(None, 32)(noise(30, 40), 0)


def test_a_transform_survives_the_way_to_a_worker() -> None:
    image, transform = noise(50, 60), TrainTransform(40, 32)
    expected = transform(image, 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(transform))(image, 3), expected)


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_the_quick_ways_to_a_tensor_of_8_bits_change_no_number(channels: int) -> None:
    image = np.arange(256 * channels, dtype=np.uint8).reshape(16, 16, channels)[:, ::-1]
    tensor = ValueRange(channels=channels).as_tensor(image)
    assert np.array_equal(tensor.numpy(), image.transpose(2, 0, 1))
    expected = tensor.to(torch.float32) / 127.5 - 1
    for values in (tensor, tensor[:, ::2], tensor[None]):
        found = ValueRange(channels=channels).normalise(values)
        assert torch.equal(
            found, expected.reshape(tensor.shape)[:, ::2] if values.shape[1] == 8 else expected.view_as(values)
        )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_crop_and_flip_are_those_of_albumentations(dtype: str, channels: int) -> None:
    flipped = 0
    for seed in range(40):
        height, width = np.random.default_rng(seed).integers(20, 60, 2)
        image = np.random.default_rng(seed).uniform(0, 255, (height, width, channels)).astype(dtype)
        theirs = albumentations.Compose([albumentations.RandomCrop(13, 17), albumentations.HorizontalFlip(p=0.5)])
        for index, step in enumerate(theirs.transforms):
            step.set_random_seed(derive_seed(seed, index))
        expected = theirs(image=image)["image"].reshape(13, 17, channels)
        found = TrainTransform(None, [13, 17])(image, seed)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
        flipped += not np.array_equal(found, TrainTransform(None, [13, 17], flip=False)(image, seed))
    assert 10 < flipped < 30


def test_albumentations_is_loaded_late_and_never_asks_the_network(tmp_path: Path) -> None:
    (tmp_path / "albumentations.py").write_text(
        "import os; print('loaded', os.environ['NO_ALBUMENTATIONS_UPDATE'])\nCompose = lambda *_, **__: None\n"
    )
    code = "from gan_style.data import transforms; print('imported'); transforms.TrainTransform(8, 8)._pipeline"
    environment = {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"}
    environment["PYTHONPATH"] = str(tmp_path)
    told = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
    assert told.split() == ["imported", "loaded", "1"]
