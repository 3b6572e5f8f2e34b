"""The GAN with VGG losses, and its additive generator."""

from __future__ import annotations

import pytest
import torch

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.models.perceptual_gan import PerceptualGAN, style_share
from gan_style.networks.two_branch import TwoBranchGenerator
from gan_style.networks.vgg import VGG
from tests.conftest import composed

TINY = (
    "data=tiny",
    "model.vgg.weights=random",
    "model.vgg.depth=relu2_1",
    "model.generator.filters=4",
    "model.generator.blocks=1",
    "model.discriminator.filters=4",
    "name=test",
)


def made(*overrides: str) -> PerceptualGAN:
    torch.manual_seed(0)
    model = build(composed(*TINY, *overrides)["model"], channels_A=3, channels_B=3)
    assert isinstance(model, PerceptualGAN)
    return model


def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {"A": torch.rand(1, 3, 32, 32) * 2 - 1, "B": torch.rand(1, 3, 32, 32) * 2 - 1}


def test_the_total_is_the_weighted_sum_of_terms_written_out() -> None:
    weights = ("model.lambda_gan=0.5", "model.lambda_content=3", "model.lambda_style=7", "model.lambda_tv=2")
    model = made("model=perceptual_gan", *weights, "model.relative=false")
    images = model.generate(batch())
    total, terms = model.generator_loss(images)
    vgg = VGG("random", depth="relu2_1")
    fake, A, B = (vgg(images[k], ["relu1_1", "relu2_1"]) for k in ("fake_B", "real_A", "real_B"))
    gan = (model.D_B(images["fake_B"]) - 1).square().mean()
    content = (fake["relu2_1"] - A["relu2_1"]).square().mean()
    style = torch.zeros(())
    for layer in ("relu1_1", "relu2_1"):
        grams = [torch.einsum("bchw,bdhw->bcd", f[layer], f[layer]) / f[layer][0, 0].numel() for f in (fake, B)]
        style = style + (grams[0] - grams[1]).square().mean()
    x = images["fake_B"]
    tv = x.diff(dim=-1).abs().mean() + x.diff(dim=-2).abs().mean()
    for name, expected in {"gan": gan, "content": content, "style": style, "tv": tv}.items():
        assert torch.allclose(terms[name], expected, rtol=1e-4), name
    assert torch.allclose(total, 0.5 * gan + 3 * content + 7 * style + 2 * tv, rtol=1e-4)


def test_the_gradient_of_the_style_reaches_the_generator_and_vgg_does_not_move() -> None:
    model = made("model=perceptual_gan", "model.lambda_gan=0", "model.lambda_content=0")
    model.generator_loss(model.generate(batch()))[0].backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in [next(model.G_AB.parameters())] if p.grad is not None)
    assert next(model.G_AB.parameters()).grad is not None
    assert not any("vgg" in name for name, _ in model.named_parameters())
    assert not any("convolutions" in key for key in model.state_dict())


def test_the_two_branches_add_up() -> None:
    torch.manual_seed(0)
    generator = TwoBranchGenerator(filters=4, blocks=1, alpha=0.7)
    x = torch.rand(2, 3, 33, 47) * 2 - 1
    content, style = generator.branches(x)
    assert content.shape == style.shape == x.shape
    assert torch.allclose(generator(x), torch.tanh(content + 0.7 * style))
    assert torch.allclose(generator(x, alpha=0.0), torch.tanh(content))
    assert not torch.equal(generator(x, alpha=0.0), generator(x, alpha=1.0))
    assert bool((content != 0).any())


def test_two_branch_shows_both_and_takes_a_strength() -> None:
    model = made("model=two_branch")
    images = model.generate(batch())
    assert {"content_B", "style_B"} <= set(images)
    _, terms = model.generator_loss(images)
    assert torch.allclose(terms["branch"], (images["content_B"] - images["real_A"]).abs().mean())
    assert 0 < float(terms["style_share"]) < 1
    x = batch()["A"]
    assert torch.allclose(model.interpolate(x, "A2B", 0.0), images["content_B"])
    assert torch.allclose(model.interpolate(x, "A2B", 1.0), model.translate(x))


def test_the_share_of_energy_and_the_note_about_a_degenerate_split() -> None:
    x = torch.randn(1, 3, 8, 8)
    assert float(style_share(x, x)) == pytest.approx(0.5)
    assert float(style_share(x, 2 * x + 5)) == pytest.approx(0.8), "a constant has no energy"
    model = made("model=two_branch")
    model.iteration = 3
    model._last_share = torch.tensor(0.3)
    assert model.before_validation() is None
    model._last_share = torch.tensor(0.001)
    assert "the style branch holds 0.1% of the energy at iteration 3" in (model.before_validation() or "")


def test_a_branch_loss_without_branches_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.lambda_branch=1\.0 needs a generator with branches"):
        made("model=perceptual_gan", "model.lambda_branch=1")


def test_any_method_takes_the_additive_generator() -> None:
    model = build(
        composed(*TINY[3:], "data=tiny", "model=cyclegan", "model/generator=two_branch")["model"],
        channels_A=3,
        channels_B=3,
    )
    assert model.translate(batch()["A"]).shape == (1, 3, 32, 32)
