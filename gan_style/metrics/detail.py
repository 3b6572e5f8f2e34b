"""Detail: energy of gradients, and of what a narrow Gaussian takes away, over that of the truth or of the domain."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gan_style.metrics.filters import grey_levels
from gan_style.networks.filters import high_passed

SIGMA = 1.0  # pixels
MIN_ENERGY = 1e-3  # squared grey levels, so that flat truths divide nothing by 0


def detail(images: Tensor, samples: Tensor) -> Tensor:
    """Return the energy of the gradients of the luminance over that of the truth: [B], 1 for a true picture.

    Args:
        images: [B, C, H, W] in [-1, 1].
        samples: true pictures of each, [B, S, C, H, W] in [-1, 1]; their mean energy counts.
    """
    return _over(gradient_energy, images, samples)


def fine_detail(images: Tensor, samples: Tensor) -> Tensor:
    """Return the energy above a Gaussian of one pixel over that of the truth; see `detail`."""
    return _over(fine_energy, images, samples)


def gradient_energy(images: Tensor) -> Tensor:
    """Return the mean square of the differences of neighbours of the luminance, along both axes: [B], of 255^2."""
    grey = grey_levels(images).mean(1)
    return grey.diff(dim=-1).square().mean((1, 2)) + grey.diff(dim=-2).square().mean((1, 2))


def fine_energy(images: Tensor) -> Tensor:
    """Return the mean square of what a Gaussian of one pixel takes away, over channels: [B], of 255^2."""
    return high_passed(grey_levels(images), SIGMA).square().mean((1, 2, 3))


def gradient_energies(images: Tensor) -> Tensor:
    """Return `gradient_energy` as features of a set, [B, 1]."""
    return gradient_energy(images)[:, None]


def fine_energies(images: Tensor) -> Tensor:
    """Return `fine_energy` as features of a set, [B, 1]."""
    return fine_energy(images)[:, None]


def energy_ratio(real: Tensor, fake: Tensor) -> Tensor:
    """Divide the mean energy of translated pictures [M, 1] by that of other pictures of the domain [N, 1].

    `detail` without a truth: 1 where the sets have as much detail, whatever the scenes are.
    """
    return fake.double().mean() / real.double().mean().clamp_min(MIN_ENERGY)


def _over(energy: Callable[[Tensor], Tensor], images: Tensor, samples: Tensor) -> Tensor:
    true = energy(samples.flatten(0, 1)).reshape(samples.shape[:2]).mean(1)
    return energy(images) / true.clamp_min(MIN_ENERGY)
