"""Pictures, masks and styles of every kind that a caller may give, and those that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data.images import read_image
from gan_style.inference import images
from gan_style.inference.images import Given, given_image, given_mask, style_pairs
from gan_style.inference.styles import Style

NOISE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)


def files(folder: Path) -> list[Path]:
    """One picture of each kind that Pillow and the reader could see differently."""
    names = ("grey16.png", "alpha.png", "palette.png", "turned.jpg", "turned.tif", "cmyk.jpg", "bits.png")
    paths = [folder / name for name in names]
    Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257 + 99).save(paths[0])
    Image.fromarray(np.dstack([NOISE, NOISE[..., :1]])).save(paths[1])
    Image.fromarray(NOISE).quantize(8).save(paths[2], transparency=3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(NOISE).save(paths[3], exif=exif)
    Image.fromarray(NOISE).save(paths[4], exif=exif)
    Image.fromarray(NOISE).convert("CMYK").save(paths[5])
    Image.fromarray(NOISE[..., 0] > 100).save(paths[6])
    return paths


def test_a_pil_picture_is_read_as_its_file(tmp_path: Path) -> None:
    for path in files(tmp_path):
        expected = given_image(path).images
        with Image.open(path) as image:
            assert torch.equal(given_image(image).images, expected), path.name
            assert torch.equal(given_image(image.copy()).images, expected), f"{path.name}, already decoded"
        assert expected.shape[-2:] == read_image(path).shape[:2]


def test_every_kind_is_shortened_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(NOISE).save(path)
    tensor = torch.from_numpy(NOISE.copy()).permute(2, 0, 1) / 127.5 - 1
    for image in (path, str(path), NOISE, Image.fromarray(NOISE), tensor, tensor[None]):
        given = given_image(image, side=10)
        assert given.images.shape == (1, 3, 6, 10)
        assert given.size == (12, 20)
        assert torch.allclose(given.images, given_image(NOISE, side=10).images, atol=0.51 / 127.5)
    assert given_image(tensor, side=20).images.shape == (1, 3, 12, 20)


NOT_A_IMAGE = [
    (None, "a value of type NoneType is no picture: give a path"),
    (3, "a value of type int is no picture"),
    (NOISE[..., :1], "has 1 channel, but this model takes pictures of 3"),
    (NOISE[..., :2], "has 2 channels"),
    (np.dstack([NOISE, NOISE[..., :1]]), "has 4 channels"),
    (torch.zeros(1, 8, 8), "has 1 channel"),
    (torch.zeros(2, 4, 8, 8), "has 4 channels"),
    (NOISE[..., 0], "must be uint8 [H, W, C] and not empty, not uint8 [12, 20]"),
    (NOISE[:0], "not uint8 [0, 20, 3]"),
    (NOISE / 255, "not float64 [12, 20, 3]"),
    (torch.zeros(0, 3, 8, 8), "float [C, H, W] or [B, C, H, W] and not empty, not torch.float32 [0, 3, 8, 8]"),
    (torch.zeros(8, 8), "not torch.float32 [8, 8]"),
    (torch.zeros(3, 8, 8, dtype=torch.uint8), "not torch.uint8 [3, 8, 8]"),
    (torch.full((3, 8, 8), float("nan")), "holds values that are NaN or infinite"),
]


@pytest.mark.parametrize(("image", "message"), NOT_A_IMAGE)
def test_what_is_no_picture_is_one_sentence(image: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        given_image(image)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


CONTENT = Given(torch.zeros(1, 3, 12, 20), (12, 20))
HALF = np.zeros((12, 20), np.uint8)
HALF[:, 10:] = 255


def test_masks_are_0_to_1_whatever_they_are_given_as(tmp_path: Path) -> None:
    expected = torch.from_numpy(HALF / 255).float()[None, None]
    Image.fromarray(HALF).save(tmp_path / "mask.png")
    plane = expected[0, 0]
    kinds = (tmp_path / "mask.png", HALF, HALF[..., None], Image.fromarray(HALF), plane, plane[None], expected)
    for mask in (*kinds, plane.bool(), plane.double(), HALF / 255, HALF > 0):
        assert torch.equal(given_mask(mask, "a", CONTENT), expected)
    assert torch.equal(given_mask(plane * 0.25, "a", CONTENT), expected * 0.25)


def test_a_mask_is_shortened_with_its_content() -> None:
    short = Given(torch.zeros(1, 3, 6, 10), (12, 20))
    for mask in (HALF, torch.from_numpy(HALF / 255)):
        resized = given_mask(mask, "a", short)
        assert resized.shape == (1, 1, 6, 10)
        assert torch.equal(resized[0, 0, 0], torch.tensor([0.0] * 5 + [1.0] * 5))
    with pytest.raises(UserError, match=r"the mask of style a is 8x12, but the content is 20x12 \(width x height\)"):
        given_mask(HALF[:, :8], "a", short)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.full((12, 20), -1.0), "has values outside"),
        (torch.full((12, 20), 255.0), "has values outside"),
        (torch.full((12, 20), float("nan")), "has values outside"),
        (torch.zeros(3, 12, 20), r"must be \[H, W\], \[1, H, W\] or \[1, 1, H, W\]"),
        (torch.zeros(20), "must be"),
        (np.array([None]), "must be"),
        (torch.zeros(8, 8), "is 8x8, but the content is 20x12"),
        (7, "is no picture"),
    ],
)
def test_a_wrong_mask_is_one_sentence(mask: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        given_mask(mask, "a", CONTENT)


def test_styles_are_one_pairs_or_a_mapping() -> None:
    style = Style("a", None, 0.25)
    assert style_pairs("wave.png") == [("wave.png", 1.0)]
    assert style_pairs({"a": 1, "b": 2}) == [("a", 1), ("b", 2)]
    assert style_pairs([("a", 1), ["b", 2]]) == [("a", 1), ("b", 2)]
    assert style_pairs(style) == style_pairs([style]) == [(style, 0.25)]
    for wrong in (["a.png", "b.png"], ("a.png", 0.5), [("a", 1, 2)], [NOISE]):
        with pytest.raises(UserError, match="without a weight: give one picture, or pairs"):
            style_pairs(wrong)


def test_a_mask_of_another_size_is_refused_before_it_becomes_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    content = given_image(torch.zeros(3, 8, 8))

    def no_floats(array: object) -> None:
        raise AssertionError("a mask of 168 million pixels would take 2 GB as floats")

    monkeypatch.setattr(images, "to_tensor", no_floats)
    with pytest.raises(UserError, match="the mask of style s is 5x9, but the content is 8x8"):
        given_mask(np.zeros((9, 5, 3), np.uint8), "s", content)
