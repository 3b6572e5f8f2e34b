"""Confidence intervals of distances between sets, and the smallest values that they can take."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gan_style.core.errors import UserError

ValueFunction = Callable[[Tensor, Tensor], Tensor | float]  # real [N, ...], fake [M, ...] -> a number


def bootstrap_interval(
    value_fn: ValueFunction, real: Tensor, fake: Tensor, *, n_boot: int = 200, level: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Return a value, and its interval over resampled pictures of both sets (Efron and Tibshirani 1993, chapter 13).

    A set drawn with replacement holds pictures twice, which moves distances between sets upward (a Frechet distance
    by as much as its own bias). The draws are therefore shifted so that their mean is the value, and the percentiles
    are taken then: the interval is for the mean of the statistic at this N, not for infinite N.

    Args:
        value_fn: of features with one row per picture.
        real, fake: [N, ...] and [M, ...].
        n_boot: draws; 0 gives the value as its own interval.
        level: share that the interval should cover.
        seed: of the draws.

    Returns:
        value, low, high.
    """
    value = float(value_fn(real, fake))
    if n_boot == 0 or not math.isfinite(value):
        return value, value, value
    random = np.random.default_rng(seed)
    drawn = np.array(
        [
            float(value_fn(*(_take(x, random.integers(0, len(x), size=len(x))) for x in (real, fake))))
            for _ in range(n_boot)
        ]
    )
    tail = 50 * (1 - level)
    with np.errstate(invalid="ignore"):  # a draw may be infinite: the ends are NaN then, and the caller says so
        low, high = np.percentile(drawn - drawn.mean() + value, [tail, 100 - tail])
    return value, float(low), float(high)


def floor_sizes(pool: int, real: int, fake: int) -> tuple[int, int]:
    """Return the set sizes for a floor: the same N where the pool holds as many pictures, else both shrunk alike.

    Raises:
        UserError: a pool of fewer than four pictures.
    """
    if pool < 4:
        raise UserError(f"a floor needs four real pictures at least, not {pool}")
    share = min(1.0, pool / (real + fake))
    first = min(max(2, int(real * share)), pool - 2)
    return first, min(max(2, int(fake * share)), pool - first)


def floor_interval(
    value_fn: ValueFunction,
    pool: Tensor,
    real: int,
    fake: int,
    *,
    splits: int = 20,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Score real pictures against other real ones: mean and interval over random disjoint pairs of sets.

    A generator whose value lies in the interval cannot be told from the data. The interval is that of random
    splits (a permutation test turned round), so it needs `splits` of 100 and more to be sharp.

    Args:
        value_fn: of features with one row per picture.
        pool: features of real pictures, [P, ...]. With fewer than `real` + `fake` of them the sets shrink (see
            `floor_sizes`), and the floor of a biased statistic such as Frechet's comes out too high.
        real, fake: sizes of the two sets.
        splits: random pairs of disjoint sets.
        level: share of same-distribution sets that the interval should cover.
        seed: of the splits.

    Returns:
        mean, low, high.
    """
    first, second = floor_sizes(len(pool), real, fake)
    random = np.random.default_rng(seed)
    values = []
    for _ in range(splits):
        rows = random.permutation(len(pool))
        values.append(float(value_fn(_take(pool, rows[:first]), _take(pool, rows[first : first + second]))))
    tail = 50 * (1 - level)
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(values, [tail, 100 - tail])
    return float(np.mean(values)), float(low), float(high)


def scored(
    value_fn: ValueFunction,
    real: Tensor,
    fake: Tensor,
    *,
    floor_from: Tensor | None = None,
    ceiling_from: Tensor | None = None,
    n_boot: int = 200,
    splits: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Return a score as a result file holds it: `value`, `low`, `high`, `floor`.

    Args:
        value_fn: a pure distance, e.g. `frechet_distance`, or a metric's `distance`.
        real, fake: features with one row per picture.
        floor_from: features of more real pictures (the training set), so that the floor is taken at the same N; None
            splits `real` in halves, which is a floor at half the N.
        ceiling_from: features of the untranslated input; adds `ceiling`, what doing nothing scores.
        n_boot: draws of the interval; `splits` of the floor; 0 bootstraps leave the value as its own interval.
        seed: of both.
    """
    value, low, high = bootstrap_interval(value_fn, real, fake, n_boot=n_boot, seed=seed)
    pool = real if floor_from is None else floor_from
    floor, _, _ = floor_interval(value_fn, pool, len(real), len(fake), splits=splits, seed=seed)
    score = {"value": value, "low": low, "high": high, "floor": floor}
    if ceiling_from is not None:
        score["ceiling"] = float(value_fn(real, ceiling_from))
    return score


def _take(x: Tensor, rows: np.ndarray) -> Tensor:
    return x[torch.from_numpy(rows).to(x.device)]
