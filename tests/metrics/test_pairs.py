"""Scores of pairs: edges, content, cycle, style and diversity on pictures whose values are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.losses.perceptual import PerceptualLoss, gram_matrix
from gan_style.metrics.diversity import diversity, feature_distance
from gan_style.metrics.edges import edge_agreement, sobel
from gan_style.metrics.extractor import RandomExtractor
from gan_style.metrics.pairs import ContentDistance, StyleDistance, cycle_error
from gan_style.networks.vgg import VGG


def images(seed: int, count: int = 3, side: int = 32) -> Tensor:
    coarse = torch.rand(count, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


def test_sobel_equals_scipys() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    x = images(0, 1)
    grey = (x[0].double().numpy() * [[[0.299]], [[0.587]], [[0.114]]]).sum(0)
    across, down = (ndimage.sobel(grey, axis=axis, mode="nearest") / 8 for axis in (1, 0))
    assert sobel(x)[0].double().numpy() == pytest.approx((across**2 + down**2) ** 0.5, abs=1e-6)


def test_edges_agree_where_they_lie_in_the_same_places() -> None:
    x, other = images(0, 8), images(1, 8)
    for same in (x, -x, 0.3 * x + 0.4):
        torch.testing.assert_close(edge_agreement(x, same), torch.ones(8), rtol=0, atol=1e-4)
    assert float(edge_agreement(x, other).abs().mean()) < 0.3
    moved = edge_agreement(x, x.roll(1, -1)).mean()
    assert edge_agreement(x, x.roll(6, -1)).mean() < moved < 0.99
    flat = torch.zeros(8, 3, 32, 32)
    assert edge_agreement(flat, flat + 0.5).tolist() == [1] * 8
    assert edge_agreement(x, flat).tolist() == [0] * 8


def test_content_and_cycle() -> None:
    vgg = VGG("random", depth="relu3_1")
    content, x, y = ContentDistance(vgg), images(0), images(1)
    assert content.name == "content_vgg19_relu3_1"
    assert content(x, x).tolist() == [0, 0, 0]
    a, b = (vgg(z, ["relu3_1"])["relu3_1"][1].double() for z in (x, y))
    assert float(content(x, y)[1]) == pytest.approx(float(((a - b) ** 2).sum() / (a**2).sum()), rel=1e-5)
    assert cycle_error(x, x + 0.25).tolist() == pytest.approx([0.25] * 3, rel=1e-5)


def test_style_is_zero_for_the_style_itself_and_equals_its_formula() -> None:
    vgg = VGG("random", depth="relu2_1")
    style, x, y = StyleDistance(PerceptualLoss(vgg)), images(0), images(1, 1)
    assert style(x, x).tolist() == [0, 0, 0]
    expected = 0.0
    for layer in ("relu1_1", "relu2_1"):
        a, b = (gram_matrix(vgg(z, [layer])[layer].double()) for z in (x[2:], y))
        expected += float(((a - b) ** 2).mean() / (b**2).mean()) / 2
    assert float(style(x, y)[2]) == pytest.approx(expected, rel=1e-4)
    statistics = StyleDistance(PerceptualLoss(vgg, statistic="mean_std"))
    torch.testing.assert_close(statistics(x.flip(-1), x), torch.zeros(3), atol=0.05, rtol=0)


def test_diversity_is_the_mean_over_pairs_of_styles() -> None:
    base = torch.zeros(2, 3, 8, 8)
    styles = torch.stack([base, base + 0.1, base + 0.4], dim=1)
    assert diversity(styles, cycle_error).tolist() == pytest.approx([(0.1 + 0.4 + 0.3) / 3] * 2, rel=1e-5)
    assert diversity(base[:, None].expand(-1, 4, -1, -1, -1), cycle_error).tolist() == [0, 0]
    assert float(diversity(styles, feature_distance(RandomExtractor())).min()) > 0
    with pytest.raises(UserError, match="two styles"):
        diversity(styles[:, :1], cycle_error)
