"""Precision, recall, density and coverage on sets whose values are known, and against other ways of writing them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_style.core.errors import UserError
from gan_style.metrics import manifold as module
from gan_style.metrics.manifold import manifold
from tests.metrics.test_frechet import sets


def by_numpy(x: np.ndarray, y: np.ndarray, k: int) -> dict[str, float]:
    """Kynkaanniemi et al. 2019 and Naeem et al. 2020, with whole matrices."""

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))

    real_radius, fake_radius = (np.sort(between(z, z), axis=1)[:, k] for z in (x, y))
    d = between(x, y)
    return {
        "precision": (d <= real_radius[:, None]).any(0).mean(),
        "recall": (d <= fake_radius[None]).any(1).mean(),
        "density": (d <= real_radius[:, None]).sum(0).mean() / k,
        "coverage": (d.min(1) <= real_radius).mean(),
    }


@pytest.mark.parametrize("k", [1, 5])
def test_equals_whole_matrices(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 17)
    real, fake = sets(80, 60, 4)
    found = manifold(real, fake, k=k)
    expected = by_numpy(real.double().numpy(), fake.double().numpy(), k)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-12)
    assert 0 < expected["precision"] < 1


def test_equals_torch_fidelity() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = (x.double() for x in sets(90, 70, 4))
    precision, recall = theirs.calculate_precision_recall_full(fake, real, neighborhood=5)
    found = manifold(real, fake)
    assert (float(found["precision"]), float(found["recall"])) == pytest.approx((precision, recall), rel=1e-6)


def test_known_values() -> None:
    line = torch.arange(20.0)[:, None]
    # the same set: each lies in the balls of its own and of its neighbours
    same = manifold(line, line, k=1)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    # far apart: nothing
    assert all(float(value) == 0 for value in manifold(line, line + 1000, k=1).values())
    # every fake on the real point 10, inside the balls of 9, 10 and 11: exact, and without variety
    collapsed = manifold(line, torch.full((20, 1), 10.0), k=1)
    assert float(collapsed["precision"]) == 1
    assert float(collapsed["density"]) == 3
    assert float(collapsed["coverage"]) == pytest.approx(3 / 20)
    assert float(collapsed["recall"]) == pytest.approx(1 / 20)
    # half of the fakes outside
    half = manifold(line, torch.cat([line[:10], line[:10] + 1000]), k=1)
    assert float(half["precision"]) == 0.5


def test_equal_distributions_have_density_1() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 600, 3, generator=generator)
    assert float(manifold(real, fake)["density"]) == pytest.approx(1, abs=0.1)


def test_too_few_pictures() -> None:
    with pytest.raises(UserError, match="neighbours"):
        manifold(torch.rand(5, 2), torch.rand(50, 2))
