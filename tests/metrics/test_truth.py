"""PSNR, SSIM, the bootstrap and the colour-transfer baseline against other ways of writing them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gan_style.metrics.truth import ColourTransfer, bootstrap, psnr, ssim


def images(seed: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_psnr_is_that_of_the_8_bit_pictures() -> None:
    a, b = images(0), images(1)
    for value, x, y in zip(psnr(a, b), a, b, strict=True):
        x, y = (x.double() + 1) * 127.5, (y.double() + 1) * 127.5
        assert float(value) == pytest.approx(20 * math.log10(255 / math.sqrt(float(((x - y) ** 2).mean()))), abs=1e-4)
    assert float(psnr(a, a)[0]) >= 99


def test_ssim_against_the_formula_of_the_paper() -> None:
    """Wang et al. 2004, equation 13: an 11x11 Gaussian window of 1.5 pixels, borders reflected, in loops."""
    a, b = images(0, 1), (images(0, 1) * 0.7 + 0.3 * images(1, 1)).clamp(-1, 1)
    t = np.arange(11) - 5
    window = np.exp(-(t[:, None] ** 2 + t[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2, values = (0.01 * 2) ** 2, (0.03 * 2) ** 2, []
    for x, y in zip(a[0].double().numpy(), b[0].double().numpy(), strict=True):
        x, y = np.pad(x, 5, mode="reflect"), np.pad(y, 5, mode="reflect")
        for i in range(32):
            for j in range(32):
                p, q = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * p * p).sum() - mp**2, (window * q * q).sum() - mq**2
                cov = (window * p * q).sum() - mp * mq
                values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    assert float(ssim(a, b)[0]) == pytest.approx(np.mean(values), abs=1e-4)
    assert float(ssim(a, a)[0]) == pytest.approx(1, abs=1e-5)


def test_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        interval = bootstrap(list(random.normal(5, 2, size=40)), rounds=400, seed=trial)
        covered += interval["low"] <= 5 <= interval["high"]  # type: ignore[operator]
    assert 176 <= covered <= 198


def test_colour_transfer_matches_mean_and_deviation() -> None:
    source, target = images(0, 8) * 0.3 - 0.2, images(1, 8) * 0.2 + 0.4
    moved = ColourTransfer(source, target)(source)
    for channel in range(3):
        assert float(moved[:, channel].mean()) == pytest.approx(float(target[:, channel].mean()), abs=1e-3)
        assert float(moved[:, channel].std()) == pytest.approx(float(target[:, channel].std()), abs=1e-3)
