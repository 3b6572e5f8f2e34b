"""Several judges in one discriminator: their names, weights and losses, and one that sees texture alone."""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.losses.adversarial import adversarial
from gan_style.losses.gradient_penalty import r1_penalty
from gan_style.networks.attention import AttentionDiscriminator
from gan_style.networks.contract import judges_of, minimum_size
from gan_style.networks.judges import ColourDiscriminator, Judges, TextureDiscriminator
from gan_style.networks.patchgan import PatchDiscriminator

Run = Callable[..., Path]
TWO = {
    "patch": lambda in_channels: PatchDiscriminator(in_channels, filters=4, layers=2, norm="none"),
    "texture": lambda in_channels: TextureDiscriminator(in_channels, filters=4),
}


def images(size: int = 40, seed: int = 0) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_loss_is_the_weighted_sum_of_the_judges_and_each_is_a_term() -> None:
    torch.manual_seed(0)
    judges = Judges(judges=TWO, weights={"texture": 0.25}, gan_modes={"texture": "hinge"}).eval()
    loss = adversarial("lsgan", *judges_of(judges))
    real, fake = judges(images(seed=1)), judges(images(seed=2))
    total, terms = loss.generator_terms("gan_B", fake)
    patch, texture = (fake["patch"] - 1).square().mean(), -fake["texture"].mean()
    assert list(terms) == ["gan_B_patch", "gan_B_texture"]
    assert terms["gan_B_patch"].item() == pytest.approx(patch.item(), rel=1e-6)
    assert terms["gan_B_texture"].item() == pytest.approx(texture.item(), rel=1e-6)
    assert total.item() == pytest.approx((patch + 0.25 * texture).item(), rel=1e-6)
    total, terms = loss.discriminator_terms("B", real, fake)
    patch = 0.5 * ((real["patch"] - 1).square().mean() + fake["patch"].square().mean())
    texture = (1 - real["texture"]).clamp(min=0).mean() + (1 + fake["texture"]).clamp(min=0).mean()
    assert list(terms) == ["B_patch", "B_texture"]
    assert total.item() == pytest.approx((patch + 0.25 * texture).item(), rel=1e-6)


def test_a_gradient_penalty_is_that_of_all_logits_together() -> None:
    torch.manual_seed(0)
    judges = Judges(judges=TWO).eval()
    x = images().requires_grad_()
    shares = [one.sum() / one[0].numel() ** 0.5 for one in judges(x).values()]
    (gradient,) = torch.autograd.grad(sum(shares), x)  # type: ignore[arg-type]
    expected = 0.5 * gradient.square().sum((1, 2, 3)).mean()
    assert r1_penalty(judges, images()).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_texture_judge_sees_no_colour_and_no_light_but_strokes() -> None:
    torch.manual_seed(0)
    judge = TextureDiscriminator(filters=8).eval()
    flat = torch.full((1, 3, 48, 48), -0.5)
    ramp = flat + 0.01 * torch.arange(48.0)  # light that changes slowly
    strokes = flat + 0.3 * (-1.0) ** torch.arange(48.0)
    inside = (..., slice(6, -6), slice(6, -6))  # away from the border, which is repeated
    with torch.no_grad():
        bright, dark, lit, painted = (judge(x)[inside] for x in (flat + 1, flat, ramp, strokes))
    assert torch.allclose(bright, dark, atol=1e-5)
    assert (lit - dark).abs().max() < 1e-4
    assert (painted - dark).abs().max() > 100 * (lit - dark).abs().max()


def test_the_texture_judge_takes_away_a_gaussian() -> None:
    """Its input, against the definition written out for one pixel."""
    torch.manual_seed(0)
    judge, seen = TextureDiscriminator(filters=4, sigma=1.0, gain=3.0).eval(), []
    judge.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = images(20)
    judge(x)
    taps = [math.exp(-(i**2) / 2) for i in range(-3, 4)]
    mean = sum(
        taps[i] * taps[j] / sum(taps) ** 2 * x[0, 1, 10 + i - 3, 9 + j - 3].item() for i in range(7) for j in range(7)
    )
    assert seen[0][0, 1, 10, 9].item() == pytest.approx(3 * (x[0, 1, 10, 9].item() - mean), abs=1e-5)


@pytest.mark.parametrize(("downsample", "side"), [("stride", 16), ("blur", 18)])
def test_a_logit_of_the_texture_judge_sees_one_patch(downsample: Any, side: int) -> None:
    """By the gradient of a logit; anti-aliased the patch is wider by what the binomial filter sees."""
    judge, seen = TextureDiscriminator(filters=4, downsample=downsample).eval(), []
    judge.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].retain_grad() or given[0]))
    judge(images(48).requires_grad_())[0, 0, 10, 10].backward()
    rows = seen[0].grad[0].abs().sum((0, 2)).nonzero()
    assert judge.minimum_size == judge.receptive_field == side
    assert int(rows.max() - rows.min()) + 1 == side


def test_the_colour_judge_sees_means_of_squares_alone() -> None:
    torch.manual_seed(0)
    judge = ColourDiscriminator(filters=8).eval()
    flat = torch.full((1, 3, 64, 64), -0.5)
    strokes = flat + 0.3 * (-1.0) ** torch.arange(64.0)
    with torch.no_grad():
        bright, dark, painted = (judge(x) for x in (flat + 0.2, flat, strokes))
        assert torch.allclose(painted, dark, atol=1e-6)
        assert (bright - dark).abs().max() > 1e-3, "no norm hides a picture's mean colour"
        x = images(64)
        squares = x.unflatten(2, (16, 4)).unflatten(4, (16, 4)).mean((3, 5))
        torch.testing.assert_close(judge(x), judge.layers(2 * squares))


def test_the_least_image_of_the_colour_judge() -> None:
    judge = ColourDiscriminator(filters=4)
    assert (judge.receptive_field, judge.minimum_size) == (64, 24)
    assert judge(images(24)).shape == (2, 1, 1, 1)
    with pytest.raises(UserError, match=r"23x23.*ColourDiscriminator, which needs at least 24x24"):
        judge(images(23))


def test_the_smallest_image_is_one_patch_of_the_largest_judge() -> None:
    judges = Judges(judges=TWO)
    assert minimum_size(judges) == minimum_size(TextureDiscriminator()) == 16
    with pytest.raises(UserError, match=r"15x15.*TextureDiscriminator, which needs at least 16x16"):
        judges(images(15))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"weights": {"colour": 1.0}}, "model.discriminator.weights.colour is for no judge: there are patch, texture"),
        ({"gan_modes": {"fine": "hinge"}}, "gan_modes.fine is for no judge"),
        ({"judges": {"patch": None}}, "names none"),
        ({"judges": {"keys": TWO["patch"]}}, "judges.keys cannot be the name"),
        ({"judges": {"a b": TWO["patch"]}}, "judges.a b cannot be the name"),
    ],
)
def test_a_name_that_is_no_judge_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Judges(**({"judges": TWO} | more))


def test_a_loss_that_does_not_know_the_weights_is_refused() -> None:
    with pytest.raises(UserError, match="judge patch counts"):
        adversarial("lsgan").generator(Judges(judges=TWO)(images()))


@pytest.mark.parametrize("model", ["cyclegan", "cut", "perceptual_gan"])
def test_every_judge_is_logged_by_its_name(run: Run, model: str) -> None:
    small = [f"model.discriminator.judges.{name}.filters=4" for name in TWO]
    vgg = ["model.vgg.weights=random"] if model == "perceptual_gan" else []
    folder = run(
        model,
        f"model={model}",
        "model/discriminator=patches",
        *small,
        *vgg,
        "trainer.max_steps=2",
        "data.image_size=32",
    )
    with open(folder / "metrics.csv", newline="") as file:
        row = list(csv.DictReader(file))[-1]
    gan = "gan" if model == "perceptual_gan" else "gan_B"
    wanted = {f"train/G_{gan}_{judge}" for judge in TWO} | {f"train/D_B_{judge}" for judge in TWO}
    assert wanted <= row.keys()
    assert all(math.isfinite(float(row[name])) for name in wanted)


def test_two_judges_of_one_name_are_refused() -> None:
    patch = functools.partial(PatchDiscriminator, filters=4, layers=1)
    attention = functools.partial(AttentionDiscriminator, filters=4, layers=3)
    with pytest.raises(UserError, match="two judges called g_cam: rename one"):
        Judges(judges={"g": attention, "g_cam": patch})
