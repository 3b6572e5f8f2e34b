"""The facts of single files, whatever is in them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from gan_style.data.inspection.duplicates import MAX_PARTNERS, MIRRORED_SIGNS, find_pairs
from gan_style.data.inspection.facts import ImageFacts, Split, Unreadable, gather, perceptual_hash, read_facts
from tests.data.inspection.image_sets import save, scene


def facts(path: Path) -> ImageFacts:
    found = read_facts(path)
    assert isinstance(found, ImageFacts)
    return found


def test_a_photo_is_described(tmp_path: Path) -> None:
    pixels = scene(0, "A", side=64)[:48]
    found = facts(save(pixels, tmp_path / "x.png"))
    assert (found.kind, found.mode, found.width, found.height) == ("PNG", "RGB", 64, 48)
    assert (found.channels, found.bits, found.orientation) == (3, 8, 1)
    assert (found.alpha, found.grey, found.blank, found.has_wrong_suffix) == (False, False, False, False)
    assert (found.low, found.high) == (pixels.min(), pixels.max())
    assert found.bytes == (tmp_path / "x.png").stat().st_size
    np.testing.assert_allclose(found.mean, pixels.mean(axis=(0, 1)), atol=0.01)
    np.testing.assert_allclose(found.std, pixels.std(axis=(0, 1)), atol=0.01)
    assert found.thumbnail.shape == (16, 16, 3)


def test_the_digest_is_of_the_pixels_and_their_shape(tmp_path: Path) -> None:
    pixels = scene(0, "A", side=64)
    digest = facts(save(pixels, tmp_path / "x.png")).digest
    assert facts(save(pixels, tmp_path / "x.bmp")).digest == digest
    assert facts(save(pixels.reshape(32, 128, 3), tmp_path / "y.png")).digest != digest
    assert facts(save(pixels ^ 1, tmp_path / "z.png")).digest != digest


def test_depth_transparency_and_orientation_are_seen(tmp_path: Path) -> None:
    wide = np.linspace(300, 4095, 64 * 48).reshape(48, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "wide.png"), wide)
    deep = facts(tmp_path / "wide.png")
    assert (deep.bits, deep.channels, deep.low, deep.high, deep.grey) == (16, 1, 300, 4095, True)
    clear = facts(save(np.full((8, 8, 4), 9, np.uint8), tmp_path / "clear.png"))
    assert (clear.alpha, clear.channels, clear.mode) == (True, 4, "RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = facts(save(scene(0, "A", side=64)[:48], tmp_path / "turned.jpg", exif=exif))
    assert (turned.orientation, turned.width, turned.height) == (6, 48, 64)


def test_grey_jpegs_stored_as_colour_are_grey_and_pale_colours_are_not(tmp_path: Path) -> None:
    grey = np.stack([scene(0, "A", side=64)[..., 0]] * 3, axis=-1)
    assert facts(save(grey, tmp_path / "grey.jpg", quality=60)).grey
    grey[:16, :16, 0] ^= 8
    assert not facts(save(grey, tmp_path / "pale.png")).grey


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp", ".JPEG", ".TIFF"])
def test_content_and_suffix_are_compared(tmp_path: Path, suffix: str) -> None:
    path = save(scene(0, "A", side=64), tmp_path / f"x{suffix}")
    assert not facts(path).has_wrong_suffix
    assert facts(path.rename(tmp_path / ("y.png" if suffix != ".png" else "y.jpg"))).has_wrong_suffix


def test_an_unreadable_file_is_a_sentence_and_stops_nothing(tmp_path: Path) -> None:
    good = save(scene(0, "A", side=64), tmp_path / "good.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:200])
    told: list[tuple[int, int]] = []
    splits = gather({"testB": [good], "trainA": [bad, good]}, lambda done, total: told.append((done, total)))
    assert list(splits) == ["trainA", "testB"]
    assert [image.path for image in splits["trainA"].images] == [good]
    (sentence,) = splits["trainA"].unreadable
    assert isinstance(sentence, Unreadable)
    assert "bad.png is cut off" in sentence.reason
    assert splits["trainA"].count == 2
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("domain", ["A", "B"])
def test_the_hash_of_the_mirror_image_follows_from_the_hash(domain: str) -> None:
    small = cv2.resize(scene(5, domain), (32, 32), interpolation=cv2.INTER_AREA)
    mirrored = perceptual_hash(np.ascontiguousarray(small[:, ::-1]))
    assert (mirrored ^ perceptual_hash(small) ^ int(MIRRORED_SIGNS)).bit_count() <= 2


def test_a_film_of_like_frames_does_not_become_millions_of_pairs(tmp_path: Path) -> None:
    rng, still = np.random.default_rng(0), scene(0, "A", side=64)
    paths = [
        save(np.clip(still + rng.normal(0, 2, still.shape), 0, 255).astype(np.uint8), tmp_path / f"{i}.png")
        for i in range(200)
    ]
    splits = gather({"trainA": paths})
    pairs = find_pairs(splits)
    assert len({pair.b.path for pair in pairs}) == 199
    assert len(pairs) <= 200 * 199 // 2
    assert MAX_PARTNERS < 199


def test_nothing_to_compare_is_no_pair() -> None:
    assert find_pairs({}) == []
    assert find_pairs({"trainA": Split("trainA")}) == []
