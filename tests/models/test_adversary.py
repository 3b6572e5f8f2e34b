"""Adversarial loss and gradient penalties: one choice, the same for every method that has discriminators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.types import GanMode
from gan_style.losses.adversarial import adversarial
from gan_style.models.gcgan import GcGAN
from gan_style.models.translator import Images, Terms, Translator, kept
from gan_style.models.unsb import UNSB
from gan_style.testing import build_model, check_resume, check_turns, example_batch
from gan_style.training.engine.optimizers import goes_on
from tests.conftest import small_config

METHODS = (
    "cyclegan",
    "cut",
    "fastcut",
    "dclgan",
    "simdcl",
    "santa",
    "enco",
    "unsb",
    "ugatit",
    "munit",
    "unit",
    "gcgan",
    "qsattn",
    "stegogan",
    "sincut",
    "perceptual_gan",
    "two_branch",
    "style_conditional",
)
SEVERAL_JUDGES = {"ugatit"}  # here one, so that a term is a domain's; all of them: tests/models/test_ugatit.py
NO_POOL = {"cyclegan", "gcgan", "stegogan", "perceptual_gan", "two_branch"}  # which have one that a test switches off
PENALTIES = {"lambda_r1": 2.0, "lambda_r2": 3.0, "lambda_gp": 5.0, "lambda_gp0": 7.0}


def method(name: str, *words: str, **settings: Any) -> Translator:
    """A method by words of a command, and settings put into its config: composing one takes longer than most tests."""
    pool = ("model.pool_size=0",) if name in NO_POOL else ()
    judge = ("model/discriminator=patch70",) if name in SEVERAL_JUDGES else ()
    config = small_config(f"model={name}", *pool, *judge, *words)
    assert settings.keys() <= config["model"].keys()
    return build_model(config | {"model": config["model"] | settings}).train()


def generated(model: Translator) -> Images:
    """What a method makes of the example, and of GcGAN the pictures that its second discriminator judges."""
    images = model.generate(example_batch())
    if isinstance(model, GcGAN):
        fake = kept(images, "transformed")["fake_B"]
        images |= {"real_T": model.transformed(images["real_B"]), "fake_T": fake}
    return images


def judges(model: Translator, images: Images) -> dict[str, Callable[[Tensor], Tensor]]:
    """Domain -> the function of pictures that gives its discriminator's logits."""
    if "D" in model.discriminators:
        return {"B": lambda x: model.D(x, kept(images, "labels"))}
    if isinstance(model, UNSB):
        return {"B": lambda x: model.D_B(x, kept(images, "step"))}
    return {name[-1]: getattr(model, name) for name in model.discriminators}


@pytest.mark.parametrize("mode", get_args(GanMode))
@pytest.mark.parametrize("name", METHODS)
def test_every_method_plays_by_every_loss(name: str, mode: str) -> None:
    model = method(name, gan_mode=mode, lambda_r1=0.0)
    torch.manual_seed(1)
    images = generated(model)
    terms_of_G, (total, terms_of_D) = model.generator_loss(images)[1], model.discriminator_loss(images)
    loss, expected = adversarial(mode), 0.0
    for domain, judge in judges(model, images).items():
        real, fake = judge(images[f"real_{domain}"]), judge(images[f"fake_{domain}"].detach())
        term = terms_of_G.get(f"gan_{domain}", terms_of_G.get("gan"))
        assert term is not None
        assert term.item() == pytest.approx(loss.generator(fake, real).item(), rel=1e-4)
        assert terms_of_D[domain].item() == pytest.approx(loss.discriminator(real, fake).item(), rel=1e-4)
        expected += terms_of_D[domain].item()
    critics = sum(value.item() for term, value in terms_of_D.items() if term == "critic")
    assert total.item() == pytest.approx(expected + critics)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_every_penalty_and_now_and_then(name: str) -> None:
    model = method(name, **PENALTIES, penalty_every=3)
    images = generated(model)
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
        model = method(name, gan_mode=mode)
        last, seen = getattr(model, model.discriminators[-1]), []
        images = model.generate(example_batch())
        last.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        model.generator_loss(images)
        assert len(seen) == passes
        check_turns(method(name, gan_mode=mode), example_batch())


def test_a_relativistic_run_with_both_penalties_resumes_bit_for_bit(tmp_path: Path) -> None:
    words = ("model.gan_mode=relativistic", "model.lambda_r1=0.5", "model.lambda_r2=0.5", "model.penalty_every=2")
    check_resume(small_config(*words, "~callbacks.set_scores", "~callbacks.cycle_scores"), tmp_path)


@pytest.mark.parametrize(("key", "value"), [("gan_mode", "hinge"), ("lambda_r1", 1.0), ("lambda_gp0", 1.0)])
def test_a_method_without_discriminators_refuses_them(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"model\.{key}={value} is for discriminators, and AdaIN has none"):
        build_model(small_config("model=adain", f"+model.{key}={value}"))


class OldContract(Translator):
    """A method as they were written before the losses were the base class's."""

    generators = ("G_AB",)
    discriminators = ("D_B",)

    def __init__(self, **training: Any) -> None:
        super().__init__(optimizer_G=torch.optim.Adam, **training)
        self.G_AB, self.D_B = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 1, 1)
        self.gan_mode, self.gan = "lsgan", adversarial("lsgan")

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        return {"real_A": batch["A"], "real_B": batch["B"], "fake_B": self.G_AB(batch["A"])}

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        gan = self.gan.generator(self.D_B(images["fake_B"]))
        return gan, {"gan": gan}

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        loss = self.gan.discriminator(self.D_B(images["real_B"]), self.D_B(images["fake_B"].detach()))
        return loss, {"B": loss}


def test_a_method_with_losses_of_its_own_trains_and_refuses_what_it_would_not_use() -> None:
    check_turns(OldContract(), example_batch())
    for key, value in {"gan_mode": "hinge", "lambda_r1": 1.0, "lambda_gp": 10.0}.items():
        with pytest.raises(UserError, match=rf"model\.{key}={value} is for methods that declare gan_mode"):
            OldContract(**{key: value})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model.lambda_gp=10",), "model.lambda_gp puts pictures of A and B"),
        (("model.lambda_gp0=1",), "model.lambda_gp0 puts pictures of A and B"),
        (("model.gan_mode=relativistic",), "an adversarial loss that is relativistic puts pictures"),
    ],
)
def test_losses_that_pair_pictures_want_them_of_one_size(
    run: Callable[..., Path], words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        run("sizes", *words, "data.preprocess=none", "trainer.max_steps=1")


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("dclgan", {"lrr": 1e-3}, "model.optimizer_H"),
        ("dclgan", {"lr": -1.0}, "model.optimizer_H: Invalid learning rate"),
        ("cyclegan", {"lr": 1e-3}, "model.optimizer_H is for helpers, and CycleGAN has none"),
    ],
)
def test_settings_of_helpers_are_checked(name: str, settings: dict[str, float], said: str) -> None:
    text = ",".join(f"{key}:{value}" for key, value in settings.items())
    plus = "" if name == "dclgan" else "+"
    words = ["~model.optimizer_H", f"+model.optimizer_H={{{text}}}"] if not plus else [f"+model.optimizer_H={{{text}}}"]
    with pytest.raises(UserError, match=said):
        method(name, *words)


def test_an_optimiser_with_other_groups_begins_anew() -> None:
    grouped, plain = method("dclgan"), method("dclgan", "model.optimizer_H=null")
    make = plain.make_optimizer["G"]
    saved = grouped.make_optimizer["G"](grouped.parameter_groups("G")).state_dict()
    assert not goes_on(make(plain.parameter_groups("G")), make, saved)
    assert goes_on(make(grouped.parameter_groups("G")), make, saved)


def test_several_conditional_judges_are_weighed_and_named() -> None:
    words = [
        "model/discriminator=conditional",
        "model.discriminator.filters=4",
    ]
    model = method("style_conditional", *words)
    images = model.generate(example_batch())
    one = model.D

    class Two(nn.Module):
        judge_weights, judge_modes = {"a": 1.0, "b": 0.5}, {}

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return {"a": one(x, labels), "b": 2 * one(x, labels)}

    before, terms = model.generator_loss(images)
    model.D, model.__dict__["gan"] = Two(), adversarial("vanilla", Two.judge_weights)
    total, found = model.generator_loss(images)
    assert {"gan_B_a", "gan_B_b"} <= found.keys()
    expected = before - terms["gan_B"] + found["gan_B_a"] + 0.5 * found["gan_B_b"]
    assert total.item() == pytest.approx(expected.item(), rel=1e-4)
