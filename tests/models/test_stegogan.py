"""StegoGAN against an independent one written from the paper, and what its mask takes away and shows."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.models.stegogan import StegoGAN
from gan_style.models.translator import kept
from gan_style.networks.masked import MaskedGenerator
from gan_style.networks.resnet import ResnetGenerator
from gan_style.testing import check_generator, example_batch
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam, Pool, Weights, patchgan
from tests.small_models import loaded


def make(*overrides: str, **extra: int) -> StegoGAN:
    model = build(small_config("model=stegogan", *overrides)["model"], **extra)
    assert isinstance(model, StegoGAN)
    return model


def norm(x: Tensor) -> Tensor:
    return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()


def reflected(w: Weights, x: Tensor, pad: int) -> Tensor:
    return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), w[0], w[1])


def encode(w: Weights, x: Tensor) -> Tensor:
    """Three convolutions and two residual blocks, of the first 14 tensors."""
    x = F.relu(norm(reflected(w, x, 3)))
    for i in (2, 4):
        x = F.relu(norm(F.conv2d(x, w[i], w[i + 1], stride=2, padding=1)))
    for i in (6, 10):
        x = x + norm(reflected(w[i + 2 :], F.relu(norm(reflected(w[i:], x, 1))), 1))
    return x


def decode(w: Weights, x: Tensor) -> Tensor:
    """The next 6 tensors."""
    for i in (14, 16):
        x = F.relu(norm(F.conv_transpose2d(x, w[i], w[i + 1], stride=2, padding=1, output_padding=1)))
    return torch.tanh(reflected(w[18:], x, 3))


def mask(w: Weights, features: Tensor) -> Tensor:
    """The last 4."""
    return 1 / (1 + torch.exp(-F.conv2d(F.relu(reflected(w[20:], features, 1)), w[22], w[23])))


def without(w: Weights, x: Tensor) -> Tensor:
    features = encode(w, x)
    return decode(w, (1 - mask(w, features)) * features)


def enlarged(m: Tensor) -> Tensor:
    """Four times, between the middles of the places, the border repeated."""
    for _ in range(2):
        m = m.transpose(2, 3)
        before, here, after = (F.pad(m, (1, 1, 0, 0), mode="replicate")[..., i : i + m.shape[3]] for i in range(3))
        parts = [before * s + here * (1 - s) for s in (3 / 8, 1 / 8)] + [
            here * (1 - s) + after * s for s in (1 / 8, 3 / 8)
        ]
        m = torch.stack(parts, -1).flatten(-2)
    return m


def train_reference(initial: dict[str, Weights], batches: list[tuple[Tensor, Tensor]]) -> list[dict[str, float]]:
    nets = {n: [w.detach().clone().requires_grad_() for w in ws] for n, ws in initial.items()}
    G, K, D = nets["G_AB"], nets["G_BA"], {"A": nets["D_A"], "B": nets["D_B"]}
    adam_G, adam_D = Adam(G + K), Adam(D["A"] + D["B"])
    pools = {"A": Pool(2, 1), "B": Pool(2, 2)}
    history = []
    for A, B in batches:
        features = encode(K, B)
        m = mask(K, features)
        fake_A = decode(K, (1 - m) * features)
        rec_B = decode(G, encode(G, fake_A) + m * features)
        plain, fake_B = decode(G, encode(G, A)), decode(G, encode(G, A) + m * features)
        loss = {
            "G_gan_B": (patchgan(D["B"], fake_B) - 1).square().mean(),
            "G_gan_A": (patchgan(D["A"], fake_A) - 1).square().mean(),
            "G_cycle_A": (without(K, fake_B) - A).abs().mean(),
            "G_cycle_B": (rec_B - B).abs().mean(),
            "G_idt_A": (without(K, A) - A).abs().mean(),
            "G_idt_B": (decode(G, encode(G, B)) - B).abs().mean(),
            "G_reg": m.sqrt().mean(),
            "G_match": ((1 - enlarged(m)) * (fake_B - plain).abs()).mean(),
        }
        total = loss["G_gan_B"] + loss["G_gan_A"] + 10 * (loss["G_cycle_A"] + loss["G_cycle_B"])
        total = total + 5 * (loss["G_idt_A"] + loss["G_idt_B"]) + 0.3 * loss["G_reg"] + loss["G_match"]
        adam_G.step(torch.autograd.grad(total, G + K), 2e-4)
        for domain, real, fake in (("A", A, fake_A), ("B", B, fake_B)):
            shown = patchgan(D[domain], pools[domain].query(fake))
            loss[f"D_{domain}"] = 0.5 * ((patchgan(D[domain], real) - 1).square().mean() + shown.square().mean())
        adam_D.step(torch.autograd.grad(loss["D_A"] + loss["D_B"], D["A"] + D["B"]), 2e-4)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


@pytest.mark.parametrize("joined", ["true", "false"])
def test_first_iterations_equal_an_independent_one(run: Callable[..., Path], joined: str) -> None:
    overrides = (
        *("model=stegogan", "trainer.max_steps=6", "trainer.precision=64-true", "model.generator.blocks=2"),
        *("model.pool_size=2", f"model.join_passes={joined}"),
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
    initial = {n: [p.detach().double() for p in getattr(model, n).parameters()] for n in ("G_AB", "G_BA", "D_A", "D_B")}
    theirs = train_reference(initial, batches)
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-6), t


def test_yaml_holds_the_published_settings() -> None:
    cyclegan, ours = (composed(f"model={name}", "name=test")["model"] for name in ("cyclegan", "stegogan"))
    assert (ours["lambda_reg"], ours["lambda_match"]) == (0.3, 1.0)
    model = build(ours)
    mask_parameters = 256 * 64 * 9 + 64 + 64 + 1
    assert model.parameter_counts() == {
        "G_AB": 11_378_179,
        "G_BA": 11_378_179 + mask_parameters,
        "D_A": 2_764_737,
        "D_B": 2_764_737,
    }
    for key in ("_target_", "lambda_reg", "lambda_match"):
        ours.pop(key), cyclegan.pop(key, None)
    assert ours == cyclegan


def marking(model: StegoGAN, value: float) -> None:
    """Let the mask have one logit everywhere."""
    assert isinstance(model.G_BA, MaskedGenerator)
    last = model.G_BA.mask[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(value)


def test_with_a_mask_of_nothing_it_is_cyclegan_and_all_gradients_are_finite() -> None:
    ours = make("model.pool_size=0")
    plain = build(small_config("model=cyclegan", "model.pool_size=0")["model"])
    for name in ("G_AB", "D_A", "D_B"):
        getattr(plain, name).load_state_dict(getattr(ours, name).state_dict())
    plain.G_BA.load_state_dict(ours.G_BA.network.state_dict())
    marking(ours, -200.0)
    batch = example_batch()
    (total, terms), (expected, theirs) = (model.generator_loss(model.generate(batch)) for model in (ours, plain))
    assert terms["reg"] < 1e-9
    assert terms["match"] == 0
    for name, value in theirs.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-4), name
    assert total.item() == pytest.approx(expected.item(), rel=1e-4)
    total.backward()
    for player in ("G_AB", "G_BA"):
        assert all(torch.isfinite(p.grad).all() for p in getattr(ours, player).parameters())


def test_what_is_marked_reaches_the_way_back_and_the_judge_and_not_the_translation() -> None:
    model, batch = make().double(), {domain: x.double() for domain, x in example_batch().items()}
    marking(model, 0.0)
    images = model.generate(batch)
    clean = kept(images, "clean")
    torch.testing.assert_close(clean, model.translate(batch["A"]))
    assert not torch.allclose(images["fake_B"], clean, atol=1e-3), "D_B judges what has it"
    assert not torch.allclose(images["rec_B"], model.translate(images["fake_A"]), atol=1e-3), "the cycle has it"
    torch.testing.assert_close(images["fake_A"], model.translate(batch["B"], "B2A"))
    marking(model, 200.0)
    blank = [model.translate(x, "B2A") for x in batch["B"].split(1)]
    torch.testing.assert_close(blank[0], blank[1])  # all was taken away
    model.eval()
    with torch.no_grad():
        images = model.generate(batch)
        torch.testing.assert_close(images["fake_B"], model.translate(batch["A"]))
        torch.testing.assert_close(images["rec_A"], model.translate(images["fake_B"], "B2A"))


def test_the_weights_of_the_terms() -> None:
    model = make("model.lambda_reg=2", "model.lambda_match=3", "model.lambda_idt=0")
    total, terms = model.generator_loss(model.generate(example_batch()))
    assert {"idt_A", "idt_B"}.isdisjoint(terms)
    expected = terms["gan_A"] + terms["gan_B"] + 10 * (terms["cycle_A"] + terms["cycle_B"])
    assert total.item() == pytest.approx((expected + 2 * terms["reg"] + 3 * terms["match"]).item(), rel=1e-6)


def test_the_mask_of_a_picture_lies_on_its_places() -> None:
    """Where the features of four pixels are, at any size."""
    network = MaskedGenerator(ResnetGenerator(filters=4, blocks=0, norm="none"))
    x = torch.rand(2, 3, 30, 41) * 2 - 1
    marks = network.marked(x)
    assert marks.shape == (2, 1, 30, 41)
    assert 0 <= marks.min() < marks.max() <= 1
    logits = network.separate(x)[2]
    assert logits.shape == (2, 1, 8, 11)
    averaged = F.avg_pool2d(marks[..., :28, :40], 4)
    torch.testing.assert_close(averaged, logits.sigmoid()[..., :7, :10], atol=0.05, rtol=0)
    check_generator(lambda **channels: MaskedGenerator(ResnetGenerator(filters=4, blocks=1, **channels)))


def test_it_explains_pictures_of_b(tmp_path: Path) -> None:
    translator = loaded("model=stegogan")
    image = torch.rand(3, 37, 50) * 2 - 1
    heat = translator.explain(image, "B2A")
    assert heat.shape == (1, 37, 50)
    assert translator.explain(image, "B2A", tile=32).sub(heat).abs().max() < 1e-4
    tiled = translator.translate(image, "B2A", tile=32)
    assert (tiled - translator.translate(image, "B2A")).abs().max() < 1e-4
    with pytest.raises(UserError, match="StegoGAN does not explain A2B: take direction B2A"):
        translator.explain(image, "A2B")


def test_pictures_of_different_sizes() -> None:
    model = make()
    inputs = {"A": torch.rand(1, 3, 42, 48) * 2 - 1, "B": torch.rand(1, 3, 32, 57) * 2 - 1}
    images = model.generate(inputs)
    assert images["fake_B"].shape == inputs["A"].shape
    assert images["rec_B"].shape == inputs["B"].shape
    total, _ = model.generator_loss(images)
    total.backward()
    assert torch.isfinite(total)


def test_the_first_iterations_may_teach_the_identity() -> None:
    model = make("model.pretrain=2")
    assert set(model.generator_loss(model.generate(example_batch()))[1]) == {"pretrain_A", "pretrain_B"}
    model.iteration = 2
    assert "reg" in model.generator_loss(model.generate(example_batch()))[1]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"UNetGenerator gives no features between two halves to compare"):
        make("model/generator=unet128")
    with pytest.raises(UserError, match=r"features of 20 channels, which cannot be added to the 16 of model.generator"):
        make("model/generator@model.generator_BA=resnet6", "model.generator_BA.filters=5")
