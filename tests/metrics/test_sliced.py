"""The sliced Wasserstein distance against SciPy's filters and a NumPy version, and what it should tell apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.metrics.probe import blur
from gan_style.metrics.sliced import LaplacianPatches, laplacian_pyramid, patch_distance, sliced_wasserstein


def textures(seed: int, count: int = 24, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, side // 4, side // 4, generator=generator) * 2 - 1
    fine = torch.rand(count, 3, side, side, generator=generator) * 2 - 1
    return (0.5 * torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear") + 0.5 * fine).clamp(-1, 1)


@pytest.mark.parametrize("size", [(32, 32), (33, 46)])
def test_pyramid_is_that_of_the_papers_code(size: tuple[int, int]) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    taps = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(taps, taps)[None, None]
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    current, expected = x.numpy(), []
    for _ in range(2):
        small = ndimage.convolve(current, kernel, mode="mirror")[..., ::2, ::2]
        spread = np.zeros_like(current)
        spread[..., ::2, ::2] = small
        expected.append(current - ndimage.convolve(spread, kernel * 4, mode="mirror"))
        current = small
    for ours, theirs in zip(laplacian_pyramid(x, 3), [*expected, current], strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-12)


def test_distance_equals_a_numpy_version() -> None:
    """Karras et al. 2018: the same directions, everything else written again."""
    extract = LaplacianPatches(patches=8)
    real, fake = extract(textures(0)), extract(textures(1) * 0.5)
    ours = float(sliced_wasserstein(real, fake, patches=8, directions=64))
    generator, values = torch.Generator().manual_seed(0), []
    for level in range(2):
        sides = []
        for features in (real, fake):
            x = features.double().numpy().reshape(24, 2, 8, 3, 49)[:, level].reshape(-1, 3, 49)
            x = (x - x.mean(axis=(0, 2), keepdims=True)) / x.std(axis=(0, 2), keepdims=True)
            sides.append(x.reshape(-1, 147))
        axes = torch.randn(147, 64, dtype=torch.float64, generator=generator).numpy()
        axes /= np.sqrt((axes**2).sum(0))
        values.append(1000 * np.abs(np.sort(sides[0] @ axes, 0) - np.sort(sides[1] @ axes, 0)).mean())
    assert ours == pytest.approx(np.mean(values), rel=1e-9)


def test_patch_distance_is_on_the_real_sets_scale() -> None:
    """The NumPy version again, with the mean and the deviation of the real set for both."""
    extract = LaplacianPatches(patches=8)
    real, fake = extract(textures(0)), extract(textures(1) * 0.5)
    generator, values = torch.Generator().manual_seed(0), []
    for level in range(2):
        parts = [x.double().numpy().reshape(24, 2, 8, 3, 49)[:, level].reshape(-1, 3, 49) for x in (real, fake)]
        mean, deviation = parts[0].mean(axis=(0, 2), keepdims=True), parts[0].std(axis=(0, 2), keepdims=True)
        sides = [((x - mean) / deviation).reshape(-1, 147) for x in parts]
        axes = torch.randn(147, 64, dtype=torch.float64, generator=generator).numpy()
        axes /= np.sqrt((axes**2).sum(0))
        values.append(1000 * np.abs(np.sort(sides[0] @ axes, 0) - np.sort(sides[1] @ axes, 0)).mean())
    assert float(patch_distance(real, fake, patches=8, directions=64)) == pytest.approx(np.mean(values), rel=1e-9)


def test_patch_distance_sees_what_the_scale_of_each_set_forgives() -> None:
    """Half the contrast, other colours, hard edges: nothing to SWD, which brings each set to its own scale."""
    extract = LaplacianPatches(patches=16)
    whole = textures(0, count=48)
    real, other = whole[:24], whole[24:]
    fine = other - blur(other, 1.0)
    planted = {
        "contrast": other * 0.5,
        "colours": other * 0.5 + 0.4,
        "hard": other + 0.7 * fine,
        "blur": blur(other, 1),
    }

    def score(function: Callable[..., Tensor], images: Tensor) -> float:
        return float(function(extract(real), extract(images), patches=16, directions=64))

    for name, images in planted.items():
        assert score(patch_distance, images) > 2 * score(patch_distance, other), name
    for name in ("contrast", "colours"):
        assert score(sliced_wasserstein, planted[name]) < 1.3 * score(sliced_wasserstein, other), name


def test_nothing_for_the_same_set_and_more_for_more_blur() -> None:
    real, extract = textures(0), LaplacianPatches(patches=16)
    values = [
        float(sliced_wasserstein(extract(real), extract(blur(real, sigma)), patches=16, directions=128))
        for sigma in (0.3, 0.6, 1.0, 2.0)
    ]
    assert values == sorted(values)
    assert values[0] > 0
    features = extract(real)
    assert float(sliced_wasserstein(features, features, patches=16)) == 0


def test_colours_count_when_measured_by_the_real_set() -> None:
    extract = LaplacianPatches(patches=16)
    real, shifted = extract(textures(0) * 0.5), extract(textures(0) * 0.5 + 0.4)
    own, by_real = (float(sliced_wasserstein(real, shifted, patches=16, norm=n)) for n in ("own", "real"))  # type: ignore[arg-type]
    assert by_real > 5 * own


def test_sets_of_different_sizes_and_pictures_of_different_sizes() -> None:
    extract = LaplacianPatches(patches=16)
    real, fewer = extract(textures(0)), extract(textures(1, count=10))
    assert 0 < float(sliced_wasserstein(real, fewer, patches=16)) < 200
    with pytest.raises(UserError, match="one size"):
        sliced_wasserstein(real, extract(textures(0, side=64)), patches=16)
    with pytest.raises(UserError, match="too small"):
        extract(torch.zeros(1, 3, 8, 8))
