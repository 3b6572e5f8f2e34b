"""SinCUT against an independent one written from the paper, and its networks."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.models.sincut import SinCUT
from gan_style.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from gan_style.testing import example_batch
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam, Weights
from tests.models.test_cut import head

Named = dict[str, Tensor]


def make(*overrides: str) -> SinCUT:
    model = build(small_config("model=sincut", *overrides)["model"])
    assert isinstance(model, SinCUT)
    return model


def blurred(x: Tensor, margin: int) -> Tensor:
    """Weights 1 3 3 1 down and across, zeros around."""
    x = F.pad(x, (margin,) * 4)
    for _ in range(2):
        x = ((x[..., :-3] + 3 * x[..., 1:-2] + 3 * x[..., 2:-1] + x[..., 3:]) / 8).transpose(2, 3)
    return x


def scaled(w: Named, name: str, x: Tensor, pad: int, stride: int = 1) -> Tensor:
    weight = w[f"{name}.weight"]
    y = F.conv2d(x, weight / math.sqrt(weight[0].numel()), padding=pad, stride=stride)
    return y + w[f"{name}.bias"].reshape(-1, 1, 1) if f"{name}.bias" in w else y


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x) * 2**0.5


def block(w: Named, name: str, x: Tensor, halve: bool) -> Tensor:
    y = leaky(scaled(w, f"{name}.first", x, 1))
    if not halve:
        return (leaky(scaled(w, f"{name}.second", y, 1)) + x) / 2**0.5
    y = leaky(scaled(w, f"{name}.second", blurred(y, 2), 0, 2))
    return (y + scaled(w, f"{name}.skip", blurred(x, 1), 0, 2)) / 2**0.5


def encode(w: Named, x: Tensor) -> list[Tensor]:
    """Pixels, half size, and one block."""
    half = block(w, "encoder.1", leaky(scaled(w, "encoder.0", x, 0)), True)
    return [x, half, block(w, "encoder.2", half, False)]


def translated(w: Named, x: Tensor) -> Tensor:
    """One block each way; without noise."""
    y = block(w, "decoder.0", encode(w, x)[-1], False)
    weight = w["up.weight"] / math.sqrt(w["up.weight"][0].numel())
    weight = weight / (weight.square().sum((1, 2, 3)) + 1e-8).sqrt().reshape(-1, 1, 1, 1)
    spread = torch.zeros(*y.shape[:2], 2 * y.shape[2] + 3, 2 * y.shape[3] + 3, dtype=y.dtype)
    spread[:, :, 2:-2:2, 2:-2:2] = y  # a transposed convolution is one of a map with zeros between its places
    y = 4 * blurred(F.conv2d(spread, weight.flip(2, 3)), 1)
    return torch.tanh(scaled(w, "last", leaky(y + w["up.bias"].reshape(-1, 1, 1)), 0))


def judged(w: Named, x: Tensor) -> Tensor:
    x = leaky(scaled(w, "layers.0", x, 0))
    for i in range(1, 4):
        x = block(w, f"layers.{i}", x, True)
    x = leaky(scaled(w, "layers.5", leaky(scaled(w, "layers.4", x, 1)), 0))
    return scaled(w, "last", x, 0)


def contrast(H: Weights, keys: list[Tensor], queries: list[Tensor], places: list[Tensor]) -> Tensor:
    """Of the patches of all pictures."""
    layers = []
    for i, (key_map, query_map, at) in enumerate(zip(keys, queries, places, strict=True)):
        key, query = (
            torch.stack([head(H[4 * i : 4 * i + 4], one.flatten(1)[:, p]) for one in maps for p in at])
            for maps in (key_map, query_map)
        )
        similar = query @ key.detach().T / 0.07
        layers.append((torch.logsumexp(similar, 1) - similar.diagonal()).mean())
    return torch.stack(layers).mean()


def train_reference(G: Named, D: Named, H: Weights, batches: list[tuple[Tensor, Tensor]]) -> list[dict[str, float]]:
    G, D = ({name: one.detach().clone().requires_grad_() for name, one in w.items()} for w in (G, D))
    H = [one.detach().clone().requires_grad_() for one in H]
    of_G, of_D = list(G.values()) + H, list(D.values())
    adam_G, adam_D = Adam(of_G, (0.0, 0.99)), Adam(of_D, (0.0, 0.99))
    history = []
    for t, (A, B) in enumerate(batches):
        torch.manual_seed(derive_seed(0, "iteration", t, 0))
        fake, idt = translated(G, A), translated(G, B)
        keys = [encode(G, x) for x in (A, B)]
        places = [[torch.randperm(x.shape[2] * x.shape[3])[:2] for x in maps] for maps in keys]
        real = B.clone().requires_grad_()
        logits = judged(D, real)
        (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        loss = {"D_B": (F.softplus(-logits).mean() + F.softplus(judged(D, fake.detach())).mean()) / 2}
        loss["D_r1_B"] = slope.square().sum((1, 2, 3)).mean() / 2
        adam_D.step(torch.autograd.grad(loss["D_B"] + loss["D_r1_B"], of_D), 2e-3)
        loss["G_gan_B"] = F.softplus(-judged(D, fake)).mean()
        for name, key, made, at in zip(("G_nce", "G_nce_idt"), keys, (fake, idt), places, strict=True):
            loss[name] = contrast(H, key, encode(G, made), at)
        loss["G_idt_B"] = (idt - B).abs().mean()
        total = loss["G_gan_B"] + 4 * (loss["G_nce"] + loss["G_nce_idt"]) / 2 + loss["G_idt_B"]
        adam_G.step(torch.autograd.grad(total, of_G), 2e-3)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


def test_first_iterations_equal_an_independent_one(run: Callable[..., Path]) -> None:
    overrides = (
        *("model=sincut", "trainer.max_steps=4", "trainer.precision=64-true", "model.generator.blocks=2"),
        *("model.generator.noise=false", "model.discriminator.layers=3", "model.num_patches=2", "data.batch_size=2"),
    )
    with open(run("ours", *overrides) / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    pairs = [[data.train_set[2 * i + j] for j in range(2)] for i in range(4)]
    stacked = [{d: torch.stack([one[d] for one in pair]) for d in "AB"} for pair in pairs]
    fitted = [data.on_after_batch_transfer(one, 0) for one in stacked]
    batches = [(one["A"].double(), one["B"].double()) for one in fitted]
    torch.manual_seed(0)
    model = build(config["model"])
    G, D = ({n: p.detach().double() for n, p in net.named_parameters()} for net in (model.G_AB, model.D_B))
    theirs = train_reference(G, D, [p.detach().double() for p in model.H.parameters()], batches)
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-5), t


def test_yaml_holds_the_published_settings() -> None:
    config = composed("model=sincut", "name=test")["model"]
    assert [config[f"lambda_{name}"] for name in ("gan", "nce", "idt", "r1")] == [1, 4, 1, 1]
    assert (config["num_patches"], config["batch_negatives"], config["nce_idt"]) == (1, True, True)
    for player in "GD":
        assert (config[f"optimizer_{player}"]["lr"], config[f"optimizer_{player}"]["betas"]) == (2e-3, [0, 0.99])
    model = build(config)
    counts = model.parameter_counts()
    assert (counts["G_AB"], counts["D_B"]) == (3_068_404, 5_885_473)
    assert model.G_AB.feature_channels == (3, 160, 160)


def test_the_weights_of_the_terms() -> None:
    model = make("model.lambda_idt=3", "model.lambda_gan=2")
    total, terms = model.generator_loss(model.generate(example_batch()))
    expected = 2 * terms["gan_B"] + 2 * (terms["nce"] + terms["nce_idt"]) + 3 * terms["idt_B"]
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    without = make("model.lambda_idt=0", "model.nce_idt=false")
    assert set(without.generator_loss(without.generate(example_batch()))[1]) == {"gan_B", "nce"}


def test_the_identity_is_of_mirrored_pictures_where_they_are_mirrored() -> None:
    model, batch = make("model.flip_equivariance=true"), example_batch()
    for iteration in range(8):
        model.iteration = iteration
        images = model.generate(batch)
        term = model.generator_loss(images)[1]["idt_B"]
        real = batch["B"].flip(3) if model._throws_heads() else batch["B"]
        assert term.item() == pytest.approx((images["idt_B"] - real).abs().mean().item(), rel=1e-5)


def test_signals_keep_their_strength_through_the_networks() -> None:
    """What scaled weights are for."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 64, 64)
    features = StyleGAN2Generator(filters=32).features(x)
    assert all(0.4 < one.std() < 2.5 for one in features)
    assert StyleGAN2Discriminator(filters=16)(x).shape == (2, 1, 1, 1)
    assert StyleGAN2Discriminator(filters=16)(torch.randn(1, 3, 80, 100)).shape == (1, 1, 2, 4)
    assert StyleGAN2Discriminator(filters=16)(torch.randn(1, 3, 5, 9)).shape == (1, 1, 1, 1)


def test_noise_begins_at_nothing_and_is_one_number() -> None:
    network = StyleGAN2Generator(filters=4)
    assert network.noise is not None
    strength = network.noise.strengths[0]
    assert strength.shape == (1,)
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(network(x), network(x))
    with torch.no_grad():
        strength.fill_(1.0)
    assert not torch.equal(network(x), network(x))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"model.lambda_idt=1 .* set model.lambda_idt=0, or model.nce_idt=true"):
        make("model.nce_idt=false")


def test_one_patch_of_one_crop_is_refused() -> None:
    """The published patch of each crop, and the batch of 1 that data have unless told otherwise."""
    model = make("model.num_patches=1")
    batch = {domain: torch.rand(1, 3, 64, 64) * 2 - 1 for domain in "AB"}
    with pytest.raises(UserError, match=r"has no other to be told from: set data.batch_size=16"):
        model.generator_loss(model.generate(batch))
    two = {domain: image.repeat(2, 1, 1, 1) for domain, image in batch.items()}
    assert model.generator_loss(model.generate(two))[1]["nce"] > 0
