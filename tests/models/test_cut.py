"""CUT and FastCUT against an independent one, and what is special about them."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.models.cut import CUT
from gan_style.networks.blocks import BlurPool, Upsample
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam, Weights, halved, patchgan, resnet

NAMES = {"cut": ("G_nce", "G_nce_idt"), "fastcut": ("G_nce",)}


def make(*overrides: str) -> CUT:
    model = build(small_config(*overrides)["model"])
    assert isinstance(model, CUT)
    return model


def batch(size: int = 32, count: int = 1) -> dict[str, Tensor]:
    return {domain: torch.rand(count, 3, size, size) * 2 - 1 for domain in "AB"}


def encode(weights: Weights, x: Tensor, anti_aliased: bool) -> list[Tensor]:
    """The reference's features: padded pixels, second and third convolution, first and second of two blocks."""
    w = iter(weights)

    def convolve(x: Tensor, pad: int, **options: int) -> Tensor:
        return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect") if pad else x, next(w), next(w), **options)

    def norm(x: Tensor) -> Tensor:
        return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()

    kept = [F.pad(x, (3, 3, 3, 3), mode="reflect")]
    x = F.relu(norm(convolve(x, 3)))
    for _ in range(2):
        kept.append(convolve(x, 0, stride=1 if anti_aliased else 2, padding=1))
        x = F.relu(norm(kept[-1]))
        x = halved(x) if anti_aliased else x
    for _ in range(2):
        x = x + norm(convolve(F.relu(norm(convolve(x, 1))), 1))
        kept.append(x)
    return kept


def head(weights: Weights, patch: Tensor) -> Tensor:
    """Four tensors of one layer; `patch` is [C]."""
    vector = weights[2] @ torch.relu(weights[0] @ patch + weights[1]) + weights[3]
    return vector / (vector.pow(2).sum().sqrt() + 1e-7) if vector.any() else vector.detach()


def contrast(H: Weights, key_maps: list[Tensor], query_maps: list[Tensor], places: list[list[int]]) -> Tensor:
    """Patch by patch, for one picture."""
    layers = []
    for i, (key_map, query_map) in enumerate(zip(key_maps, query_maps, strict=True)):
        width = key_map.shape[-1]
        at = [divmod(place, width) for place in places[i]]
        keys = [head(H[4 * i : 4 * i + 4], key_map[0, :, y, x]).detach() for y, x in at]
        queries = [head(H[4 * i : 4 * i + 4], query_map[0, :, y, x]) for y, x in at]
        losses = []
        for n, query in enumerate(queries):
            similar = torch.stack([query @ key for key in keys]) / 0.07
            losses.append(torch.logsumexp(similar, 0) - similar[n])
        layers.append(sum(losses) / len(losses))
    return sum(layers) / len(layers)


def train_reference(
    kind: str, initial: dict[str, Weights], batches: list[tuple[Tensor, Tensor]], patches: int, anti_aliased: bool
) -> list[dict[str, float]]:
    """The official step: D's turn, then G's; keys and queries in passes of their own."""
    G, D, H = ([w.detach().clone().requires_grad_() for w in initial[n]] for n in ("G_AB", "D_B", "H"))
    generate, judge, features = (functools.partial(f, anti_aliased=anti_aliased) for f in (resnet, patchgan, encode))
    adam_G, adam_D = Adam(G + H), Adam(D)
    history = []
    for t, (A, B) in enumerate(batches):
        torch.manual_seed(derive_seed(0, "iteration", t, 0))
        coin = torch.Generator().manual_seed(derive_seed(0, "mirrored", t))
        mirrored = kind == "fastcut" and bool(torch.randint(2, (), generator=coin))
        sources = [A, B] if kind == "cut" else [A]
        fakes = [generate(G, x.flip(3) if mirrored else x) for x in sources]
        loss_D = 0.5 * (((judge(D, B) - 1) ** 2).mean() + (judge(D, fakes[0].detach()) ** 2).mean())
        adam_D.step(torch.autograd.grad(loss_D, D), 2e-4)
        loss = {"D_B": loss_D, "G_gan_B": ((judge(D, fakes[0]) - 1) ** 2).mean()}
        keys = [features(G, x) for x in sources]
        places = [[torch.randperm(m.shape[2] * m.shape[3])[:patches].tolist() for m in maps] for maps in keys]
        for i, name in enumerate(NAMES[kind]):
            queries = [m.flip(3) if mirrored else m for m in features(G, fakes[i])]
            loss[name] = contrast(H, keys[i], queries, places[i])
        nce = 10 * loss["G_nce"] if kind == "fastcut" else (loss["G_nce"] + loss["G_nce_idt"]) / 2
        adam_G.step(torch.autograd.grad(loss["G_gan_B"] + nce, G + H), 2e-4)
        history.append({"mirrored": float(mirrored)} | {name: float(value.detach()) for name, value in loss.items()})
    return history


CYCLEGANS = ("model/generator=resnet9", "model/discriminator=patch70")  # networks


@pytest.mark.parametrize(
    ("kind", "joined", "networks"),
    [("cut", "true", ()), ("cut", "false", CYCLEGANS), ("fastcut", "null", ())],
)
def test_first_iterations_equal_an_independent_cut(
    run: Callable[..., Path], kind: str, joined: str, networks: tuple[str, ...]
) -> None:
    overrides = (
        f"model={kind}",
        *networks,
        "trainer.max_steps=6",
        "trainer.precision=64-true",
        "model.generator.blocks=2",
        "model.num_patches=7",
        f"model.join_passes={joined}",
    )
    folder = run("ours", *overrides)
    with open(folder / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))

    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(6)]
    batches = [(item["A"][None].double(), item["B"][None].double()) for item in items]
    torch.manual_seed(0)
    model = build(config["model"])
    initial = {n: [p.detach().double() for p in getattr(model, n).parameters()] for n in ("G_AB", "D_B", "H")}
    theirs = train_reference(kind, initial, batches, patches=7, anti_aliased=not networks)

    assert len(ours) == len(theirs) == 6
    assert {row.pop("mirrored") for row in theirs} == ({0.0, 1.0} if kind == "fastcut" else {0.0})
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-6), t


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("model=cut",), lambda t: t["gan_B"] + (t["nce"] + t["nce_idt"]) / 2),
        (("model=cut", "model.nce_idt=false", "model.lambda_gan=3"), lambda t: 3 * t["gan_B"] + t["nce"]),
        (("model=cut", "model.lambda_nce=4"), lambda t: t["gan_B"] + 2 * t["nce"] + 2 * t["nce_idt"]),
        (("model=fastcut",), lambda t: t["gan_B"] + 10 * t["nce"]),
    ],
)
def test_weights_of_the_terms(overrides: tuple[str, ...], expected: Callable[[dict[str, Tensor]], Tensor]) -> None:
    model = make(*overrides)
    total, terms = model.generator_loss(model.generate(batch()))
    assert float(total.detach()) == pytest.approx(float(expected(terms).detach()), rel=1e-6)
    assert ("nce_idt" in terms) == ("model.nce_idt=false" not in overrides and "model=cut" in overrides)


def test_options_of_the_contrastive_loss_arrive() -> None:
    inputs = batch(count=2)

    def nce(*overrides: str) -> float:
        torch.manual_seed(0)
        model = make("model=cut", *overrides)
        torch.manual_seed(1)
        return float(model.generator_loss(model.generate(inputs))[1]["nce"].detach())

    # At a huge temperature nothing is told apart: log of the number of places in the five or four layers.
    assert nce("model.nce_tau=1e6", "model.num_patches=8") == pytest.approx(torch.tensor(8.0).log().item(), rel=1e-4)
    found = nce("model.nce_tau=1e6", "model.num_patches=8", "model.batch_negatives=true")
    assert found == pytest.approx(torch.tensor(16.0).log().item(), rel=1e-4)


def gradients(model: CUT, names: tuple[str, ...]) -> list[Tensor | None]:
    return [p.grad for name in names for p in getattr(model, name).parameters()]


@pytest.mark.parametrize("kind", ["cut", "fastcut"])
def test_heads_exist_and_learn_in_the_generators_turn(kind: str) -> None:
    model = make(f"model={kind}")
    assert [h[0].in_features for h in model.H.heads] == list(model.G_AB.feature_channels)
    assert {id(p) for p in model.H.parameters()} <= {id(p) for p in model.parameters_of("G")}
    images = model.generate(batch())
    total, _ = model.discriminator_loss(images)
    total.backward()
    assert all(g is None for g in gradients(model, ("G_AB", "H")))
    assert all(g is not None for g in gradients(model, ("D_B",)))
    _, terms = model.generator_loss(images)
    sum(value for name, value in terms.items() if name != "gan_B").backward()
    weights = [h[i].weight.grad for h in model.H.heads for i in (0, 2)]
    assert all(g is not None and g.abs().sum() > 0 for g in weights)
    assert all(g is not None for g in gradients(model, ("G_AB",)))


class Equivariant(nn.Module):
    """Single pixels only: mirrored in, mirrored out."""

    feature_channels = (3, 4)

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_with_features(x)[0]

    def features(self, x: Tensor) -> list[Tensor]:
        return [x, self.inner(x)]

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = self.features(x)
        return self.outer(features[1]).tanh(), features


def test_a_mirror_changes_nothing_for_an_equivariant_generator() -> None:
    model = make("model=fastcut", "model.nce_idt=true", "model.num_patches=9")
    equivariant = CUT(
        Equivariant,
        lambda **_: nn.Conv2d(3, 1, 1),
        flip_equivariance=True,
        num_patches=9,
        optimizer_G=model.make_optimizer["G"],
    ).double()
    inputs = {domain: x.double() for domain, x in batch(32, 2).items()}
    iterations: dict[bool, int] = {}
    for iteration in range(20):
        equivariant.iteration = iteration
        images = equivariant.generate(inputs)
        iterations.setdefault(torch.equal(images["fake_B"], equivariant.G_AB(inputs["A"].flip(3))), iteration)
    assert iterations.keys() == {True, False}

    def losses(model: CUT, flip: bool) -> dict[str, Tensor]:
        model.flip_equivariance, model.iteration = flip, iterations[True]
        torch.manual_seed(0)  # of the places
        return model.generator_loss(model.generate(inputs))[1]

    mirrored, plain = losses(equivariant, True), losses(equivariant, False)
    for name in ("nce", "nce_idt"):
        torch.testing.assert_close(mirrored[name], plain[name], rtol=1e-12, atol=0)
    model = model.double()  # and a generator that is not equivariant feels it
    assert not torch.isclose(losses(model, True)["nce"], losses(model, False)["nce"], rtol=1e-6)


def test_mirrors_half_of_the_iterations_with_one_draw() -> None:
    model, inputs = make("model=fastcut", "model.generator.blocks=0"), batch(16)
    count = 0
    with torch.no_grad():
        mirror = model.G_AB(inputs["A"].flip(3))
        for iteration in range(60):
            model.iteration = iteration
            images = model.generate(inputs)
            count += torch.allclose(images["fake_B"], mirror, atol=1e-6)
            assert torch.equal(images["real_A"], inputs["A"])
    assert 18 <= count <= 42


@pytest.mark.parametrize("kind", ["cut", "fastcut"])
def test_validation_draws_nothing_and_mirrors_nothing(kind: str) -> None:
    model, inputs = make(f"model={kind}").eval(), batch()
    state = torch.get_rng_state()
    with torch.no_grad():
        images = [model.generate(inputs) for _ in range(6)]
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.allclose(one["fake_B"], model.translate(inputs["A"]), atol=1e-6) for one in images)
        if kind == "cut":
            assert torch.allclose(images[0]["idt_B"], model.G_AB(inputs["B"]), atol=1e-6)
    assert ("idt_B" in images[0]) == (kind == "cut")


@pytest.mark.parametrize(("kind", "passes"), [("cut", (2, 4)), ("fastcut", (1, 2))])
def test_the_encoder_runs_no_more_than_it_must(kind: str, passes: tuple[int, int]) -> None:
    """Whole passes, and passes of the first layers, of an iteration without a mirror."""
    model = make(f"model={kind}", "model.join_passes=false", "model.flip_equivariance=false")
    counts = {"first": 0, "last": 0}
    model.G_AB.layers[1].register_forward_hook(lambda *_: counts.update(first=counts["first"] + 1))
    model.G_AB.layers[-1].register_forward_hook(lambda *_: counts.update(last=counts["last"] + 1))
    model.generator_loss(model.generate(batch()))
    assert (counts["last"], counts["first"]) == passes


def test_yaml_holds_the_published_settings() -> None:
    cut, fast = (composed(f"model={kind}", "name=test")["model"] for kind in ("cut", "fastcut"))
    changed = {"lambda_nce": 10.0, "nce_idt": False, "flip_equivariance": True}
    assert fast == cut | changed | {"schedule": cut["schedule"] | {"constant": 150, "decay": 50}}
    assert (cut["lambda_gan"], cut["lambda_nce"], cut["nce_tau"], cut["num_patches"]) == (1, 1, 0.07, 256)
    assert (cut["nce_idt"], cut["flip_equivariance"], cut["batch_negatives"]) == (True, False, False)
    assert (cut["schedule"]["constant"], cut["schedule"]["decay"]) == (200, 200)
    assert composed("model=fastcut", "model/generator=resnet6", "name=test")["model"]["generator"]["blocks"] == 6


def test_networks_are_the_published_ones() -> None:
    """Anti-aliased both, patches of 84 pixels, Xavier's initial weights of gain 0.02 (the official code's defaults)."""
    torch.manual_seed(0)
    model = build(composed("model=cut", "name=test")["model"], channels_A=3, channels_B=3)
    for network, halvings in ((model.G_AB, 2), (model.D_B, 3)):
        assert sum(isinstance(layer, BlurPool) for layer in network.modules()) == halvings
        convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        assert {layer.stride for layer in convolutions} == {(1, 1)}
        for layer in [layer for layer in convolutions if layer.weight.numel() > 10_000]:
            area = layer.kernel_size[0] * layer.kernel_size[1]
            fans = area * (layer.in_channels + layer.out_channels)
            assert layer.weight.std().item() == pytest.approx(0.02 * (2 / fans) ** 0.5, rel=0.05)
            assert not layer.bias.any()
    assert model.D_B.receptive_field == 84
    assert [layer.mode for layer in model.G_AB.modules() if isinstance(layer, Upsample)] == ["bilinear"] * 2
    back = build(composed("model=cut", "model/generator=resnet9", "model/discriminator=patch70", "name=test")["model"])
    assert back.D_B.receptive_field == 70


@pytest.mark.parametrize("kind", ["cut", "fastcut"])
def test_a_generator_without_features_is_refused_in_one_sentence(kind: str) -> None:
    config = small_config(f"model={kind}", "model/generator=unet128")["model"]
    with pytest.raises(UserError, match=r"model/generator: UNetGenerator .* take model/generator=resnet9"):
        build(config)


def test_domains_with_other_channels_are_refused() -> None:
    with pytest.raises(UserError, match=re.escape("as many channels in A (1) as in B (3)")):
        build(small_config("model=cut")["model"], channels_A=1, channels_B=3)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=cut", "trainer.precision=bf16-mixed"),
        ("model=fastcut", "trainer.precision=bf16-mixed", "model.gan_mode=hinge"),
        ("model=cut", "model/discriminator=pixel", "model.generator.norm=batch", "model.generator.dropout=0.5"),
    ],
)
def test_variants_train(run: Callable[..., Path], overrides: tuple[str, ...]) -> None:
    folder = run("variant", "trainer.max_steps=3", *overrides)
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    values = [float(v) for row in rows for k, v in row.items() if k.startswith("train/")]
    assert all(torch.isfinite(torch.tensor(values)))
    assert float(rows[0]["train/G_nce"]) > 0


def test_features_on_the_way_are_the_features_at_any_size() -> None:
    model = make("model=cut", "model.generator.blocks=6")
    x = torch.rand(1, 3, 30, 26) * 2 - 1
    output, features = model.G_AB.forward_with_features(x)
    assert torch.equal(output, model.G_AB(x))
    assert all(torch.equal(a, b) for a, b in zip(features, model.G_AB.features(x), strict=True))
    total, _ = model.generator_loss(model.generate({"A": x, "B": x}))
    assert torch.isfinite(total)
