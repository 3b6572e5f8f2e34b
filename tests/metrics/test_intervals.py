"""Intervals cover as often as they say, and so does the floor."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gan_style.core.errors import UserError
from gan_style.metrics.frechet import frechet_distance
from gan_style.metrics.intervals import bootstrap_interval, floor_interval, floor_sizes, scored
from gan_style.metrics.kernel import kid


def test_floor_covers_sets_of_the_same_distribution() -> None:
    """The score of a new set against real ones lies in the floor's interval in about 95 of 100 cases."""
    random, covered, trials = np.random.default_rng(0), 0, 200
    for trial in range(trials):
        real, fake, more = (torch.from_numpy(random.normal(size=(n, 3))) for n in (25, 25, 100))
        value = float(kid(real, fake))
        _, low, high = floor_interval(kid, more, 25, 25, splits=60, seed=trial)
        covered += low <= value <= high
    assert abs(covered / trials - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)


def test_another_distribution_lies_above_the_floor() -> None:
    generator = torch.Generator().manual_seed(0)
    real, more, fake = torch.randn(60, 4, generator=generator), torch.randn(120, 4, generator=generator), 0
    fake = torch.randn(60, 4, generator=generator) + 1
    _, _, high = floor_interval(frechet_distance, more, 60, 60, splits=40)
    assert float(frechet_distance(real, fake)) > high


@pytest.mark.parametrize("distance", [frechet_distance, kid])
def test_interval_covers_what_the_statistic_gives_on_average(distance) -> None:  # type: ignore[no-untyped-def]
    """A set too small for the tails: 95% nominal, 85% at least."""
    random, trials = np.random.default_rng(0), 120
    found = []
    for trial in range(trials):
        real = torch.from_numpy(random.normal(size=(60, 2)))
        fake = torch.from_numpy(random.normal(size=(60, 2)) * 1.2 + 1)
        found.append(bootstrap_interval(distance, real, fake, n_boot=60, seed=trial))
    mean = np.mean([value for value, _, _ in found])
    covered = np.mean([low <= mean <= high for _, low, high in found])
    assert 0.85 <= covered <= 1
    assert all(low <= value <= high for value, low, high in found)


def test_scored_is_what_a_result_file_holds() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake, more, source = (torch.randn(40, 3, generator=generator) + s for s in (0, 0.5, 0, 2))
    score = scored(frechet_distance, real, fake, floor_from=torch.cat([more, real]), n_boot=30, splits=5)
    assert set(score) == {"value", "low", "high", "floor"}
    assert score["low"] <= score["value"] <= score["high"]
    assert score["floor"] < score["value"]
    assert score == scored(frechet_distance, real, fake, floor_from=torch.cat([more, real]), n_boot=30, splits=5)
    assert scored(frechet_distance, real, fake, ceiling_from=source, n_boot=0, splits=2)["ceiling"] > score["value"]
    assert scored(frechet_distance, real, fake, n_boot=0, splits=2)["low"] == score["value"]


def test_floor_is_at_the_same_number_where_it_can_be() -> None:
    assert floor_sizes(100, 40, 60) == (40, 60)
    assert floor_sizes(1000, 40, 60) == (40, 60)
    assert floor_sizes(50, 40, 60) == (20, 30)
    assert floor_sizes(40, 40, 40) == (20, 20)
    assert floor_sizes(4, 1000, 10) == (2, 2)
    with pytest.raises(UserError, match="four"):
        floor_sizes(3, 10, 10)
