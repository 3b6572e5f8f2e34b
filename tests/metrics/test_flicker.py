"""Flicker scores against cases made by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from gan_style.metrics.flicker import SHIFTS, moved, shift_error, warp, warped_error


def smooth_texture(t: float, size: int = 48) -> torch.Tensor:
    """A sum of long waves, moved by t pixels to the right and t/2 down; known everywhere, so without a border."""
    places = torch.arange(size, dtype=torch.float64)
    x, y = places[None] - t, places[:, None] - t / 2
    return (0.5 * torch.sin(x / 7) + 0.4 * torch.cos(y / 9 + x / 15))[None, None].float()


def flow_of(x: float, y: float, size: int = 48) -> torch.Tensor:
    return torch.tensor([x, y], dtype=torch.float32)[None, :, None, None].expand(1, 2, size, size)


def test_a_still_picture_scores_zero() -> None:
    image = torch.rand(2, 3, 16, 20) * 2 - 1
    error = warped_error(image, image, torch.zeros(1, 2, 16, 20), torch.ones(2, 1, 16, 20))
    torch.testing.assert_close(error, torch.zeros(2), atol=1e-10, rtol=0)


@pytest.mark.parametrize("deviation", [0.02, 0.3])
def test_independent_noise_scores_twice_its_variance(deviation: float) -> None:
    image = torch.rand(1, 3, 256, 256)
    one, other = (image + deviation * torch.randn(1, 3, 256, 256) for _ in range(2))
    steady = torch.ones(1, 1, 256, 256)
    assert warped_error(one, other, flow_of(0, 0, 256), steady).item() == pytest.approx(2 * deviation**2, rel=0.02)
    moved_on = torch.roll(other, (3, 5), (2, 3))
    inside = F.pad(steady[..., 3:-3, 5:-5], (5, 5, 3, 3))
    for now, before, flow in ((moved_on, one, flow_of(-5, -3, 256)), (one, moved_on, flow_of(5, 3, 256))):
        assert warped_error(now, before, flow, inside).item() == pytest.approx(2 * deviation**2, rel=0.02)
        assert warped_error(now, before, -flow, inside).item() > 2 * deviation**2 + 0.05  # unrelated pixels


def test_a_texture_that_moves_with_the_known_flow_scores_nothing_but_interpolation() -> None:
    inside = F.pad(torch.ones(1, 1, 40, 40), (4, 4, 4, 4))
    now, before = smooth_texture(2.5), smooth_texture(0)
    along = warped_error(now, before, flow_of(-2.5, -1.25), inside).item()
    still = warped_error(now, before, flow_of(0, 0), inside).item()
    assert along < 1e-5  # bilinear: within h^2 / 8 of the second derivative, 0.012
    assert still == pytest.approx((now - before)[..., 4:-4, 4:-4].square().mean().item(), rel=1e-4)
    assert still > 0.01


def test_what_cannot_be_trusted_does_not_count() -> None:
    now, before = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    now[..., :4] = 1  # uncovered
    steady = torch.ones(1, 1, 8, 8)
    assert warped_error(now, before, flow_of(0, 0, 8), steady).item() == pytest.approx(0.5)
    steady[..., :4] = 0
    assert warped_error(now, before, flow_of(0, 0, 8), steady).item() == 0
    assert math.isnan(warped_error(now, before, flow_of(0, 0, 8), 0 * steady).item())


def test_warp_is_the_lookup_written_out() -> None:
    image, flow = torch.rand(1, 2, 5, 7, dtype=torch.float64), 6 * torch.rand(1, 2, 5, 7, dtype=torch.float64) - 3
    result = warp(image, flow)
    for i in range(5):
        for j in range(7):
            y = min(max(i + flow[0, 1, i, j].item(), 0), 4)
            x = min(max(j + flow[0, 0, i, j].item(), 0), 6)
            top, left = int(y), int(x)
            below, right = min(top + 1, 4), min(left + 1, 6)
            upper = torch.lerp(image[0, :, top, left], image[0, :, top, right], x - left)
            lower = torch.lerp(image[0, :, below, left], image[0, :, below, right], x - left)
            torch.testing.assert_close(result[0, :, i, j], torch.lerp(upper, lower, y - top))


def test_moved_repeats_the_border() -> None:
    row = torch.tensor([1.0, 2, 3, 4]).expand(1, 1, 2, 4)
    assert moved(row, (0, 1))[0, 0, 0].tolist() == [1, 1, 2, 3]
    assert moved(row, (1, -2))[0, 0, 0].tolist() == [3, 4, 4, 4]
    assert torch.equal(moved(row, (0, 0)), row)


@pytest.mark.parametrize("shift", [*SHIFTS, (-1, 2), (0, -3)])
def test_what_treats_all_places_alike_is_consistent_and_a_grid_is_not(shift: tuple[int, int]) -> None:
    images = torch.rand(2, 1, 24, 30)
    blur = torch.ones(1, 1, 3, 3) / 9

    def alike(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), blur)

    def by_blocks(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(F.avg_pool2d(x, 2), scale_factor=2)

    moved_images = moved(images, shift)
    same = shift_error(alike(images), alike(moved_images), shift, margin=2)
    torch.testing.assert_close(same, torch.zeros(2), atol=1e-10, rtol=0)
    assert (shift_error(by_blocks(images), by_blocks(moved_images), shift, margin=2) > 1e-3).all()


def test_shift_error_is_the_mean_square_of_what_is_left() -> None:
    images = torch.rand(1, 2, 9, 8)
    off = moved(images, (2, 1)) + 0.5
    off[..., :2, :] = off[..., :1] = 100  # what the shift brought in
    assert shift_error(images, off, (2, 1)).item() == pytest.approx(0.25)
    assert math.isnan(shift_error(images, off, (2, 1), margin=4).item())
