"""EnCo against an independent one written from the paper, and where it looks."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.models.enco import EnCo
from gan_style.networks.patch_projector import PairProjector, doubtful_places
from gan_style.networks.resnet import ResnetGenerator
from gan_style.training.engine.engine import Engine
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam, Weights, doubled, halved, patchgan
from tests.models.test_cut import batch


def make(*overrides: str) -> EnCo:
    model = build(small_config("model=enco", *overrides)["model"])
    assert isinstance(model, EnCo)
    return model


def translated(weights: Weights, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """The picture, and the maps of encoder and decoder after the first, the second and the third size is reached."""
    w = iter(weights)

    def convolve(x: Tensor, pad: int, reflect: bool = True) -> Tensor:
        padded = F.pad(x, (pad,) * 4, mode="reflect") if reflect else F.pad(x, (pad,) * 4)
        return F.conv2d(padded, next(w), next(w))

    def norm(x: Tensor) -> Tensor:
        return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()

    down = [F.relu(norm(convolve(x, 3)))]
    down.append(halved(F.relu(norm(convolve(down[0], 1, False)))))
    x = halved(F.relu(norm(convolve(down[1], 1, False))))
    blocks = []
    for _ in range((len(weights) // 2 - 6) // 2):
        x = x + norm(convolve(F.relu(norm(convolve(x, 1))), 1))
        blocks.append(x)
    up = []
    for _ in range(2):
        x = F.relu(norm(convolve(doubled(x), 1, False)))
        up.append(x)
    pairs = [(down[0], up[1]), (down[1], up[0]), (blocks[1], blocks[len(blocks) - 3])]
    return torch.tanh(convolve(x, 3)), pairs


def normed(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Over patches, [N, D]."""
    x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    return x if weight is None or bias is None else x * weight + bias


def train_reference(
    initial: dict[str, Weights], batches: list[tuple[Tensor, Tensor]], patches: int
) -> list[dict[str, float]]:
    G, D, H = ([w.detach().clone().requires_grad_() for w in initial[n]] for n in ("G_AB", "D_B", "H"))
    adam_G, adam_D = Adam(G + H), Adam(D)
    history = []
    for t, (A, B) in enumerate(batches):
        torch.manual_seed(derive_seed(0, "iteration", t, 0))
        (fake, pairs), (idt, _) = translated(G, A), translated(G, B)
        real_logits, fake_logits = patchgan(D, B, True), patchgan(D, fake.detach(), True)
        loss = {"D_B": 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())}
        adam_D.step(torch.autograd.grad(loss["D_B"], D), 2e-4)
        logits = patchgan(D, fake, True)
        loss["G_gan_B"], loss["G_idt_B"] = (logits - 1).square().mean(), (idt - B).abs().mean()
        layers = []
        places = []
        for _, decoded in pairs:
            sure = F.interpolate(logits.detach(), decoded.shape[2:], mode="bilinear").flatten()
            count = min(patches, len(sure))
            drawn = torch.randperm(len(sure))[: 4 * count]
            by_rank = torch.sort((1e5 * sure[drawn]).round(), stable=True).indices
            least = drawn[by_rank[: count - count // 2]]
            places.append(torch.cat([least, torch.randperm(len(sure))[len(sure) - count // 2 :]]))
        for i, ((encoded, decoded), at) in enumerate(zip(pairs, places, strict=True)):
            one, gain, shift, two = H[4 * i : 4 * i + 4]
            three, gain2, shift2, four, bias = H[12 + 5 * i : 12 + 5 * i + 5]
            key, query = (x[0].flatten(1)[:, at].T for x in (encoded.detach(), decoded))
            key, query = (normed(F.relu(normed(x @ one.T, gain, shift)) @ two.T) for x in (key, query))
            query = F.relu(normed(query @ three.T, gain2, shift2)) @ four.T + bias
            cosine = (query * key.detach()).sum(1) / (query.norm(dim=1) * key.detach().norm(dim=1))
            layers.append((2 - 2 * cosine).mean())
        loss["G_enco"] = torch.stack(layers).mean()
        total = loss["G_gan_B"] + (loss["G_enco"] + 10 * loss["G_idt_B"]) / 2
        adam_G.step(torch.autograd.grad(total, G + H), 5e-5)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


@pytest.mark.parametrize("joined", ["true", "false"])
def test_first_iterations_equal_an_independent_one(run: Callable[..., Path], joined: str) -> None:
    overrides = (
        *("model=enco", "trainer.max_steps=5", "trainer.precision=64-true", "model.generator.blocks=4"),
        *("model.num_patches=9", f"model.join_passes={joined}"),
    )
    with open(run("ours", *overrides) / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(5)]
    batches = [(item["A"][None].double(), item["B"][None].double()) for item in items]
    torch.manual_seed(0)
    model = build(config["model"])
    initial = {n: [p.detach().double() for p in getattr(model, n).parameters()] for n in ("G_AB", "D_B", "H")}
    theirs = train_reference(initial, batches, patches=9)
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-5), t


def test_yaml_holds_the_published_settings() -> None:
    config = composed("model=enco", "name=test")["model"]
    assert (config["lambda_gan"], config["lambda_enco"], config["lambda_idt"], config["num_patches"]) == (1, 1, 10, 256)
    assert (config["optimizer_G"]["lr"], config["optimizer_D"]["lr"], config["gan_mode"]) == (5e-5, 2e-4, "lsgan")
    assert (config["oversample"], config["random_share"]) == (4, 0.5)
    model = build(config)
    counts = model.parameter_counts()
    assert (counts["G_AB"], counts["D_B"]) == (11_378_179, 2_764_737)
    assert model.G_AB.pair_channels == (64, 128, 256)
    engine = Engine(model, iterations_per_epoch=10)
    assert [engine.weights(i)["lambda_idt"] for i in (0, 1999, 2001)] == [10, 10, 0]


def test_the_identity_goes_with_its_weight() -> None:
    model, inputs = make(), batch()
    total, terms = model.generator_loss(model.generate(inputs))
    assert total.item() == pytest.approx((terms["gan_B"] + (terms["enco"] + 10 * terms["idt_B"]) / 2).item(), rel=1e-5)
    model.lambda_idt = 0.0
    images = model.generate(inputs)
    assert "idt_B" not in images
    total, terms = model.generator_loss(images)
    assert total.item() == pytest.approx((terms["gan_B"] + terms["enco"]).item(), rel=1e-5)


def test_places_are_the_most_doubtful_of_many_and_some_of_all() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 1, 16, 16)
    places = doubtful_places(logits, 32)
    assert places.shape == (3, 32)
    for one, row in zip(logits.flatten(1), places, strict=True):
        assert (one[row[:16]].mean(), one[row[16:]].mean()) < (one.mean() - one.std(), one.mean() + one.std())
        assert len(set(row[:16].tolist())) == len(set(row[16:].tolist())) == 16
    everything = doubtful_places(logits, 9999, random_share=0.0)
    assert torch.equal(everything, logits.flatten(1).argsort(1))
    anywhere = doubtful_places(logits, 40, random_share=1.0)
    assert anywhere.shape == (3, 40)


def test_every_pair_is_of_one_size_and_the_picture_is_that_of_forward() -> None:
    for blocks in (1, 2, 9):
        network = ResnetGenerator(filters=2, blocks=blocks, downsample="blur", upsample="bilinear").double()
        x = torch.rand(2, 3, 33, 26, dtype=torch.float64) * 2 - 1
        image, pairs = network.forward_with_pairs(x)
        torch.testing.assert_close(image, network(x), rtol=1e-9, atol=1e-9)
        for (encoded, decoded), channels in zip(pairs, network.pair_channels, strict=True):
            assert encoded.shape == decoded.shape
            assert encoded.shape[1] == channels
    assert len(ResnetGenerator(filters=2, blocks=0).forward_with_pairs(torch.rand(1, 3, 16, 16))[1]) == 2


def test_each_picture_of_a_batch_has_places_of_its_own() -> None:
    torch.manual_seed(0)
    heads = PairProjector([5], width=8).double().eval()
    x = torch.randn(2, 5, 4, 6, dtype=torch.float64)
    ids = torch.tensor([[0, 7, 23], [5, 5, 1]])
    both = heads([x], [ids], predict=True)[0].reshape(2, 3, 8)
    for picture, row, expected in zip(x, ids, both, strict=True):
        alone = heads([picture[None]], [row[None]], predict=True)[0]
        torch.testing.assert_close(alone, expected)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"UNetGenerator gives no pairs of features to compare"):
        make("model/generator=unet128")
    with pytest.raises(UserError, match=r"as many channels in A \(1\) as in B \(3\)"):
        build(small_config("model=enco")["model"], channels_A=1, channels_B=3)
