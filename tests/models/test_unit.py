"""UNIT against an independent one written from the paper, and what its domains share."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.models.translator import kept
from gan_style.models.unit import UNIT, divergence
from gan_style.testing import example_batch
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam
from tests.models.test_munit import State, batches_of, content_of, enlarged, judged, plain_block
from tests.small_models import loaded


def make(*overrides: str) -> UNIT:
    torch.manual_seed(0)
    model = build(small_config("model=unit", *overrides)["model"])
    assert isinstance(model, UNIT)
    return model


def entropy(logits: list[Tensor], real: bool) -> Tensor:
    """Minus the log probability of the answer, the mean over the scales."""
    signs = [one if real else -one for one in logits]
    return torch.stack([(1 + (-one).exp()).log().mean() for one in signs]).mean()


def mean_latent(nets: dict[str, State], domain: str, x: Tensor) -> Tensor:
    return plain_block(nets["S"], "encoder.0", content_of(nets[f"G_{domain}"], x))


def decoded(nets: dict[str, State], domain: str, z: Tensor) -> Tensor:
    w = nets[f"G_{domain}"]
    return enlarged(w, plain_block(w, "decoder.0", plain_block(nets["S"], "decoder.0", z)), 1)


def kl(m: Tensor) -> Tensor:
    """Of N(m, 1) from N(0, 1), from the densities' logarithms at the two points that give the mean exactly."""
    points = torch.stack([m - 1, m + 1])  # Gauss-Hermite of two points: exact up to cubes
    return (((points**2) - (points - m) ** 2) / 2).mean()


def train_reference(nets: dict[str, State], batches: list[dict[str, Tensor]]) -> list[dict[str, float]]:
    nets = {n: {k: v.detach().clone().requires_grad_() for k, v in w.items()} for n, w in nets.items()}
    adam_G = Adam([v for n in ("G_A", "G_B", "S") for v in nets[n].values()])
    adam_D = Adam([v for n in ("D_A", "D_B") for v in nets[n].values()])
    history = []
    for t, x in enumerate(batches):
        torch.manual_seed(derive_seed(0, "iteration", t, 0))
        loss, fake, total = {}, {}, torch.zeros((), dtype=torch.float64)
        for d, o in ("AB", "BA"):
            m = mean_latent(nets, d, x[d])
            z = m + torch.randn(m.shape, dtype=m.dtype)
            fake[o] = decoded(nets, o, z)
            m2 = mean_latent(nets, o, fake[o])
            z2 = m2 + torch.randn(m2.shape, dtype=m2.dtype)
            loss[f"G_rec_{d}"] = (decoded(nets, d, z) - x[d]).abs().mean()
            loss[f"G_cycle_{d}"] = (decoded(nets, d, z2) - x[d]).abs().mean()
            loss[f"G_kl_{d}"], loss[f"G_kl_cycle_{d}"] = kl(m), kl(m2)
            total = total + 0.1 * kl(m) + 100 * loss[f"G_rec_{d}"]  # eq. 4
            total = total + 0.1 * (kl(m) + kl(m2)) + 100 * loss[f"G_cycle_{d}"]  # eq. 6
        for d in "AB":
            real_logits, fake_logits = (judged(nets[f"D_{d}"], y) for y in (x[d], fake[d].detach()))
            loss[f"D_{d}"] = 0.5 * (entropy(real_logits, True) + entropy(fake_logits, False))
        adam_D.step(torch.autograd.grad(loss["D_A"] + loss["D_B"], adam_D.weights), 1e-4)
        for d in "AB":
            loss[f"G_gan_{d}"] = entropy(judged(nets[f"D_{d}"], fake[d]), True)
            total = total + 10 * loss[f"G_gan_{d}"]
        adam_G.step(torch.autograd.grad(total, adam_G.weights), 1e-4)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


def test_first_iterations_equal_an_independent_one(run: Callable[..., Path]) -> None:
    overrides = ("model=unit", "trainer.max_steps=5", "trainer.precision=64-true")
    with open(run("ours", *overrides) / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    torch.manual_seed(0)
    model = build(config["model"])
    nets = {n: {k: p.detach().double() for k, p in m.named_parameters()} for n, m in model.named_children()}
    for t, (row, expected) in enumerate(zip(ours, train_reference(nets, batches_of(config, 5)), strict=True)):
        assert len(expected) == 12
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-6), t


def test_yaml_holds_the_published_settings() -> None:
    config = composed("model=unit", "name=test")["model"]
    assert [config[f"lambda_{name}"] for name in ("gan", "kl", "rec", "kl_cycle", "cycle")] == [10, 0.1, 100, 0.1, 100]
    assert (config["gan_mode"], config["optimizer_G"]["lr"], config["optimizer_G"]["betas"]) == (
        *("vanilla", 1e-4),
        [0.5, 0.999],
    )
    counts = build(config).parameter_counts()
    # MUNIT's 5,385,856 of the encoder, 5,754,627 of the decoder, of which one block of each is shared
    assert counts["G_A"] + counts["S"] == 5_385_856 + 5_754_627
    assert counts["S"] == 4 * (256 * 256 * 9 + 256)


def test_divergence_is_torchs() -> None:
    mean = torch.randn(2, 3, 4, 4)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, 1.0), normal(torch.zeros_like(mean), 1.0)).mean()
    torch.testing.assert_close(divergence(mean), expected)
    assert divergence(mean.to(torch.bfloat16)).dtype == torch.float32


def test_the_domains_share_the_blocks_around_the_latent() -> None:
    model, batch = make(), example_batch()
    kinds = {"A2B": (model.G_A.encoder, model.G_B.decoder), "B2A": (model.G_B.encoder, model.G_A.decoder)}
    for direction, parts in kinds.items():
        called: list[object] = []
        hooks = [
            part.register_forward_hook(lambda module, *_, called=called: called.append(module))
            for part in (*parts, model.S.encoder, model.S.decoder)
        ]
        model.eval().translate(batch["A"], direction)
        for hook in hooks:
            hook.remove()
        assert called == [parts[0], model.S.encoder, model.S.decoder, parts[1]]


def test_validation_adds_no_noise() -> None:
    model, inputs = make().eval(), example_batch()
    state = torch.get_rng_state()
    with torch.no_grad():
        images = model.generate(inputs)
        for direction in model.directions:
            fake = images[f"fake_{direction.target}"]
            assert torch.equal(fake, model.translate(inputs[direction.source], direction))
            assert torch.equal(images[f"rec_{direction.source}"], model.translate(fake, direction.back))
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(KeyError, match="first"):
        kept(images, "first")


def test_noise_of_variance_one_is_in_training_alone() -> None:
    model, mean = make(), torch.zeros(4, 16, 32, 32)
    assert float(model._noisy(mean).std()) == pytest.approx(1, rel=0.02)
    assert torch.equal(model.eval()._noisy(mean), mean)


def test_pictures_of_different_sizes_and_channels() -> None:
    torch.manual_seed(0)
    model = build(small_config("model=unit")["model"], channels_A=1, channels_B=3)
    inputs = {"A": torch.rand(1, 1, 42, 48) * 2 - 1, "B": torch.rand(1, 3, 33, 56) * 2 - 1}
    images = model.generate(inputs)
    assert images["fake_B"].shape == (1, 3, 42, 48)
    assert images["fake_A"].shape == (1, 1, 33, 56)
    assert torch.isfinite(model.generator_loss(images)[0])


def test_tiles_are_exact() -> None:
    translator = loaded("model=unit")
    x = torch.rand(3, 70, 91) * 2 - 1
    for direction in ("A2B", "B2A"):
        whole = translator.translate(x, direction, tile=None)
        torch.testing.assert_close(translator.translate(x, direction, tile=32), whole, atol=1e-4, rtol=0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="ResnetGenerator has no latent to share: take model/generator=unit"):
        make("model/generator=resnet9")
