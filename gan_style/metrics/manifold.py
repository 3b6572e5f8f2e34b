"""Precision and recall, density and coverage, by nearest neighbours: fidelity and variety apart."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.metrics.features import checked

NEIGHBOURS = 5  # as in the code of Naeem et al. 2020, for all four
CHUNK = 512  # rows of a distance matrix at a time


def manifold(real: Tensor, fake: Tensor, *, k: int = NEIGHBOURS) -> dict[str, Tensor]:
    """Return four numbers from balls around pictures that reach to their k-th neighbour in their own set, in float64.

    precision: share of the fake inside some real ball; recall: share of the real inside some fake ball
    (Kynkaanniemi et al. 2019, eqs. 1 and 2), both in [0, 1]. density: real balls around a fake picture, divided by k,
    on average, 1 for equal distributions and without an upper bound; coverage: share of real balls that hold a fake
    picture, in [0, 1] (Naeem et al. 2020, eqs. 3 and 4).

    Args:
        real, fake: features [N, D] and [M, D].
        k: neighbours, fewer than N and M.

    Raises:
        UserError: no more pictures than neighbours.
    """
    real, fake = checked(real, fake)
    if min(len(real), len(fake)) <= k:
        raise UserError(
            f"{k} neighbours cannot be found among {len(real)} real and {len(fake)} fake pictures: give more pictures"
        )
    real_radius, fake_radius = _radius(real, k), _radius(fake, k)
    balls = torch.zeros(len(fake), dtype=torch.float64, device=fake.device)  # real balls around each fake
    covered, recalled = [], []
    for start in range(0, len(real), CHUNK):
        distance = _distances(real[start : start + CHUNK], fake)
        inside = distance <= real_radius[start : start + CHUNK, None]
        balls += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((distance <= fake_radius).any(1))
    return {
        "precision": (balls > 0).double().mean(),
        "recall": torch.cat(recalled).double().mean(),
        "density": balls.mean() / k,
        "coverage": torch.cat(covered).double().mean(),
    }


def _radius(x: Tensor, k: int) -> Tensor:
    """Return the distance of each row to its k-th neighbour; the nearest of all is the row itself."""
    return torch.cat([_distances(part, x).kthvalue(k + 1, dim=1).values for part in x.split(CHUNK)])


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Return Euclidean distances; not by a matrix product, whose rounding moves equal pictures apart."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def precision(real: Tensor, fake: Tensor) -> Tensor:
    """Return the share of the fake pictures within the real ones, see `manifold`."""
    return manifold(real, fake)["precision"]


def recall(real: Tensor, fake: Tensor) -> Tensor:
    """Return the share of the real pictures within the fake ones, see `manifold`."""
    return manifold(real, fake)["recall"]


def density(real: Tensor, fake: Tensor) -> Tensor:
    """Return how many real balls hold a fake picture, divided by `NEIGHBOURS`, see `manifold`."""
    return manifold(real, fake)["density"]


def coverage(real: Tensor, fake: Tensor) -> Tensor:
    """Return the share of real balls that hold a fake picture, see `manifold`."""
    return manifold(real, fake)["coverage"]
