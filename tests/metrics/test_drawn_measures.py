"""Measures against a truth that can be sampled: each written another way, with known values and planted cases."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.metrics.detail import detail, energy_ratio, fine_detail, fine_energies, gradient_energies
from gan_style.metrics.grid import amplitude, fold, folded, grid_excess, strides_of
from gan_style.metrics.labels import LinearJudge, label_iou, mean_iou, overlaps
from gan_style.metrics.local import energy_distance, local_distance
from gan_style.metrics.objects import TREE, invented_objects, lost_objects
from gan_style.metrics.spread import spread
from gan_style.metrics.texture import PATCHES, texture_distance, texture_patches
from gan_style.networks.filters import blur


def noise(*shape: int, seed: int = 0, scale: float = 0.5) -> Tensor:
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale).clamp(-1, 1)


def levels(image: Tensor) -> np.ndarray:
    """[3, H, W] in [-1, 1] -> [H, W, 3] in [0, 255]."""
    return ((image.double().numpy() + 1) * 127.5).transpose(1, 2, 0)


def cv_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    side = 2 * int(3 * sigma + 0.5) + 1
    return cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REPLICATE).reshape(image.shape)


def test_blur_is_that_of_opencv() -> None:
    image = noise(1, 3, 20, 17)
    np.testing.assert_allclose(levels(blur(image, 1.5)[0]), cv_blur(levels(image[0]), 1.5), atol=1e-3)


# Detail


def test_detail_in_loops() -> None:
    image, samples = noise(1, 3, 12, 10), noise(1, 2, 3, 12, 10, seed=1, scale=0.2)

    def gradients(x: Tensor) -> float:
        grey = levels(x).mean(2)
        across = np.mean([(grey[i, j + 1] - grey[i, j]) ** 2 for i in range(12) for j in range(9)])
        return float(across + np.mean([(grey[i + 1, j] - grey[i, j]) ** 2 for i in range(11) for j in range(10)]))

    def fine(x: Tensor) -> float:
        return float(((levels(x) - cv_blur(levels(x), 1.0)) ** 2).mean())

    for function, energy in ((detail, gradients), (fine_detail, fine)):
        expected = energy(image[0]) / np.mean([energy(one) for one in samples[0]])
        assert float(function(image, samples)[0]) == pytest.approx(expected, rel=1e-4)
        assert float(function(samples[:, 0], samples[:, :1])[0]) == pytest.approx(1)
        assert float(function(0.5 * image, image[:, None])[0]) == pytest.approx(0.25, rel=1e-5), "an energy"
        assert float(function(blur(image, 1.0), image[:, None])[0]) < 0.1
        assert math.isfinite(float(function(image, torch.zeros(1, 1, 3, 12, 10))[0]))


def test_detail_of_a_domain_is_that_of_its_other_pictures() -> None:
    real, made = noise(6, 3, 12, 10), noise(4, 3, 12, 10, seed=1, scale=0.2)
    for energies, of_one in ((gradient_energies, detail), (fine_energies, fine_detail)):
        expected = np.mean([float(of_one(image[None], real[None])[0]) for image in made])
        assert float(energy_ratio(energies(real), energies(made))) == pytest.approx(expected, rel=1e-4)
        assert float(energy_ratio(energies(real), energies(real))) == 1
        assert math.isfinite(float(energy_ratio(energies(torch.zeros(2, 3, 12, 10)), energies(made))))


# Local statistics


def statistics_in_numpy(image: Tensor) -> tuple[np.ndarray, np.ndarray]:
    x = levels(image)
    energy = cv_blur((x - cv_blur(x, 1.0)) ** 2, 3.0)
    return cv_blur(x, 2.0), 2 * np.sqrt(energy + 1)


def distance_in_numpy(a: Tensor, b: Tensor) -> float:
    pairs = zip(statistics_in_numpy(a), statistics_in_numpy(b), strict=True)
    return float(sum(np.linalg.norm(x - y, axis=2).mean() for x, y in pairs))


def test_local_and_energy_distance_in_numpy() -> None:
    images, samples = noise(2, 3, 24, 20), noise(2, 3, 3, 24, 20, seed=1)
    for image, true, local, energy in zip(
        images, samples, local_distance(images, samples[:, 0]), energy_distance(images, samples), strict=True
    ):
        assert float(local) == pytest.approx(distance_in_numpy(image, true[0]), rel=1e-4)
        to_truth = np.mean([distance_in_numpy(image, one) for one in true])
        among = np.mean([distance_in_numpy(true[i], true[j]) for i in range(3) for j in range(3) if i != j])
        assert float(energy) == pytest.approx(2 * to_truth - among, rel=1e-4)
    assert local_distance(images, images).tolist() == [0, 0]
    assert energy_distance(images, images[:, None]).tolist() == [0, 0], "one sample has no spread"


def test_other_noise_wins_where_a_naive_distance_prefers_the_mean() -> None:
    """Truths are independent noise around one picture: pixel by pixel their mean is nearer than they are."""
    base = noise(4, 3, 5, 5, seed=9)
    base = torch.nn.functional.interpolate(base, (32, 32), mode="bicubic").clamp(-0.6, 0.6)
    samples = base[:, None] + 0.15 * torch.randn(4, 9, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    painter, mean, others = samples[:, 0], base, samples[:, 1:]

    def naive(x: Tensor) -> float:
        return float((x[:, None] - others).square().mean((2, 3, 4)).sqrt().mean())

    assert naive(mean) < naive(painter)
    assert (energy_distance(mean, others) > 1.5 * energy_distance(painter, others)).all()
    assert (local_distance(mean, others[:, 0]) > 1.5 * local_distance(painter, others[:, 0])).all()


# Texture


def test_texture_of_sorted_projections() -> None:
    """Sets of one size, in NumPy by the mean of sorted differences along each direction."""
    a, b = noise(3, 3, 16, 16), noise(3, 3, 16, 16, seed=1, scale=0.1)
    windows = []
    for images in (a, b):
        fine = [levels(one) - cv_blur(levels(one), 1.5) for one in images]
        places = torch.randperm(100, generator=torch.Generator().manual_seed(0))[:PATCHES].tolist()
        rows = [f[p // 10 : p // 10 + 7, p % 10 : p % 10 + 7].transpose(2, 0, 1).ravel() for f in fine for p in places]
        windows.append(np.stack(rows))
    axes = torch.randn(147, 32, generator=torch.Generator().manual_seed(5), dtype=torch.float64).numpy()
    axes /= np.linalg.norm(axes, axis=0)
    expected = np.abs(np.sort(windows[0] @ axes, 0) - np.sort(windows[1] @ axes, 0)).mean()
    found = texture_distance(texture_patches(a), texture_patches(b), directions=32, seed=5)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_texture_sees_a_blur_and_no_colour_or_place() -> None:
    images = noise(8, 3, 32, 32)
    real, other = texture_patches(noise(8, 3, 32, 32, seed=1)), texture_patches(images)
    assert texture_patches(images[:1]).shape == (1, PATCHES * 147)
    assert torch.equal(texture_patches(images)[:1], texture_patches(images[:1])), "not of the batch"
    floor = float(texture_distance(real, other))
    assert float(texture_distance(other, other)) == 0
    shifted = texture_patches(0.5 * noise(8, 3, 32, 32) + 0.3)
    assert float(texture_distance(texture_patches(0.5 * images), shifted)) == pytest.approx(0, abs=1e-3)
    assert float(texture_distance(real, texture_patches(blur(images, 1.0)))) > 10 * floor
    assert float(texture_distance(real, other[:3])) < 3 * floor, "sets of other sizes"


# Grid


def planted(stride: int, deviation: float, side: int) -> Tensor:
    """A pattern of this deviation (of 255) that repeats at a stride, and not at its half."""
    cell = torch.randn(stride, stride, generator=torch.Generator().manual_seed(stride))
    half = stride // 2
    if half > 1:
        cell = cell - cell.unflatten(0, (2, half)).unflatten(2, (2, half)).mean((0, 2)).repeat(2, 2)
    cell = (cell - cell.mean()) / cell.std(correction=0) * deviation / 127.5
    return cell.repeat(side // stride, side // stride)


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_a_planted_grid_is_measured_at_each_stride(stride: int) -> None:
    images, real = noise(16, 3, 64, 64, scale=0.2), folded(noise(16, 3, 64, 64, seed=1, scale=0.2))
    assert float(grid_excess(real, folded(images))) < 0.5
    for deviation in (2.0, 6.0):
        found = float(grid_excess(real, folded(images + planted(stride, deviation, 64))))
        assert found == pytest.approx(deviation, abs=0.5)


def test_fold_and_amplitude_by_the_spectrum() -> None:
    """The deviation of a cell is the energy of the spectrum at the multiples of 1/p, and pairs alone are counted."""
    pattern = planted(8, 3.0, 64)
    spectrum = torch.fft.fft2(pattern.double()).abs().square() / 64**4
    spectrum[0, 0] = 0
    expected = spectrum[::8, ::8].sum().sqrt()
    cells = fold(pattern.expand(2, 3, 64, 64), 8)
    assert float(amplitude(cells)) == pytest.approx(float(expected), rel=2e-3)  # but for the borders
    alone = torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0))
    pairs = [float((alone[i] * alone[j]).mean()) for i in range(5) for j in range(5) if i != j]
    assert float(amplitude(alone)) == pytest.approx(math.sqrt(max(0.0, float(np.mean(pairs)))), abs=1e-6)


def test_a_ramp_has_hardly_a_grid_and_small_pictures_have_fewer_strides() -> None:
    ramp = torch.linspace(-1, 1, 64).expand(2, 3, 64, 64)
    assert float(amplitude(fold(ramp * 127.5, 2))) < 0.1, "of 255; the borders alone"
    assert strides_of(256) == strides_of(64) == [2, 4, 8, 16]
    assert strides_of(32) == [2, 4, 8]
    with pytest.raises(UserError, match="too small to look for a grid"):
        folded(torch.zeros(1, 3, 7, 7))


# Labels and objects


def test_iou_in_loops() -> None:
    random = np.random.default_rng(0)
    found, labels = random.integers(0, 4, (2, 3, 9, 8))
    maps = torch.from_numpy(found), torch.from_numpy(labels)
    for i, value in enumerate(label_iou(*maps)):
        shares = []
        for kind in range(5):
            a, b = found[i] == kind, labels[i] == kind
            if a.any() or b.any():
                shares.append((a & b).sum() / (a | b).sum())
        assert float(value) == pytest.approx(np.mean(shares))
    both, either = overlaps(*maps)
    pooled = [(found == k)[labels == k].sum() / ((found == k) | (labels == k)).sum() for k in range(4)]
    assert float(mean_iou(both.sum(0), either.sum(0))) == pytest.approx(np.mean(pooled))
    assert label_iou(maps[0], maps[0]).tolist() == [1, 1, 1]


def test_the_judge_learns_colours_and_textures_and_no_places() -> None:
    """Materials: two colours, and two that differ in texture alone; trained with each in its quarter, turned after."""

    def image(seed: int) -> Tensor:
        image = noise(1, 3, 32, 32, seed=seed, scale=0.03)
        image[:, 0, :16, :16] += 0.6
        image[:, 2, :16, 16:] += 0.6
        image[:, :, 16:, 16:] += noise(1, 1, 16, 16, seed=seed + 99, scale=0.5)
        return image

    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[:, :16, 16:], labels[:, 16:, :16], labels[:, 16:, 16:] = 1, 2, 3
    judge = LinearJudge(torch.cat([image(i) for i in range(6)]), labels.repeat(6, 1, 1), 4)
    assert judge.weights.shape == (28, 4)
    turned = image(50).flip(2, 3)
    assert float(label_iou(judge(turned), labels.flip(1, 2), 4)[0]) > 0.8
    with pytest.raises(UserError, match="are not those of pictures"):
        LinearJudge(image(0), labels[:, 1:], 4)
    with pytest.raises(UserError, match="from 0 to 2"):
        LinearJudge(image(0), labels, 3)


def test_objects_are_counted_and_outlines_are_not() -> None:
    def trees(*boxes: tuple[int, int, int, int]) -> Tensor:
        maps = torch.zeros(1, 64, 64, dtype=torch.long)
        for top, left, height, width in boxes:
            maps[0, top : top + height, left : left + width] = TREE
        return maps

    first, second, third = (10, 5, 12, 6), (30, 30, 10, 8), (50, 50, 10, 8)
    truth = trees(first, second)
    assert invented_objects(truth, truth).tolist() == lost_objects(truth, truth).tolist() == [0]
    assert lost_objects(trees(first), truth).tolist() == [1]
    assert invented_objects(trees(first), truth).tolist() == [0]
    assert invented_objects(trees(first, second, third), truth).tolist() == [1]
    grown = trees((8, 4, 15, 8), (28, 28, 14, 12))
    assert invented_objects(grown, truth).tolist() == lost_objects(grown, truth).tolist() == [0], "outlines"
    assert invented_objects(trees(first, second, (50, 50, 2, 2)), truth).tolist() == [0], "a speck"
    assert lost_objects(torch.zeros_like(truth), truth).tolist() == [2]


def test_spread_is_a_ratio_of_deviations() -> None:
    samples = noise(2, 6, 3, 8, 8, scale=0.2)
    several = samples.mean(1, keepdim=True) + 0.5 * (samples - samples.mean(1, keepdim=True))
    assert spread(several, samples).tolist() == pytest.approx([0.5, 0.5], rel=1e-4)
    assert spread(samples[:, :1].expand(-1, 4, -1, -1, -1), samples).tolist() == pytest.approx([0, 0], abs=1e-4)
    assert spread(several[:, :1], samples).isnan().all()
    assert spread(several, samples[:, :1].expand(-1, 4, -1, -1, -1)).isnan().all(), "one truth has no spread"
