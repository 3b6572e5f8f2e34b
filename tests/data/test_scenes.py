"""The built-in dataset: reproducible, pixel aligned, the same at every size, and worth translating."""

import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from gan_style.data.scenes import draw_scene

COUNT = 16
LUMA = np.array([0.299, 0.587, 0.114])


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two pictures on [0, 255], in dB."""
    error = np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2)
    return float(10 * np.log10(255.0**2 / error))


def mean_psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.mean([psnr(a, b) for a, b in zip(first, second, strict=True)]))


def transfer_colours(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Gives `source` the mean and deviation per channel of `target`, over all pictures."""
    axes = (0, 1, 2)
    scaled = (source - source.mean(axes)) / source.std(axes) * target.std(axes) + target.mean(axes)
    return np.clip(scaled, 0, 255)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    return np.stack([draw_scene(0, i, 64, "A") for i in range(COUNT)])


@pytest.fixture(scope="module")
def paintings() -> np.ndarray:
    return np.stack([draw_scene(0, i, 64, "B") for i in range(COUNT)])


@pytest.mark.parametrize("domain", ["A", "B"])
@pytest.mark.parametrize("size", [16, 17, 64, 200])
def test_shape_and_dtype(domain: str, size: int) -> None:
    image = draw_scene(3, 5, size, domain)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    assert image.std() > 15


@pytest.mark.parametrize("domain", ["A", "B"])
def test_small_pictures_of_many_scenes_draw_without_errors(domain: str) -> None:
    for index in range(60):
        assert draw_scene(1, index, 16, domain).std() > 10


def test_a_draw_does_not_depend_on_earlier_draws(photos: np.ndarray, paintings: np.ndarray) -> None:
    for index in (9, 2):
        np.testing.assert_array_equal(draw_scene(0, index, 64, "B"), paintings[index])
        np.testing.assert_array_equal(draw_scene(0, index, 64, "A"), photos[index])


def test_another_process_draws_the_same() -> None:
    code = (
        "import hashlib; from gan_style.data.scenes import draw_scene; "
        "print(hashlib.sha256(b''.join(draw_scene(4, 11, 48, d).tobytes() for d in 'BA')).hexdigest())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(b"".join(draw_scene(4, 11, 48, d).tobytes() for d in "BA")).hexdigest()
    assert result.stdout.strip() == here


@pytest.mark.parametrize("domain", ["A", "B"])
@pytest.mark.parametrize("size", [32, 96, 256])
def test_all_sizes_show_the_same_composition(domain: str, size: int) -> None:
    for index in range(4):
        small = draw_scene(0, index, 32, domain)
        large = cv2.resize(draw_scene(0, index, size, domain), (32, 32), interpolation=cv2.INTER_AREA)
        assert correlation(small, large) > 0.93


def test_scenes_differ_by_index_and_seed(photos: np.ndarray) -> None:
    for i in range(COUNT):
        for j in range(i):
            assert psnr(photos[i], photos[j]) < 30
    assert psnr(draw_scene(1, 0, 64, "A"), photos[0]) < 30


def test_domains_show_the_same_scene(photos: np.ndarray, paintings: np.ndarray) -> None:
    own = [correlation(a @ LUMA, b @ LUMA) for a, b in zip(photos, paintings, strict=True)]
    # Light stays light and dark stays dark, so the right mapping is easier than an inverted one.
    assert min(own) > 0.7
    assert np.mean(own) > 0.85


def test_translating_takes_more_than_colour_statistics(photos: np.ndarray, paintings: np.ndarray) -> None:
    assert mean_psnr(photos, paintings) < 15
    assert mean_psnr(transfer_colours(photos, paintings), paintings) < 18
    assert mean_psnr(transfer_colours(paintings, photos), photos) < 18


def test_random_strokes_are_a_small_part_of_a_painting(paintings: np.ndarray) -> None:
    repainted = np.stack([draw_scene(0, i, 64, "B", stroke_seed=1) for i in range(COUNT)])
    assert 20 < mean_psnr(paintings, repainted) < 35
    assert mean_psnr(paintings, repainted) > 24


def test_photos_ignore_the_stroke_seed() -> None:
    np.testing.assert_array_equal(draw_scene(0, 1, 32, "A", stroke_seed=5), draw_scene(0, 1, 32, "A"))


@pytest.mark.parametrize(("size", "domain"), [(8, "A"), (2048, "A"), (64, "C")])
def test_bad_requests_are_refused(size: int, domain: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        draw_scene(0, 0, size, domain)
