"""Adversarial losses against the papers' formulas written out with loops."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.losses.adversarial import adversarial

MODES = ["lsgan", "lsgan_sum", "vanilla", "nonsaturating", "hinge", "hinge_both", "wgan"]


def log_sigmoid(logit: float) -> float:
    return math.log(1 / (1 + math.exp(-logit)))


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def generator_by_hand(mode: str, fake: np.ndarray) -> float:
    equation = {
        "lsgan": lambda logit: (logit - 1) ** 2,
        "lsgan_sum": lambda logit: (logit - 1) ** 2,
        "vanilla": lambda logit: -log_sigmoid(logit),
        "nonsaturating": lambda logit: -log_sigmoid(logit),
        "hinge": lambda logit: -logit,
        "hinge_both": lambda logit: max(0.0, 1 - logit),
        "wgan": lambda logit: -logit,
    }[mode]
    return mean([equation(float(logit)) for logit in fake.flat])


def discriminator_by_hand(mode: str, real: np.ndarray, fake: np.ndarray) -> float:
    on_real, on_fake, factor = {
        "lsgan": (lambda logit: (logit - 1) ** 2, lambda logit: logit**2, 0.5),
        "lsgan_sum": (lambda logit: (logit - 1) ** 2, lambda logit: logit**2, 1.0),
        "vanilla": (lambda logit: -log_sigmoid(logit), lambda logit: -log_sigmoid(-logit), 0.5),
        "nonsaturating": (lambda logit: -log_sigmoid(logit), lambda logit: -log_sigmoid(-logit), 1.0),
        "hinge": (lambda logit: max(0.0, 1 - logit), lambda logit: max(0.0, 1 + logit), 1.0),
        "hinge_both": (lambda logit: max(0.0, 1 - logit), lambda logit: max(0.0, 1 + logit), 0.5),
        "wgan": (lambda logit: -logit, lambda logit: logit, 1.0),
    }[mode]
    reals, fakes = (
        [on_real(float(logit)) for logit in real.flat],
        [on_fake(float(logit)) for logit in fake.flat],
    )
    return factor * (mean(reals) + mean(fakes))


@pytest.fixture
def logits() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real = 2 * torch.randn(3, 1, 4, 5, dtype=torch.float64, generator=generator) + 0.5
    fake = 2 * torch.randn(2, 1, 4, 5, dtype=torch.float64, generator=generator) - 0.5
    return real, fake


@pytest.mark.parametrize("mode", MODES)
def test_one_map_against_the_formula(mode: str, logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits
    loss = adversarial(mode)
    assert loss.mode == mode
    assert loss.generator(fake).item() == pytest.approx(generator_by_hand(mode, fake.numpy()), abs=1e-12)
    expected = discriminator_by_hand(mode, real.numpy(), fake.numpy())
    assert loss.discriminator(real, fake).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_scales_count_alike_whatever_their_size(mode: str, logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits
    reals, fakes = [real, real[:1, :, :2, :2]], [fake, fake[:1, :, :2, :2]]
    loss = adversarial(mode)
    expected = mean([generator_by_hand(mode, one.numpy()) for one in fakes])
    assert loss.generator(fakes).item() == pytest.approx(expected, abs=1e-12)
    pairs = zip(reals, fakes, strict=True)
    expected = mean([discriminator_by_hand(mode, one.numpy(), other.numpy()) for one, other in pairs])
    assert loss.discriminator(reals, tuple(fakes)).item() == pytest.approx(expected, abs=1e-12)


def test_relativistic_compares_each_place_with_the_same_of_the_other(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits[0][:2], logits[1]
    loss = adversarial("relativistic")
    assert loss.relative
    pairs = [(float(r), float(f)) for r, f in zip(real.flatten(), fake.flatten(), strict=True)]
    of_G, of_D = mean([-log_sigmoid(f - r) for r, f in pairs]), mean([-log_sigmoid(r - f) for r, f in pairs])
    assert loss.generator(fake, real).item() == pytest.approx(of_G, abs=1e-12)
    assert loss.discriminator(real, fake).item() == pytest.approx(of_D, abs=1e-12)
    assert loss.generator([fake, fake], [real, fake]).item() == pytest.approx((of_G + math.log(2)) / 2)
    with pytest.raises(UserError, match="gan_mode=relativistic compares fakes with real pictures"):
        loss.generator(fake)


def test_one_judge_may_be_relativistic(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits[0][:2], logits[1]
    loss = adversarial("lsgan", {"one": 1.0, "two": 0.5}, {"two": "relativistic"})
    assert loss.relative
    found, terms = loss.generator_terms("gan", {"one": fake, "two": fake}, {"one": real, "two": real})
    assert terms["gan_two"].item() == pytest.approx(adversarial("relativistic").generator(fake, real).item())
    assert found.item() == pytest.approx((terms["gan_one"] + 0.5 * terms["gan_two"]).item())
    assert not adversarial("lsgan", {"one": 1.0}, {"one": "hinge"}).relative


def test_different_numbers_of_scales_are_refused(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits
    with pytest.raises(ValueError, match="shorter"):
        adversarial("lsgan").discriminator([real, real], [fake])


@pytest.mark.parametrize(
    ("mode", "real", "fake", "expected"),
    [
        ("lsgan", 1.0, 0.0, 0.0),
        ("lsgan", 0.0, 1.0, 1.0),
        ("lsgan", 0.5, 0.5, 0.25),
        ("vanilla", 0.0, 0.0, math.log(2)),
        ("vanilla", 200.0, -200.0, 0.0),
        ("hinge", 1.0, -1.0, 0.0),
        ("hinge", 5.0, -5.0, 0.0),
        ("hinge", 0.0, 0.0, 2.0),
        ("wgan", 3.0, -4.0, -7.0),
    ],
)
def test_known_values_of_the_discriminator(mode: str, real: float, fake: float, expected: float) -> None:
    maps = torch.full((2, 1, 3, 3), real), torch.full((2, 1, 3, 3), fake)
    assert adversarial(mode).discriminator(*maps).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("mode", "fake", "expected"),
    [
        ("lsgan", 1.0, 0.0),
        ("lsgan", -1.0, 4.0),
        ("vanilla", 0.0, math.log(2)),
        ("vanilla", -1000.0, 1000.0),  # log(sigmoid) alone would be infinite
        ("hinge", 2.5, -2.5),
        ("wgan", 2.5, -2.5),
    ],
)
def test_known_values_of_the_generator(mode: str, fake: float, expected: float) -> None:
    assert adversarial(mode).generator(torch.full((1, 1, 2, 2), fake)).item() == pytest.approx(expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("start", [-3.0, -0.5, 0.0, 0.5])
def test_a_generator_step_raises_every_fake_logit(mode: str, start: float) -> None:
    fake = torch.full((2, 1, 3, 3), start, requires_grad=True)
    adversarial(mode).generator(fake).backward()
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_discriminator_step_parts_real_from_fake(mode: str) -> None:
    real, fake = (torch.full((2, 1, 3, 3), value, requires_grad=True) for value in (0.2, 0.4))
    adversarial(mode).discriminator(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()


def test_hinge_leaves_alone_what_is_beyond_the_margin() -> None:
    real, fake = torch.tensor([1.5], requires_grad=True), torch.tensor([-1.5], requires_grad=True)
    adversarial("hinge").discriminator(real, fake).backward()
    assert real.grad.item() == fake.grad.item() == 0


def test_vanilla_does_not_saturate_on_hopeless_fakes() -> None:
    fake = torch.tensor([-50.0], requires_grad=True)
    adversarial("vanilla").generator(fake).backward()
    assert fake.grad.item() == pytest.approx(-1.0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_give_a_float32_loss(mode: str, dtype: torch.dtype) -> None:
    """Mean of 10,001 logits: in half precision the value itself would be rounded to 8 or 11 bits."""
    generator = torch.Generator().manual_seed(1)
    real, fake = torch.randn(2, 10_001, generator=generator).to(dtype)
    loss = adversarial(mode)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss.generator(fake), loss.discriminator([real], [fake])
    expected = loss.generator(fake.double()), loss.discriminator(real.double(), fake.double())
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert one.item() == pytest.approx(other.item(), rel=1e-5, abs=1e-7)


def test_default_is_cyclegans_and_unknown_modes_are_refused() -> None:
    assert adversarial().mode == "lsgan"
    with pytest.raises(
        ValueError, match=r"'lsgann'.*lsgan, lsgan_sum, vanilla, nonsaturating, hinge, hinge_both, wgan, relativistic"
    ):
        adversarial("lsgann")
