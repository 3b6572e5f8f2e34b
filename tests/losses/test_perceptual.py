"""Gram, mean and std, covariance and their losses, against sums written out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.losses.perceptual import PerceptualLoss, covariance, gram_matrix, mean_std, total_variation


class Tiny(nn.Module):
    """Two layers that stand for VGG."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
        self.cut = ""

    @property
    def layers(self) -> list[str]:
        return ["relu1_1", "relu2_1"]

    def require(self, layers: Sequence[str]) -> None:
        if set(layers) - set(self.layers):
            raise UserError("no such layer")

    def truncate(self, depth: str) -> None:
        self.cut = depth

    def forward(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        first = self.kernel(x).relu()
        return {"relu1_1": first, "relu2_1": first[..., ::2, ::2]}


def test_gram_is_the_sum_over_places() -> None:
    f = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = torch.zeros(2, 3, 3, dtype=torch.float64)
    for b, i, j, y, x in itertools.product(range(2), range(3), range(3), range(4), range(5)):
        expected[b, i, j] += f[b, i, y, x] * f[b, j, y, x] / 20
    assert torch.allclose(gram_matrix(f), expected)


def test_the_gradient_of_gram_is_the_numerical_one_and_autocast_leaves_it_alone() -> None:
    f = torch.randn(2, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gram_matrix, [f])
    wide = torch.randn(1, 4, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gram_matrix(wide), gram_matrix(wide).float())
        mixed = gram_matrix(wide)
    assert torch.equal(mixed, gram_matrix(wide))


def test_covariance_is_torchs() -> None:
    f = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    assert torch.allclose(covariance(f)[0], torch.cov(f[0].flatten(1), correction=0))
    assert torch.allclose(covariance(f + 5), covariance(f)), "a constant per channel does not matter"


def test_mean_and_std() -> None:
    f = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    mean, std = mean_std(f, eps=0.0)
    assert torch.allclose(mean, f.mean(dim=(2, 3)))
    assert torch.allclose(std.square(), (f - f.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(2, 3)))


def test_total_variation_of_a_ramp() -> None:
    ramp = torch.arange(5.0).expand(1, 1, 4, 5)
    assert float(total_variation(ramp)) == 1.0


@pytest.mark.parametrize("statistic", ["gram", "mean_std", "covariance"])
def test_a_picture_has_no_distance_to_itself_and_another_has(statistic: str) -> None:
    loss = PerceptualLoss(Tiny(), statistic=statistic)  # type: ignore[arg-type]
    a, b = loss.features(torch.rand(1, 3, 8, 8)), loss.features(torch.rand(1, 3, 8, 8) - 1)
    assert float(loss.content(a, a)) == 0
    assert float(loss.style(a, loss.style_code(a))) == 0
    assert float(loss.content(a, b)) > 0
    assert float(loss.style(a, loss.style_code(b))) > 0


def test_the_style_loss_is_gatys_equation() -> None:
    """E = sum (G - A)^2 / (4 N^2 M^2) with G a plain sum over M places: a quarter of our mean square."""
    loss = PerceptualLoss(Tiny(), style_layers=["relu1_1"])
    x, target = (loss.features(torch.rand(1, 3, 6, 6))["relu1_1"] for _ in range(2))
    n, m = 4, 36
    raw = [torch.einsum("bchw,bdhw->bcd", f, f) for f in (x, target)]
    gatys = (raw[0] - raw[1]).square().sum() / (4 * n**2 * m**2)
    ours = loss.style({"relu1_1": x}, loss.style_code({"relu1_1": target}))
    assert torch.allclose(ours, 4 * gatys)


def test_layer_weights_and_relative_errors() -> None:
    tiny = Tiny()
    f, g = (PerceptualLoss(tiny).features(torch.rand(1, 3, 8, 8)) for _ in range(2))

    def style(**options: object) -> float:
        loss = PerceptualLoss(tiny, **options)  # type: ignore[arg-type]
        return float(loss.style(f, loss.style_code(g)))

    one, two = style(style_layers=["relu1_1"]), style(style_layers=["relu2_1"])
    assert style(style_weights=[3.0, 0.5]) == pytest.approx(3 * one + 0.5 * two)
    loss = PerceptualLoss(tiny, relative=True)
    before = float(loss.style(f, loss.style_code(g)))
    scaled = [{k: 7 * v for k, v in features.items()} for features in (f, g)]
    assert float(loss.style(scaled[0], loss.style_code(scaled[1]))) == pytest.approx(before, rel=1e-5)


def test_mixing_codes_mixes_losses_up_to_a_constant() -> None:
    """Hence one target stands for several styles: the gradient is the weighted sum of theirs."""
    loss = PerceptualLoss(Tiny())
    a, b = (loss.style_code(loss.features(torch.rand(1, 3, 8, 8))) for _ in range(2))
    mixed = {k: 0.3 * a[k] + 0.7 * b[k] for k in a}
    x = torch.rand(1, 3, 8, 8, requires_grad=True)
    features = loss.features(x)
    (of_mix,) = torch.autograd.grad(loss.style(features, mixed), x, retain_graph=True)
    (of_sum,) = torch.autograd.grad(0.3 * loss.style(features, a) + 0.7 * loss.style(features, b), x)
    assert torch.allclose(of_mix, of_sum, atol=1e-7)
    assert float(of_mix.abs().max()) > 0


def test_it_is_not_in_checkpoints_but_follows_the_device_and_precision() -> None:
    loss = PerceptualLoss(Tiny())
    holder = nn.ModuleDict({"loss": loss}).double()
    assert holder.state_dict() == {}
    assert list(holder.parameters()) == []
    assert loss.features(torch.rand(1, 3, 8, 8, dtype=torch.float64))["relu1_1"].dtype == torch.float64


def test_the_network_is_cut_behind_the_deepest_layer_and_mistakes_are_named() -> None:
    tiny = Tiny()
    PerceptualLoss(tiny, style_layers=["relu1_1"], content_layers=["relu1_1"])
    assert tiny.cut == "relu1_1"
    with pytest.raises(UserError, match="no such layer"):
        PerceptualLoss(Tiny(), style_layers=["relu9_1"])
    with pytest.raises(UserError, match=r"model\.style_weights has 1 numbers for 2 style layers"):
        PerceptualLoss(Tiny(), style_weights=[1.0])
