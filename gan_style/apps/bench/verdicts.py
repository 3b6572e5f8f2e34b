"""Comparison of rows: a permutation test over trainings, and the smallest difference that it can tell."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gan_style.metrics.table import goodness, row_of

LEVEL = 0.05
POWER = 0.8
MAX_PERMUTATIONS = 2000  # drawn at random where there are more
MIN_SEEDS = 4  # with three trainings of each the smallest p of two sides is 0.1


@dataclass(frozen=True)
class Verdict:
    """Comparison of two rows by one score on one task.

    Attributes:
        task, score, better, worse: what beats what; where `told` is false the order of the two means nothing.
        difference: of their means, in units of the score; of a ratio, of the means of its distance to 1, |log|.
        p: two-sided; None where there are too few trainings to tell anything.
        told: whether p is at most 0.05.
        smallest: the difference that this many trainings of this spread tell in four of five cases.
    """

    task: str
    score: str
    better: str
    worse: str
    difference: float
    p: float | None
    told: bool
    smallest: float | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def permutation_p(a: Sequence[float], b: Sequence[float], seed: int = 0) -> float:
    """Return the two-sided p of the difference of means, if which training belongs to which row were chance.

    Pictures of one training share its luck, so it is trainings that are exchanged, each with its mean over the
    pictures (Good 2005, chapter 3). Every split is counted where there are at most 2,000, the true one among them.
    """
    values = np.array([*a, *b], dtype=float)
    observed = abs(float(np.mean(a)) - float(np.mean(b)))
    n = len(values)
    if math.comb(n, len(a)) <= MAX_PERMUTATIONS:
        chosen = [np.array(c) for c in itertools.combinations(range(n), len(a))]
    else:
        random = np.random.default_rng(seed)
        chosen = [np.arange(len(a)), *(random.permutation(n)[: len(a)] for _ in range(MAX_PERMUTATIONS - 1))]
    total = values.sum()
    found = [abs(values[c].mean() - (total - values[c].sum()) / len(b)) for c in chosen]
    return float(np.mean([x >= observed - 1e-9 * max(1.0, observed) for x in found]))


def smallest_difference(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return the difference of means that is told with power 0.8, by the normal approximation of the test.

    With few trainings the quantiles are those of Student's t, after Cornish and Fisher (1938), of four terms.
    """
    degrees = len(a) + len(b) - 2
    if min(len(a), len(b)) < MIN_SEEDS:
        return None
    pooled = (np.var(a, ddof=1) * (len(a) - 1) + np.var(b, ddof=1) * (len(b) - 1)) / degrees
    quantiles = student(1 - LEVEL / 2, degrees) + student(POWER, degrees)
    return float(quantiles * math.sqrt(pooled * (1 / len(a) + 1 / len(b))))


def student(level: float, degrees: int) -> float:
    """Return a quantile of Student's t: the expansion of Cornish and Fisher, good to 1% from six degrees on."""
    from statistics import NormalDist

    z = NormalDist().inv_cdf(level)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def verdicts(task: str, runs: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Verdict]:
    """Compare every two rows of a task by every score that both have.

    Args:
        task: its name.
        runs: row -> score -> the value of each training; scores that are best at 1 are compared by their distance to
            it, as ratios.
    """
    found = []
    for one, other in itertools.combinations(runs, 2):
        for score in runs[one]:
            row = row_of(score)
            if row is not None and score in runs[other]:
                pair = [[goodness(row.better, x) for x in runs[name][score]] for name in (one, other)]
                if np.isfinite([*pair[0], *pair[1]]).all():
                    found.append(_verdict(task, score, (one, other), runs, pair))
    return found


def _verdict(
    task: str,
    score: str,
    names: tuple[str, str],
    runs: Mapping[str, Mapping[str, Sequence[float]]],
    goods: Sequence[Sequence[float]],
) -> Verdict:
    better, worse = names if np.mean(goods[0]) >= np.mean(goods[1]) else (names[1], names[0])
    p = permutation_p(goods[0], goods[1]) if min(map(len, goods)) >= MIN_SEEDS else None
    row = row_of(score)
    a, b = goods if row is not None and row.better == "one" else [runs[name][score] for name in names]
    difference = abs(float(np.mean(a)) - float(np.mean(b)))
    return Verdict(task, score, better, worse, difference, p, p is not None and p <= LEVEL, smallest_difference(a, b))
