"""GcGAN against an independent one written from the paper, and what it does with turned pictures."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.models.gcgan import TRANSFORMS, GcGAN
from gan_style.models.translator import kept
from gan_style.testing import example_batch
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam, Pool, Weights, patchgan, resnet


def make(*overrides: str, **extra: int) -> GcGAN:
    model = build(small_config("model=gcgan", *overrides)["model"], **extra)
    assert isinstance(model, GcGAN)
    return model


def turned(x: Tensor) -> Tensor:
    """By a quarter, clockwise: the first row becomes the last column."""
    return x.transpose(2, 3).flip(3)


def turned_back(x: Tensor) -> Tensor:
    return x.transpose(2, 3).flip(2)


def mirrored(x: Tensor) -> Tensor:
    return torch.stack([x[:, :, row] for row in reversed(range(x.shape[2]))], 2)


def train_reference(
    initial: dict[str, Weights],
    batches: list[tuple[Tensor, Tensor]],
    f: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]],
) -> list[dict[str, float]]:
    """Each picture in a pass of its own; f and its inverse."""
    G, D, D_T = ([w.detach().clone().requires_grad_() for w in initial[n]] for n in ("G_AB", "D_B", "D_T"))
    adam_G, adam_D = Adam(G), Adam(D_T + D)
    pool, pool_T = Pool(2, 2), Pool(2, 1)
    history = []
    for A, B in batches:
        fake, fake_T = resnet(G, A), resnet(G, f[0](A))
        loss = {
            "G_gan_B": (patchgan(D, fake) - 1).square().mean(),
            "G_gan_T": (patchgan(D_T, fake_T) - 1).square().mean(),
            "G_geo": (fake - f[1](fake_T)).abs().mean() + (fake_T - f[0](fake)).abs().mean(),
            "G_idt_B": (resnet(G, B) - B).abs().mean(),
            "G_idt_T": (resnet(G, f[0](B)) - f[0](B)).abs().mean(),
        }
        total = loss["G_gan_B"] + loss["G_gan_T"] + 20 * loss["G_geo"] + 5 * (loss["G_idt_B"] + loss["G_idt_T"])
        adam_G.step(torch.autograd.grad(total, G), 2e-4)
        for name, judge, real, shown in (("D_B", D, B, pool.query(fake)), ("D_T", D_T, f[0](B), pool_T.query(fake_T))):
            loss[name] = 0.5 * ((patchgan(judge, real) - 1).square().mean() + patchgan(judge, shown).square().mean())
        adam_D.step(torch.autograd.grad(loss["D_B"] + loss["D_T"], D_T + D), 2e-4)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


@pytest.mark.parametrize(
    ("transform", "joined", "f"),
    [("rotation", "true", (turned, turned_back)), ("flip", "false", (mirrored, mirrored))],
)
def test_first_iterations_equal_an_independent_one(
    run: Callable[..., Path],
    transform: str,
    joined: str,
    f: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]],
) -> None:
    overrides = (
        *("model=gcgan", "trainer.max_steps=6", "trainer.precision=64-true", "model.generator.blocks=2"),
        *(f"model.transform={transform}", f"model.join_passes={joined}", "model.pool_size=2"),
    )
    with open(run("ours", *overrides) / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(6)]
    batches = [(item["A"][None].double(), item["B"][None].double()) for item in items]
    torch.manual_seed(0)
    model = build(config["model"])
    initial = {n: [p.detach().double() for p in getattr(model, n).parameters()] for n in ("G_AB", "D_B", "D_T")}
    theirs = train_reference(initial, batches, f)
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-6), t


def test_yaml_holds_the_published_settings() -> None:
    config = composed("model=gcgan", "name=test")["model"]
    assert (config["lambda_gan"], config["lambda_geo"], config["lambda_idt"], config["pool_size"]) == (1, 20, 5, 50)
    assert (config["transform"], config["gan_mode"], config["optimizer_G"]["lr"]) == ("rotation", "lsgan", 2e-4)
    assert (config["schedule"]["constant"], config["schedule"]["decay"]) == (100, 100)
    assert build(config).parameter_counts() == {"G_AB": 11_378_179, "D_T": 2_764_737, "D_B": 2_764_737}


@pytest.mark.parametrize(("transform", "shape"), [("rotation", (2, 3, 56, 40)), ("flip", (2, 3, 40, 56))])
def test_pictures_that_are_not_square(transform: str, shape: tuple[int, ...]) -> None:
    model = make(f"model.transform={transform}")
    inputs = {"A": torch.rand(2, 3, 40, 56) * 2 - 1, "B": torch.rand(2, 3, 32, 48) * 2 - 1}
    images = model.generate(inputs)
    assert kept(images, "transformed")["fake_B"].shape == shape
    for loss in (model.generator_loss, model.discriminator_loss):
        total, _ = loss(images)
        total.backward(retain_graph=True)
        assert torch.isfinite(total)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    with torch.no_grad():
        assert set(model.logits(inputs, images)) == {"D_T", "D_B"}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_generator_of_single_pixels_is_consistent_by_itself(name: str) -> None:
    model = make(f"model.transform={name}", "model.lambda_idt=0").double()
    model.G_AB = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh()).double()
    batch = {domain: x.double()[..., :26] for domain, x in example_batch().items()}
    _, terms = model.generator_loss(model.generate(batch))
    assert terms["geo"] < 1e-12
    assert set(terms) == {"gan_B", "gan_T", "geo"}
    x = torch.rand(1, 3, 5, 7)
    applied = x
    for _ in range(4 if name == "rotation" else 2):
        applied = model.transformed(applied)
    assert torch.equal(applied, x)
    assert not torch.equal(model.transformed(x[..., :5]), x[..., :5])


def test_the_weights_of_the_terms() -> None:
    model = make("model.lambda_gan=2", "model.lambda_geo=3", "model.lambda_idt=7")
    total, terms = model.generator_loss(model.generate(example_batch()))
    expected = 2 * (terms["gan_B"] + terms["gan_T"]) + 3 * terms["geo"] + 7 * (terms["idt_B"] + terms["idt_T"])
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_validation_makes_no_turned_pictures() -> None:
    model, passes = make().eval(), []
    model.G_AB.register_forward_hook(lambda _, given, __: passes.append(len(given[0])))
    with torch.no_grad():
        images = model.generate(example_batch())
    assert sum(passes) == 4
    with pytest.raises(KeyError):
        kept(images, "transformed")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"model.lambda_idt needs as many channels in A \(1\) as in B \(3\)"):
        make(channels_A=1, channels_B=3)
    assert make("model.lambda_idt=0", channels_A=1, channels_B=3).G_AB(torch.zeros(1, 1, 16, 16)).shape[1] == 3
    with pytest.raises(UserError, match=r"transform=shear is not valid: input should be .rotation. or .flip."):
        make("model.transform=shear")
