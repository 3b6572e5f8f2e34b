"""The Frechet distance against SciPy's matrix root, torchmetrics and torch-fidelity on the same features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gan_style.core.errors import UserError
from gan_style.metrics.frechet import few_images, frechet_distance


def sets(n: int, m: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated features of two distributions, as float32."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(d, d)) / d**0.5
    real, fake = random.normal(size=(n, d)) @ mix + 1, random.normal(size=(m, d)) @ (mix + 0.3 * np.eye(d)) + 1.2
    return torch.from_numpy(real).float(), torch.from_numpy(fake).float()


def by_scipy(real: torch.Tensor, fake: torch.Tensor) -> float:
    """Heusel et al. 2017, eq. 6, with a matrix root."""
    linalg = pytest.importorskip("scipy.linalg")
    a, b = real.double().numpy(), fake.double().numpy()
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(s1 @ s2)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * root.real))


@pytest.mark.parametrize(("n", "m", "d"), [(300, 250, 16), (90, 400, 64), (500, 500, 5)])
def test_equals_the_matrix_root(n: int, m: int, d: int) -> None:
    real, fake = sets(n, m, d)
    assert float(frechet_distance(real, fake)) == pytest.approx(by_scipy(real, fake), rel=1e-9)


def test_fewer_pictures_than_dimensions() -> None:
    """There a matrix root is singular; eigenvalues of the product of the Gram matrices are not."""
    real, fake = sets(20, 30, 64)
    a, b = (x.double().numpy() for x in (real, fake))
    x, y = (a - a.mean(0)) / 19**0.5, (b - b.mean(0)) / 29**0.5
    squared = np.linalg.eigvalsh((x @ y.T) @ (x @ y.T).T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * np.sqrt(np.abs(squared)).sum()
    assert float(frechet_distance(real, fake)) == pytest.approx(expected, rel=1e-6)


def test_equals_torch_fidelity() -> None:
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    real, fake = sets(400, 300, 32)
    statistics = [fid.fid_features_to_statistics(x.double()) for x in (real, fake)]
    expected = fid.fid_statistics_to_metric(*statistics, verbose=False)[fid.KEY_METRIC_FID]
    assert float(frechet_distance(real, fake)) == pytest.approx(expected, rel=1e-6)


def test_equals_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 24, 3, 2), nn.AdaptiveAvgPool2d(1))
    network = nn.Sequential(network, nn.Flatten()).requires_grad_(False)
    network.num_features = 24
    theirs = FrechetInceptionDistance(feature=network, normalize=True)
    theirs.set_dtype(torch.float64)
    real, fake = torch.rand(128, 3, 16, 16), torch.rand(128, 3, 16, 16) ** 2
    theirs.inception = theirs.inception.double()
    theirs.update(real.double(), real=True)
    theirs.update(fake.double(), real=False)
    ours = frechet_distance(network(real.double()), network(fake.double()))
    assert float(ours) == pytest.approx(float(theirs.compute()), rel=1e-6)


@pytest.mark.parametrize("n", [20, 200])
def test_known_values(n: int) -> None:
    real, _ = sets(n, n, 48)
    assert float(frechet_distance(real, real)) == pytest.approx(0, abs=1e-9)
    assert float(frechet_distance(real.double(), real.double() + 0.5)) == pytest.approx(48 * 0.25, rel=1e-9)
    centred = real.double() - real.double().mean(0)
    scaled = float(frechet_distance(centred, 3 * centred))
    assert scaled == pytest.approx(4 * float(centred.square().sum()) / (n - 1), rel=1e-9)


def test_mistakes_are_said() -> None:
    with pytest.raises(UserError, match="one extractor"):
        frechet_distance(torch.rand(4, 3), torch.rand(4, 5))
    with pytest.raises(UserError, match="two pictures"):
        frechet_distance(torch.rand(1, 3), torch.rand(4, 3))
    with pytest.raises(UserError, match="NaN"):
        frechet_distance(torch.full((4, 3), torch.nan), torch.rand(4, 3))


def test_few_pictures_are_warned_about() -> None:
    assert few_images("fid", 2048, 5000) is None
    assert "mostly measures" in str(few_images("fid", 5000, 2047))
