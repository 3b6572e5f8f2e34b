"""Bounds of uploads, samples and painted regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from gan_style.apps.studio import images
from gan_style.apps.studio.images import COLOURS, check_upload, draw_samples, painted_regions, shown
from gan_style.core.errors import UserError
from gan_style.data.images import read_image


def test_uploads_are_bounded_in_bytes_and_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (60, 40)).save(path)
    assert check_upload(path) == path
    monkeypatch.setattr(images, "MAX_PIXELS", 2000)
    with pytest.raises(UserError, match=r"photo\.png has 60x40 pixels, and 0 million are allowed: shrink it first"):
        check_upload(path)
    monkeypatch.setattr(images, "MAX_BYTES", 20)
    with pytest.raises(UserError, match=r"photo\.png has 0 MB, and 0 MB are allowed: save it smaller"):
        check_upload(path)


def test_what_is_no_picture_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_text("not a picture")
    with pytest.raises(UserError, match="photo"):
        check_upload(path)


def test_samples_are_drawn_pictures_that_differ(tmp_path: Path) -> None:
    paths = [*draw_samples(tmp_path, "A"), *draw_samples(tmp_path, "B")]
    arrays = [read_image(path) for path in paths]
    assert len({array.tobytes() for array in arrays}) == len(paths) == 10
    assert all(array.shape == (384, 384, 3) for array in arrays)
    assert shown(paths[0], 100).shape == (100, 100, 3)


def stroke(colour: str, rows: slice, alpha: int = 255) -> np.ndarray:
    layer = np.zeros((40, 60, 4), np.uint8)
    layer[rows] = (*ImageColor.getrgb(colour), alpha)
    return layer


def test_each_colour_is_the_region_of_its_style() -> None:
    layer = stroke(COLOURS[0], slice(0, 10))
    layer[10:20] = stroke(COLOURS[2], slice(10, 20))[10:20]
    masks = painted_regions([layer], (60, 40))
    assert masks is not None
    assert [mask is not None for mask in masks] == [True, False, True, False]
    first, third = (np.asarray(mask) for mask in (masks[0], masks[2]))
    assert first[:10].min() == 255
    assert first[10:].max() == 0
    assert third[10:20].min() == 255
    assert third[:10].max() == third[20:].max() == 0


def test_a_later_stroke_covers_an_earlier_one_and_masks_never_overlap_at_any_size() -> None:
    masks = painted_regions([stroke(COLOURS[0], slice(0, 30)), stroke(COLOURS[1], slice(20, 40))], (123, 77))
    assert masks is not None
    total = sum(np.asarray(mask).astype(int) for mask in masks if mask is not None)
    assert total.shape == (77, 123)
    assert total.max() <= 256  # rounding of two resized masks
    assert np.asarray(masks[0])[:35].min() == 255
    assert np.asarray(masks[1])[45:].min() == 255


def test_a_soft_stroke_is_a_soft_mask_and_nothing_painted_is_none() -> None:
    masks = painted_regions([stroke(COLOURS[3], slice(0, 40), alpha=128)], (60, 40))
    assert masks is not None
    assert np.asarray(masks[3]).max() == 128
    assert painted_regions([], (60, 40)) is None
    assert painted_regions([None, np.zeros((40, 60, 4), np.uint8)], (60, 40)) is None
