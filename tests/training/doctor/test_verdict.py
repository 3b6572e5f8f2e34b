"""What the doctor asks about discriminators is declared by the method, not guessed from its attributes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_style.models.translator import Translator
from gan_style.training.doctor.verdict import verdict
from tests.small_models import made

METHODS = (
    "cyclegan",
    "cut",
    "dclgan",
    "simdcl",
    "santa",
    "enco",
    "ugatit",
    "unsb",
    "munit",
    "unit",
    "gcgan",
    "qsattn",
    "stegogan",
    "sincut",
    "perceptual_gan",
    "style_conditional",
)


class Own(Translator):
    """A method with an adversarial loss of its own making, and nothing called `gan`."""

    generators = ("G_AB",)
    discriminators = ("D_B",)

    def __init__(self, mode: str | None) -> None:
        super().__init__(optimizer_G=torch.optim.Adam)
        self.gan_mode = mode
        self.G_AB, self.D_B = nn.Identity(), nn.Identity()


def images() -> dict[str, Tensor]:
    return {"real_B": torch.ones(2, 1, 4, 4), "fake_B": torch.zeros(2, 1, 4, 4)}


def test_a_method_says_the_mode_of_its_loss() -> None:
    found = verdict(Own("lsgan"), {}, images())
    assert {name: float(value) for name, value in found.items()} == {"D_B/right": 1.0, "D_B/certainty": 1.0}


def test_belief_in_a_cross_entropy_is_its_sigmoid() -> None:
    for mode in ("vanilla", "nonsaturating"):
        found = verdict(Own(mode), {}, {"real_B": torch.ones(2, 1, 4, 4), "fake_B": -torch.ones(2, 1, 4, 4)})
        expected = 1 / (1 + math.exp(-1)) - 1 / (1 + math.exp(1))
        assert float(found["D_B/certainty"]) == pytest.approx(expected)


@pytest.mark.parametrize("mode", [None, "wgan", "relativistic", "mine"])
def test_logits_without_a_threshold_have_no_verdict(mode: str | None) -> None:
    assert verdict(Own(mode), {}, images()) == {}


@pytest.mark.parametrize("name", METHODS)
def test_methods_with_discriminators_declare_it(name: str) -> None:
    model: Any = made(f"model={name}", **({"styles": 2} if name == "style_conditional" else {}))
    assert model.gan_mode == model.gan.mode
