"""A score of the table as a torchmetrics Metric: the number of `evaluate`, on any number of ranks."""

from __future__ import annotations

import pytest
import torch

from gan_style.core.errors import UserError
from gan_style.evaluation.distances import Features, compare_sets
from gan_style.metrics import SetMetric
from gan_style.metrics.extractor import RandomExtractor
from gan_style.metrics.table import TABLE

OF_SETS = [row.name for row in TABLE if row.of_sets]


def images(seed: int, count: int = 12) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def filled(name: str, real: torch.Tensor, fake: torch.Tensor) -> SetMetric:
    metric = SetMetric(name)
    for images, of_real in ((real, True), (fake, False)):
        for part in images.split(5):
            metric.update(part, real=of_real)
    return metric


REAL, FAKE = images(0), torch.cat([images(1, 6), images(2, 6) * 0.8])


@pytest.fixture(scope="module")
def evaluated() -> dict[str, float]:
    network = RandomExtractor()
    of_sets = [Features(list(images), network) for images in (REAL, FAKE)]
    return {name: row["value"] for name, row in compare_sets(*of_sets, network, draws=0).items()}


@pytest.mark.parametrize("name", OF_SETS)
def test_the_number_is_that_of_evaluate(name: str, evaluated: dict[str, float]) -> None:
    metric = filled(name, REAL, FAKE)
    assert float(metric.compute()) == pytest.approx(evaluated[metric.score], rel=1e-5)


@pytest.mark.parametrize("name", ["frechet", "swd"])
def test_two_ranks_equal_one_and_reset_forgets(name: str) -> None:
    whole, first, second = (
        filled(name, REAL, FAKE),
        filled(name, REAL[::2], FAKE[::2]),
        filled(name, REAL[1::2], FAKE[1::2]),
    )
    first.merge_state(second)  # as a distributed sampler deals them out
    assert float(first.compute()) == pytest.approx(float(whole.compute()), rel=1e-5)
    assert float(whole.compute()) != 0
    assert not whole.state_dict()
    whole.reset()
    whole.update(FAKE, real=False)
    with pytest.raises(UserError, match="no real picture"):
        whole.compute()


def test_what_is_no_score_of_sets_is_said() -> None:
    with pytest.raises(UserError, match="psnr"):
        SetMetric("psnr")
    assert (SetMetric("recall").higher_is_better, SetMetric("kid").higher_is_better) == (True, False)
