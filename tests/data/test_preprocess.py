"""The official code's preprocessing modes, augmentation by config, and what an epoch is."""

from __future__ import annotations

from pathlib import Path

import albumentations
import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.data.folders import FoldersDataModule
from gan_style.data.saving import save_image
from gan_style.data.transforms import EvalTransform, TrainTransform
from gan_style.data.values import ValueRange
from tests.conftest import composed

SIZES = [(300, 400), (400, 300), (256, 256), (257, 911), (120, 90)]


def official_size(mode: str, width: int, height: int, load: int, crop: int) -> tuple[int, int]:
    """Width and height as `data/base_dataset.py` of the official code computes them."""
    if "resize" in mode:
        width, height = load, load
    elif "scale_width" in mode and not (width == load and height >= crop):
        width, height = load, int(max(load * height / width, crop))
    if mode == "none":
        width, height = round(width / 4) * 4, round(height / 4) * 4
    return (crop, crop) if "crop" in mode else (width, height)


@pytest.mark.parametrize("mode", ["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"])
@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_those_of_the_official_code(mode: str, size: tuple[int, int]) -> None:
    width, height = size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    result = TrainTransform(100, 80, preprocess=mode)(image, 1)  # type: ignore[arg-type]
    assert result.shape[1::-1] == official_size(mode, width, height, 100, 80)


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("uint8", 4), ("uint16", 7), ("float32", 5)])
def test_any_type_and_number_of_channels_passes(dtype: str, channels: int) -> None:
    image = np.random.default_rng(0).uniform(0, 200, (60, 50, channels)).astype(dtype)
    for transform in (TrainTransform(40, 32, rotate=10), TrainTransform(90, 32), EvalTransform(20)):
        result = transform(image, 3)
        assert (result.dtype, result.shape[2]) == (image.dtype, channels)
    crop = TrainTransform(None, 32, flip=False)(image, 5)
    windows = np.lib.stride_tricks.sliding_window_view(image, (32, 32), axis=(0, 1))
    assert any(np.array_equal(crop.transpose(2, 0, 1), w) for row in windows for w in row)


def test_averaging_more_channels_than_opencv_takes_is_channel_by_channel() -> None:
    image = np.random.default_rng(0).integers(0, 65536, (60, 50, 7), np.uint16)
    whole = EvalTransform(20)(image)
    for c in range(7):
        np.testing.assert_array_equal(whole[..., c], EvalTransform(20)(image[..., c : c + 1])[..., 0])


def test_equal_seeds_keep_what_belongs_together_together() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    mask = (image[..., :1] > 127).astype(np.uint8)
    transform = TrainTransform(None, 32)
    for seed in range(8):
        np.testing.assert_array_equal(transform(mask, seed), (transform(image, seed)[..., :1] > 127).astype(np.uint8))


def test_rotation_and_jitter_are_off_until_asked_for() -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    plain = TrainTransform(64, 64)
    assert all(np.array_equal(plain(ramp, s), ramp) or np.array_equal(plain(ramp, s), ramp[:, ::-1]) for s in range(9))
    turned = TrainTransform(64, 64, flip=False, rotate=30)
    assert not np.array_equal(turned(ramp, 0)[0], turned(ramp, 0)[-1])
    jittered = TrainTransform(64, 64, flip=False, jitter=0.5)
    levels = {int(jittered(ramp, s)[0, 40, 0]) for s in range(9)}
    assert len(levels) > 3
    assert np.array_equal(jittered(ramp, 4), jittered(ramp, 4))


def test_transforms_of_albumentations_come_from_the_config(tmp_path: Path) -> None:
    fill(tmp_path, 2, (40, 40))
    blur = "data.augment=[{_target_: albumentations.GaussianBlur, p: 1.0, blur_limit: [7, 7]}]"
    words = ["data=folders", f"data.root={tmp_path}", "data.image_size=32", "data.load_size=32", "run_dir=x", "name=x"]
    sharp, soft = (build(composed(*words, *more)["data"]) for more in ((), (blur,)))
    assert isinstance(soft.transform.augment[0], albumentations.GaussianBlur)
    for data in (sharp, soft):
        data.setup()
    roughness = [np.abs(np.diff(data.train_set[0]["A"].numpy().astype(int))).mean() for data in (sharp, soft)]
    assert roughness[1] < 0.5 * roughness[0]
    with pytest.raises(UserError, match="Blurr"):
        build(composed(*words, blur.replace("GaussianBlur", "Blurr"))["data"])


def fill(root: Path, count: int, size: tuple[int, int], **more: int) -> None:
    for domain in "AB":
        folder = root / f"train{domain}"
        folder.mkdir(parents=True)
        for i in range(count + more.get(domain, 0)):
            noise = np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8)
            Image.fromarray(noise).save(folder / f"{i}.png")


def test_what_an_epoch_is_can_be_chosen(tmp_path: Path) -> None:
    fill(tmp_path, 3, (20, 20), B=4)
    for epoch, length in (("longest", 7), ("A", 3), ("B", 7), (50, 50)):
        data = FoldersDataModule(str(tmp_path), image_size=16, load_size=16, epoch=epoch)  # type: ignore[arg-type]
        data.setup()
        assert data.epoch_length == length


def test_pictures_of_their_own_sizes_cannot_be_stacked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.preprocess=scale_width gives pictures of their own sizes"):
        FoldersDataModule(str(tmp_path), preprocess="scale_width", batch_size=2)
    with pytest.raises(UserError, match=r"data\.preprocess=scale_width needs the width"):
        FoldersDataModule(str(tmp_path), preprocess="scale_width", load_size=None)
    fill(tmp_path, 2, (30, 40))
    data = FoldersDataModule(str(tmp_path), preprocess="scale_width", load_size=20, image_size=12)
    data.setup()
    assert next(iter(data.train_dataloader()))["A"].shape == (1, 3, 15, 20)
    assert next(iter(data.val_dataloader()))["A"].shape == (1, 3, 12, 12)


def test_domains_of_different_kinds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for domain in ("A", "B"):
        for i in range(3):
            array = rng.integers(0, 4096, (20, 24, 2)).astype(np.uint16)
            if domain == "B":
                array = rng.uniform(-1000, 2000, (20, 24, 1)).astype(np.float32)
            save_image(array, tmp_path / f"train{domain}" / f"{i}.tif")
    data = FoldersDataModule(
        str(tmp_path),
        image_size=16,
        load_size=16,
        dtype={"A": "uint16", "B": "float32"},
        low={"B": -1000.0},
        high={"A": 4095, "B": 2000.0},
        channels={"A": 2, "B": 1},
    )
    data.setup()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert (batch["A"].shape, batch["B"].shape) == ((1, 2, 16, 16), (1, 1, 16, 16))
    for domain in "AB":
        assert batch[domain].dtype == torch.float32
        assert batch[domain].abs().max() <= 1
        assert batch[domain].std() > 0.2
    assert data.channels == {"A": 2, "B": 1}
    described = data.describe()["domains"]
    assert described["A"] == {"name": "A", "dtype": "uint16", "low": 0.0, "high": 4095.0, "channels": 2}
    assert described["B"] == {"name": "B", "dtype": "float32", "low": -1000.0, "high": 2000.0, "channels": 1}
    assert [sample.shape[1] for sample in data.sample_images(2)] == [2, 1]


def tried(*nodes: object, dtype: str = "uint8", channels: int = 3, **settings: object) -> None:
    transform = TrainTransform(20, 16, augment=nodes, **settings)  # type: ignore[arg-type]
    values = ValueRange.of(dtype, *((-1000, 1000) if dtype == "float32" else (None, None)), channels)  # type: ignore[arg-type]
    transform.check_augmentation({"A": ValueRange(), "B": values})


def test_what_augmentation_would_spoil_is_refused_before_training() -> None:
    blur = albumentations.GaussianBlur(p=1.0)
    tried(blur, jitter=0.2)
    tried(albumentations.OneOf([blur, albumentations.GaussNoise()], p=0.5))
    tried(albumentations.VerticalFlip(), dtype="float32", channels=7)
    for wrong, options, sentence in [
        ((), {"jitter": 0.1, "dtype": "float32"}, "but domain B is float32 of 3"),
        ((), {"jitter": 0.1, "channels": 4}, "but domain B is uint8 of 4"),
        ((blur,), {"dtype": "uint16"}, "but domain B is uint16 of 3"),
        (("x",), {}, "'x', which is no transform of albumentations"),
        ((torch.nn.Identity(),), {}, "which is no transform of albumentations"),
        ((albumentations.Resize(9, 9),), {}, r"gives pictures of 9x9 \(height x width\), but data\.image_size is 16"),
        ((albumentations.ToFloat(),), {}, "turns uint8 pictures of domain A into another kind"),
        ((albumentations.ToGray(num_output_channels=1, p=1.0),), {}, "domain A"),
        ((albumentations.FDA(p=1.0),), {}, "fails on a picture of domain A"),
    ]:
        with pytest.raises(UserError, match=sentence):
            tried(*wrong, **options)  # type: ignore[arg-type]


def test_pictures_to_look_at_keep_their_shape_where_training_does() -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = 200  # the middle
    for mode in ("crop", "scale_width_and_crop"):
        assert (EvalTransform(20, mode)(wide) == 200).all()  # type: ignore[arg-type]
    assert not (EvalTransform(20)(wide) == 200).all()
