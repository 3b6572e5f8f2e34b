"""The contract itself: what it hands on, and what a method that was written before it became smaller still can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from gan_style.inference.translator import LoadedTranslator
from gan_style.models.styled import Styled, optimizing, styled
from gan_style.models.translator import Generated, Images, Terms, Translator, kept
from gan_style.training.engine.engine import Engine, engine_of, method_of
from gan_style.training.engine.hooks import RunCallback, run_callbacks
from tests.small_models import made


class Shift(Translator):
    """Written against `Translator` alone, as before there was `Styled`: a style is its mean colour."""

    generators = ("G_AB",)
    takes_style = True

    def __init__(self, **training: Any) -> None:
        super().__init__(**training)
        self.G_AB = nn.Conv2d(3, 3, 1)

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        return self.G_AB(images)

    def generate(self, batch: Any) -> Images:
        return {"real_A": batch["A"], "real_B": batch["B"], "fake_B": self.G_AB(batch["A"])}

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        total = images["fake_B"].square().mean()
        return total, {"size": total}

    def style_code(self, images: Tensor) -> dict[str, Tensor]:
        return {"mean": images.mean((2, 3))}

    def stylize(self, images: Tensor, code: dict[str, Tensor]) -> Tensor:
        return (0 * images + code["mean"][..., None, None]).clamp(-1, 1)


def test_what_is_kept_is_no_picture_and_what_is_not_kept_is_said() -> None:
    images = Generated({"fake_B": torch.zeros(1, 3, 8, 8)}, code=5)
    assert list(images) == ["fake_B"]
    assert kept(images, "code") == 5
    for one in (images, dict(images)):
        with pytest.raises(KeyError, match="generate kept no labels beside its pictures"):
            kept(one, "labels")


@pytest.mark.parametrize("model", ["cut", "style_conditional"])
def test_in_evaluation_there_are_pictures_and_no_losses(model: str) -> None:
    method = made(f"model={model}").eval()
    images = method.generate({letter: torch.zeros(1, 3, 32, 32) for letter in "AB"})
    assert type(images) is dict
    with pytest.raises(KeyError, match="generate kept no"):
        method.generator_loss(images)


def test_a_method_with_styles_need_not_derive_from_styled() -> None:
    translator = LoadedTranslator(Shift(optimizer_G=torch.optim.Adam).eval(), {"A": "photo", "B": "painting"})
    red = torch.ones(3, 8, 8) * torch.tensor([1.0, -1, -1])[:, None, None]
    assert torch.equal(translator.translate(torch.zeros(3, 8, 8), style=[(red, 1.0)]), red)


def test_a_capability_is_asked_of_the_contract_before_its_methods_are() -> None:
    plain, adain, gatys = made(), made("model=adain"), made("model=gatys")
    assert isinstance(styled(adain), Styled)
    assert optimizing(gatys).steps > 0
    for ask, model in ((styled, plain), (optimizing, adain)):
        with pytest.raises(AssertionError):
            ask(model)
    flags = {name: (m.takes_style, m.takes_noise, m.optimizes_images, m.carries_vgg) for name, m in
             {"plain": plain, "adain": adain, "gatys": gatys}.items()}  # fmt: skip
    assert flags == {
        "plain": (False, False, False, False),
        "adain": (True, False, False, True),
        "gatys": (True, False, True, False),
    }


def test_the_engine_adds_no_weight_and_is_found_by_its_type() -> None:
    method = made()
    engine = Engine(method)
    assert [*engine.parameters()] == [*method.parameters()]
    assert engine_of(engine) is engine
    assert method_of(engine) is method
    method.iteration, method.skipped = 3, 2
    assert (engine.iteration, engine.position) == (3, 5)
    with pytest.raises(AssertionError, match="a LightningModule is no Engine"):
        engine_of(pl.LightningModule())


def test_only_callbacks_that_know_our_runs_are_asked() -> None:
    class Mine(RunCallback):
        def offers(self, model: Any, data: Any) -> dict[str, str]:
            return {"val/mine": "lowest"}

    mine = Mine()
    assert run_callbacks([pl.Callback(), mine]) == [mine]
    assert RunCallback().offers(made(), None) == {}


@pytest.mark.parametrize("model", ["cyclegan", "two_branch"])
def test_strength_goes_through_the_branches_of_a_generator_of_any_method(model: str) -> None:
    method: Any = made(f"model={model}", "model/generator=two_branch", "model.generator.filters=4").eval()
    method.G_AB.alpha = 0.5
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(method.interpolate(x, "A2B", 0.5), method.G_AB(x, alpha=0.25))


def test_notes_of_a_method_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(made())
    say: Callable[[str | None], None] = engine._say
    say(None)
    say("note: a sentence")
    assert capsys.readouterr().out == "note: a sentence\n"
