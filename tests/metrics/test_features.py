"""What the metrics over features share: ranks, resets and mistakes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from gan_style.core.errors import UserError
from gan_style.metrics.extractor import RandomExtractor
from gan_style.metrics.features import FeatureMetric
from gan_style.metrics.frechet import FrechetDistance
from gan_style.metrics.kernel import CMMD, KernelDistance
from gan_style.metrics.manifold import Manifold
from gan_style.metrics.sliced import SlicedWasserstein

MAKERS: list[Callable[[], FeatureMetric]] = [
    lambda: FrechetDistance(RandomExtractor()),
    lambda: KernelDistance(RandomExtractor()),
    lambda: CMMD(RandomExtractor(), sigma=0.5),
    lambda: Manifold(RandomExtractor(), k=2),
    lambda: SlicedWasserstein(patches=4, directions=32),
]


def pictures(seed: int, count: int = 12) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def values(metric: FeatureMetric) -> list[float]:
    found = metric.compute()
    return [float(v) for v in (found.values() if isinstance(found, dict) else [found])]


@pytest.mark.parametrize("make", MAKERS)
def test_two_ranks_equal_one(make: Callable[[], FeatureMetric]) -> None:
    real, fake = pictures(0), torch.cat([pictures(1, 6), pictures(2, 6) * 0.8])
    whole, first, second = make(), make(), make()
    whole.update(real, real=True)
    whole.update(fake, real=False)
    for rank, metric in enumerate((first, second)):  # as a distributed sampler deals them out
        metric.update(real[rank::2], real=True)
        metric.update(fake[rank::2], real=False)
    first.merge_state(second)
    assert values(first) == pytest.approx(values(whole), rel=1e-5)
    assert all(v != 0 for v in values(whole))


@pytest.mark.parametrize("make", MAKERS)
def test_reset_forgets_and_may_keep_the_real(make: Callable[[], FeatureMetric]) -> None:
    metric = make()
    for keep in (False, True):
        metric.keep_real = keep
        metric.update(pictures(0), real=True)
        metric.update(pictures(1) * 0.8, real=False)
        before = values(metric)
        metric.reset()
        if not keep:
            metric.update(pictures(0), real=True)
        metric.update(pictures(1) * 0.8, real=False)
        assert values(metric) == pytest.approx(before, rel=1e-9)
        metric.keep_real = False
        metric.reset()
        metric.update(pictures(1), real=False)
        with pytest.raises(UserError, match="two real pictures"):
            metric.compute()
        metric.reset()


def test_features_extracted_before_are_taken() -> None:
    network = RandomExtractor()
    metric, other = KernelDistance(network), KernelDistance(network)
    for x, real in ((pictures(0), True), (pictures(1) * 0.8, False)):
        metric.update(x, real=real)
        other.update_features(network(x), real=real)
    assert values(metric) == values(other)
    assert float(other.distance(*other.features())) == values(other)[0]
