"""Adversarial loss and gradient penalties: one choice, the same for every method that has discriminators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.types import GanMode
from gan_style.losses.adversarial import adversarial
from gan_style.models.translator import Images, Translator, kept
from gan_style.testing import build_model, check_resume, check_turns, example_batch
from tests.conftest import small_config

METHODS = (
    "cyclegan",
    "cut",
    "fastcut",
    "dclgan",
    "simdcl",
    "santa",
    "enco",
    "perceptual_gan",
    "two_branch",
    "style_conditional",
)
NO_POOL = {"cyclegan", "perceptual_gan", "two_branch"}  # which have one that a test switches off
PENALTIES = {"lambda_r1": 2.0, "lambda_r2": 3.0, "lambda_gp": 5.0, "lambda_gp0": 7.0}


def method(name: str, *words: str) -> Translator:
    pool = ("model.pool_size=0",) if name in NO_POOL else ()
    return build_model(small_config(f"model={name}", *pool, *words)).train()


def judges(model: Translator, images: Images) -> dict[str, Callable[[Tensor], Tensor]]:
    """Domain -> the function of pictures that gives its discriminator's logits."""
    if "D" in model.discriminators:
        return {"B": lambda x: model.D(x, kept(images, "labels"))}
    return {name[-1]: getattr(model, name) for name in model.discriminators}


@pytest.mark.parametrize("mode", get_args(GanMode))
@pytest.mark.parametrize("name", METHODS)
def test_every_method_plays_by_every_loss(name: str, mode: str) -> None:
    model = method(name, f"model.gan_mode={mode}", "model.lambda_r1=0")
    torch.manual_seed(1)
    images = model.generate(example_batch())
    terms_of_G, (total, terms_of_D) = model.generator_loss(images)[1], model.discriminator_loss(images)
    loss, expected = adversarial(mode), 0.0
    for domain, judge in judges(model, images).items():
        real, fake = judge(images[f"real_{domain}"]), judge(images[f"fake_{domain}"].detach())
        term = terms_of_G.get(f"gan_{domain}", terms_of_G.get("gan"))
        assert term is not None
        assert term.item() == pytest.approx(loss.generator(fake, real).item(), rel=1e-4)
        assert terms_of_D[domain].item() == pytest.approx(loss.discriminator(real, fake).item(), rel=1e-4)
        expected += terms_of_D[domain].item()
    assert total.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_every_penalty_and_now_and_then(name: str) -> None:
    weights = [f"model.{key}={value}" for key, value in PENALTIES.items()]
    model = method(name, *weights, "model.penalty_every=3")
    images = model.generate(example_batch())
    torch.manual_seed(2)
    total, terms = model.discriminator_loss(images)
    torch.manual_seed(2)
    for domain, judge in judges(model, images).items():
        real, fake = images[f"real_{domain}"], images[f"fake_{domain}"].detach()
        mixed = [real + torch.rand(len(real), 1, 1, 1) * (fake - real) for _ in range(2)]
        squares = [slope(judge, x) for x in (real, fake, *mixed)]
        expected = {
            "r1": squares[0].mean() / 2,
            "r2": squares[1].mean() / 2,
            "gp": (squares[2].sqrt() - 1).square().mean(),
            "gp0": squares[3].mean(),
        }
        for kind, value in expected.items():
            assert terms[f"{kind}_{domain}"].item() == pytest.approx(value.item(), rel=2e-4), kind
    parts = {key.rsplit("_", 1)[0]: key for key in terms if "_" in key}
    assert parts.keys() == {"r1", "r2", "gp", "gp0"}
    weighted = sum(3 * PENALTIES[f"lambda_{key.split('_')[0]}"] * terms[key] for key in terms if "_" in key)
    plain = sum(value for key, value in terms.items() if "_" not in key)
    assert total.item() == pytest.approx((plain + weighted).item(), rel=1e-5)
    for iteration, there in ((1, False), (2, False), (3, True)):
        model.iteration = iteration
        assert any("_" in key for key in model.discriminator_loss(images)[1]) is there


def slope(judge: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """Squared norm of the gradient of the sum of logits over the root of their number, [B]."""
    x = x.detach().requires_grad_()
    logits = judge(x)
    maps = [logits] if isinstance(logits, Tensor) else logits
    total = torch.stack([one.sum() / (one.numel() / len(one)) ** 0.5 for one in maps]).sum()
    return torch.autograd.grad(total, x)[0].square().flatten(1).sum(1).detach()


@pytest.mark.parametrize("name", METHODS)
def test_only_a_relativistic_loss_looks_at_real_pictures_in_the_generators_turn(name: str) -> None:
    for mode, passes in (("hinge", 1), ("relativistic", 2)):
        model = method(name, f"model.gan_mode={mode}")
        last, seen = getattr(model, model.discriminators[-1]), []
        images = model.generate(example_batch())
        last.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        model.generator_loss(images)
        assert len(seen) == passes
        check_turns(method(name, f"model.gan_mode={mode}"), example_batch())


def test_a_relativistic_run_with_both_penalties_resumes_bit_for_bit(tmp_path: Path) -> None:
    words = ("model.gan_mode=relativistic", "model.lambda_r1=0.5", "model.lambda_r2=0.5", "model.penalty_every=2")
    check_resume(small_config(*words, "~callbacks.set_scores", "~callbacks.cycle_scores"), tmp_path)


@pytest.mark.parametrize(("key", "value"), [("gan_mode", "hinge"), ("lambda_r1", 1.0), ("lambda_gp0", 1.0)])
def test_a_method_without_discriminators_refuses_them(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"model\.{key}={value} is for discriminators, and AdaIN has none"):
        build_model(small_config("model=adain", f"+model.{key}={value}"))
