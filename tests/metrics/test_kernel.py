"""KID and CMMD against loops, torchmetrics and torch-fidelity; KID's average at every N against its true value."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from gan_style.metrics.kernel import cmmd, kid, mmd2, polynomial
from tests.metrics.test_frechet import sets


def by_loops(x: np.ndarray, y: np.ndarray) -> float:
    """Binkowski et al. 2018, eq. 4, pair by pair."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    within = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within += sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_equals_loops() -> None:
    real, fake = sets(23, 31, 7)
    assert float(kid(real, fake)) == pytest.approx(by_loops(real.double().numpy(), fake.double().numpy()), rel=1e-10)


def test_equals_torch_fidelity() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    real, fake = (x.double() for x in sets(60, 60, 16))
    options = {"kid_subsets": 1, "kid_subset_size": 60, "verbose": False}  # one subset of all
    expected = theirs.kid_features_to_metric(real, fake, **options)[theirs.KEY_METRIC_KID_MEAN]
    assert float(kid(real, fake)) == pytest.approx(expected, rel=1e-6)


def test_equals_torchmetrics() -> None:
    from torchmetrics.image.kid import KernelInceptionDistance

    network = nn.Flatten()
    network.num_features = 12  # type: ignore[assignment]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps the features
        theirs = KernelInceptionDistance(feature=network, subsets=1, subset_size=40, normalize=True)
    real, fake = torch.rand(40, 3, 2, 2).double(), torch.rand(40, 3, 2, 2).double() ** 2
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert float(kid(real.flatten(1), fake.flatten(1))) == pytest.approx(float(theirs.compute()[0]), rel=1e-6)


def test_kid_is_unbiased_at_every_size() -> None:
    """One dimension, N(0, 1) against N(s, 1): the true value is 3 s^2 + 3 s^4 + (s^3 + 3 s)^2 (moments 1 to 3)."""
    shift, trials = 0.5, 3000
    truth = 3 * shift**2 + 3 * shift**4 + (shift**3 + 3 * shift) ** 2
    generator = torch.Generator().manual_seed(0)
    for n in (3, 10, 40):
        x, y = torch.randn(2, trials, n, 1, generator=generator, dtype=torch.float64)
        values = torch.stack([kid(a, b + shift) for a, b in zip(x, y, strict=True)])
        error = float(values.std()) / trials**0.5
        assert abs(float(values.mean()) - truth) < 4 * error
        biased = torch.stack([mmd2(a, b + shift, polynomial, unbiased=False) for a, b in zip(x, y, strict=True)])
        assert abs(float(biased.mean()) - truth) > 4 * error  # so that the simulation could have failed


def test_cmmd_equals_its_paper() -> None:
    """Both estimates, written with distances: the paper's eq. 5, and its code's mean over all pairs."""
    distance = pytest.importorskip("scipy.spatial.distance")
    x, y = (z.double().numpy() for z in sets(30, 40, 9))
    x, y = x / np.linalg.norm(x, axis=1, keepdims=True), y / np.linalg.norm(y, axis=1, keepdims=True)
    kxx, kyy, kxy = (np.exp(-distance.cdist(a, b, "sqeuclidean") / (2 * 10**2)) for a, b in ((x, x), (y, y), (x, y)))
    biased = 1000 * (kxx.mean() + kyy.mean() - 2 * kxy.mean())
    unbiased = 1000 * ((kxx.sum() - 30) / (30 * 29) + (kyy.sum() - 40) / (40 * 39) - 2 * kxy.mean())
    real, fake = sets(30, 40, 9)
    assert float(cmmd(real, fake, unbiased=False)) == pytest.approx(biased, rel=1e-9)
    assert float(cmmd(real, fake)) == pytest.approx(unbiased, rel=1e-9)
