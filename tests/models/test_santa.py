"""SANTA against an independent one written from the paper, and its path."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.models.santa import SANTA
from gan_style.models.translator import kept
from gan_style.networks.path import PathGenerator
from gan_style.testing import check_generator
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam, Weights, doubled, halved, patchgan
from tests.models.test_cut import batch


def make(*overrides: str) -> SANTA:
    model = build(small_config("model=santa", *overrides)["model"])
    assert isinstance(model, SANTA)
    return model


def norm(x: Tensor) -> Tensor:
    return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()


def reflected(x: Tensor, pad: int, weights: dict[str, Tensor], name: str) -> Tensor:
    return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), weights[f"{name}.weight"], weights[f"{name}.bias"])


def encode(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """Three convolutions with two halvings, then one residual block of three."""
    x = F.relu(norm(reflected(x, 3, w, "encoder.1")))
    for layer in (4, 8):
        x = F.relu(norm(F.conv2d(x, w[f"encoder.{layer}.weight"], w[f"encoder.{layer}.bias"], padding=1)))
        x = halved(x)
    y = F.relu(norm(reflected(x, 1, w, "encoder.12.layers.1")))
    return x + norm(reflected(y, 1, w, "encoder.12.layers.5"))


def decode(w: dict[str, Tensor], x: Tensor, d: Tensor) -> list[Tensor]:
    """The maps along the path, the last one before its tanh."""
    code = w["domains"][0] * (1 - d[:, None]) + w["domains"][1] * d[:, None]

    def styled(x: Tensor, name: str) -> Tensor:
        both = code @ w[f"{name}.modulation.weight"].T + w[f"{name}.modulation.bias"]
        scale, shift = both[:, : x.shape[1], None, None], both[:, x.shape[1] :, None, None]
        return (1 + scale) * norm(x) + shift

    maps = []
    for block in ("blocks.0", "blocks.1"):
        y = F.relu(styled(reflected(x, 1, w, f"{block}.convolutions.0"), f"{block}.norms.0"))
        x = x + styled(reflected(y, 1, w, f"{block}.convolutions.1"), f"{block}.norms.1")
        maps.append(x)
    for level in (0, 1):
        x = F.conv2d(doubled(x), w[f"up.{level}.1.weight"], w[f"up.{level}.1.bias"], padding=1)
        maps.append(x)
        x = F.relu(styled(x, f"norms.{level}"))
    return [*maps, reflected(x, 3, w, "last.1")]


def train_reference(G: dict[str, Tensor], D: Weights, batches: list[tuple[Tensor, Tensor]]) -> list[dict[str, float]]:
    G = {name: one.detach().clone().requires_grad_() for name, one in G.items()}
    D = [one.detach().clone().requires_grad_() for one in D]
    adam_G, adam_D = Adam(list(G.values())), Adam(D)
    history = []
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    for t, (A, B) in enumerate(batches):
        torch.manual_seed(derive_seed(0, "iteration", t, 0))
        clean = torch.cat([encode(G, A), encode(G, B)])
        noisy = clean + torch.randn(clean.shape, dtype=torch.float64)
        rec, fake, idt = (torch.tanh(decode(G, noisy[i : i + 1], d)[-1]) for i, d in ((0, zero), (0, one), (1, one)))
        loss = {}
        real_logits, fake_logits = patchgan(D, B, True), patchgan(D, fake.detach(), True)
        loss["D_B"] = 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())
        adam_D.step(torch.autograd.grad(loss["D_B"], D), 2e-4)
        loss["G_gan_B"] = (patchgan(D, fake, True) - 1).square().mean()
        loss["G_rec_A"], loss["G_idt_B"] = (rec - A).abs().mean(), (idt - B).abs().mean()
        loss["G_kl"] = clean.square().mean()
        centre, step = torch.rand(1, dtype=torch.float64), 0.05 + 0.05 * torch.rand(1, dtype=torch.float64)
        high, low = (centre + step).clamp(max=1), (centre - step).clamp(min=0)
        changes = [
            ((a - b) / max(float(high - low), 0.1)).square().mean()
            for a, b in zip(decode(G, noisy[:1], high), decode(G, noisy[:1], low), strict=True)
        ]
        loss["G_path"] = torch.stack(changes).mean()
        total = loss["G_gan_B"] + 5 * (loss["G_rec_A"] + loss["G_idt_B"]) + 0.01 * (loss["G_kl"] + loss["G_path"])
        adam_G.step(torch.autograd.grad(total, list(G.values())), 2e-4)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


def test_first_iterations_equal_an_independent_one(run: Callable[..., Path]) -> None:
    overrides = ("model=santa", "trainer.max_steps=5", "trainer.precision=64-true", "model.generator.blocks=3")
    with open(run("ours", *overrides) / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(5)]
    batches = [(item["A"][None].double(), item["B"][None].double()) for item in items]
    torch.manual_seed(0)
    model = build(config["model"])
    G = {name: p.detach().double() for name, p in model.G_AB.named_parameters()}
    theirs = train_reference(G, [p.detach().double() for p in model.D_B.parameters()], batches)
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-6), t


def test_yaml_holds_the_published_settings() -> None:
    config = composed("model=santa", "name=test")["model"]
    assert (config["lambda_rec"], config["lambda_idt"], config["lambda_kl"], config["lambda_path"]) == (
        5,
        5,
        0.01,
        0.01,
    )
    assert (config["noise_std"], config["step_min"], config["step_max"], config["gan_mode"]) == (1, 0.05, 0.1, "lsgan")
    assert (config["schedule"]["constant"], config["schedule"]["decay"]) == (200, 200)
    model = build(config)
    assert model.parameter_counts() == {"G_AB": 11_427_731, "D_B": 2_764_737}
    assert (model.D_B.receptive_field, len(model.G_AB.blocks)) == (84, 5)


def test_alpha_is_the_position_on_the_path() -> None:
    model, image = make().eval(), batch()["A"]
    with torch.no_grad():
        assert torch.equal(model.interpolate(image, "A2B", 1.0), model.translate(image))
        assert torch.equal(model.interpolate(image, "A2B", 0.3), model.G_AB(image, 0.3))
        changes = [(model.interpolate(image, "A2B", d) - model.G_AB(image, 0.0)).abs().mean() for d in (0.2, 0.6, 1.0)]
    assert changes[0] < changes[1] < changes[2]


def test_validation_adds_no_noise() -> None:
    model, inputs = make().eval(), batch()
    state = torch.get_rng_state()
    with torch.no_grad():
        images = model.generate(inputs)
        assert torch.allclose(images["fake_B"], model.translate(inputs["A"]), atol=1e-6)
        assert torch.allclose(images["idt_A"], model.G_AB(inputs["A"], 0.0), atol=1e-6)
        assert torch.allclose(images["idt_B"], model.translate(inputs["B"]), atol=1e-6)
    assert torch.equal(torch.get_rng_state(), state)


def test_each_picture_may_have_a_position_of_its_own() -> None:
    model, images = make().eval().double(), torch.rand(2, 3, 33, 21, dtype=torch.float64) * 2 - 1
    both = model.G_AB(images, torch.tensor([0.2, 0.7]))
    for image, d, made in zip(images, (0.2, 0.7), both, strict=True):
        torch.testing.assert_close(model.G_AB(image[None], torch.tensor(d))[0], made, rtol=1e-6, atol=1e-6)


def test_pictures_of_different_sizes() -> None:
    model = make()
    inputs = {"A": torch.rand(1, 3, 40, 48) * 2 - 1, "B": torch.rand(1, 3, 32, 56) * 2 - 1}
    images = model.generate(inputs)
    assert [images[f"idt_{domain}"].shape for domain in "AB"] == [inputs[domain].shape for domain in "AB"]
    total, _ = model.generator_loss(images)
    assert torch.isfinite(total)


def test_the_path_and_the_features_are_measured_in_float32_under_autocast() -> None:
    model, inputs = make(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        images = model.generate(inputs)
        torch.manual_seed(7)
        _, terms = model.generator_loss(images)
    assert terms["kl"].dtype == terms["path"].dtype == torch.float32
    torch.manual_seed(7)
    assert terms["path"].item() == pytest.approx(model._path(kept(images, "of_A").float()).item(), rel=1e-3)


def test_terms_of_weight_zero_cost_nothing() -> None:
    model = make("model.lambda_path=0", "model.noise_std=0")
    decodings: list[int] = []
    model.G_AB.last.register_forward_hook(lambda *_: decodings.append(1))
    assert set(model.generator_loss(model.generate(batch()))[1]) == {"gan_B", "rec_A", "idt_B"}
    assert len(decodings) == 2, "of both ends of A's path, and of B"


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="ResnetGenerator has no position between domains: take model/generator=path"):
        make("model/generator=resnet9")
    with pytest.raises(UserError, match=r"model.step_min=0.2 is above model.step_max=0.1"):
        make("model.step_min=0.2")
    with pytest.raises(UserError, match=r"as many channels in A \(1\) as in B \(3\)"):
        build(small_config("model=santa")["model"], channels_A=1, channels_B=3)


def test_the_generator_keeps_its_contract() -> None:
    check_generator(functools.partial(PathGenerator, filters=4, blocks=3))
