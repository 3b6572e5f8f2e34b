"""U-GAT-IT against an independent one written from the paper, its judges, its attention, and what it refuses."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_style.cli.main import main
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.losses.adversarial import maps_of
from gan_style.models.translator import kept
from gan_style.models.ugatit import UGATIT
from gan_style.networks.attention import (
    AttentionDiscriminator,
    AttentionGenerator,
    ClassActivation,
    InstanceLayerNorm,
)
from gan_style.networks.contract import grid_means, judges_of
from gan_style.testing import build_model, check_resume, check_turns, example_batch
from tests.conftest import composed, small_config
from tests.models.test_cut import batch
from tests.small_models import loaded, saved

Weights = dict[str, Tensor]
FULL, LIGHT = "model=ugatit", "model=ugatit_light"


def make(*overrides: str) -> UGATIT:
    model = build_model(small_config(*(overrides or (FULL,))))
    assert isinstance(model, UGATIT)
    return model


# The reference: of our code it takes the names of weights alone


def reflected(x: Tensor, pad: int) -> Tensor:
    return F.pad(x, (pad,) * 4, mode="reflect")


def instance(x: Tensor, unbiased: bool = False) -> Tensor:
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=unbiased)
    return (x - mean) / (variance + 1e-5).sqrt()


def blended(x: Tensor, rho: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Equation 1 of the paper, with scale and shift [B, C]."""
    mean, variance = x.mean((1, 2, 3), keepdim=True), x.var((1, 2, 3), keepdim=True, unbiased=True)
    of_layer = (x - mean) / (variance + 1e-5).sqrt()
    rho = rho[None, :, None, None]
    return (rho * instance(x, unbiased=True) + (1 - rho) * of_layer) * scale[:, :, None, None] + shift[:, :, None, None]


def attend(x: Tensor, by_mean: Tensor, by_maximum: Tensor, w: Weights, name: str) -> Tensor:
    weighed = torch.cat([x * by_mean[:, :, None, None], x * by_maximum[:, :, None, None]], 1)
    return F.conv2d(weighed, w[f"{name}.mix.weight"], w[f"{name}.mix.bias"])


def says(x: Tensor, by_mean: Tensor, by_maximum: Tensor) -> Tensor:
    return torch.cat([x.mean((2, 3)) @ by_mean.T, x.amax((2, 3)) @ by_maximum.T], 1)


def generator(w: Weights, x: Tensor, light: bool) -> tuple[Tensor, Tensor]:
    """The picture, and the logits; of one residual block before and one behind."""
    x = F.relu(instance(F.conv2d(reflected(x, 3), w["encoder.1.weight"])))
    for layer in (5, 9):
        x = F.relu(instance(F.conv2d(reflected(x, 1), w[f"encoder.{layer}.weight"], stride=2)))
    y = F.relu(instance(F.conv2d(reflected(x, 1), w["encoder.12.layers.1.weight"])))
    x = x + instance(F.conv2d(reflected(y, 1), w["encoder.12.layers.5.weight"]))
    by_mean, by_maximum = w["attention.by_mean.weight"], w["attention.by_maximum.weight"]
    logits = says(x, by_mean, by_maximum)
    x = F.relu(attend(x, by_mean, by_maximum, w, "attention"))
    code = x.mean((2, 3)) if light else x.flatten(1)
    for layer in (0, 2):
        code = F.relu(code @ w[f"modulation.{layer}.weight"].T)
    scale, shift = code @ w["scale.weight"].T, code @ w["shift.weight"].T
    y = x
    for i in (0, 1):
        y = F.conv2d(reflected(y, 1), w[f"blocks.0.convolutions.{i}.weight"])
        y = blended(y, w[f"blocks.0.norms.{i}.rho"], scale, shift)
        y = F.relu(y) if i == 0 else y
    x = x + y
    for layer in (0, 3):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = F.conv2d(reflected(x, 1), w[f"up.{layer}.2.weight"])
        own = [w[f"up.{layer + 1}.{name}"] for name in ("rho", "scale", "shift")]
        x = F.relu(blended(x, own[0], own[1][None], own[2][None]))
    return torch.tanh(F.conv2d(reflected(x, 3), w["up.7.weight"])), logits


class Spectral:
    """Weights over their largest singular value, of one step of the power iteration in each pass."""

    def __init__(self, w: Weights) -> None:
        self.vectors = {name: w[name] for name in w if name.endswith("._v")}

    def __call__(self, w: Weights, name: str) -> Tensor:
        bare = w[f"{name}.parametrizations.weight.original"]
        flat, key = bare.detach().flatten(1), f"{name}.parametrizations.weight.0._v"
        u = F.normalize(flat @ self.vectors[key], dim=0)
        self.vectors[key] = F.normalize(flat.T @ u, dim=0)
        return bare / torch.dot(u, bare.flatten(1) @ self.vectors[key])


def discriminator(w: Weights, spectral: Spectral, x: Tensor, name: str, layers: int) -> dict[str, Tensor]:
    name, side = f"networks.{name}", 3 * 2 ** (layers - 2)
    if x.shape[-1] < side:
        x = F.pad(x, (0, side - x.shape[-1]) * 2, mode="replicate")
    for layer in range(layers - 1):
        at = f"{name}.layers.{3 * layer + 1}"
        x = F.conv2d(reflected(x, 1), spectral(w, at), w[f"{at}.bias"], stride=1 if layer == layers - 2 else 2)
        x = F.leaky_relu(x, 0.2)
    parts = [f"{name}.attention.{part}" for part in ("by_mean", "by_maximum")]
    cam = says(x, *(spectral(w, part) for part in parts))
    bare = [w[f"{part}.parametrizations.weight.original"] for part in parts]
    x = F.leaky_relu(attend(x, *bare, w, f"{name}.attention"), 0.2)
    return {"patch": F.conv2d(reflected(x, 1), spectral(w, f"{name}.last")), "cam": cam}


class AdamWithDecay:
    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters, self.t = parameters, 0
        self.m, self.v = ([torch.zeros_like(p) for p in parameters] for _ in range(2))

    def step(self, loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, self.parameters, retain_graph=True)
        self.t += 1
        for p, g, m, v in zip(self.parameters, gradients, self.m, self.v, strict=True):
            g = g + 1e-4 * p.detach()
            m.mul_(0.5).add_(0.5 * g)
            v.mul_(0.999).add_(0.001 * g * g)
            p.data -= 1e-4 * m / (1 - 0.5**self.t) / ((v / (1 - 0.999**self.t)).sqrt() + 1e-8)


def train_reference(model: Any, batches: list[tuple[Tensor, Tensor]], light: bool) -> list[dict[str, float]]:
    nets = {name: dict(net.state_dict()) for name, net in model.named_children()}
    learned = {name: [n for n, _ in net.named_parameters()] for name, net in model.named_children()}
    for name, w in nets.items():
        w.update({n: w[n].detach().double().clone().requires_grad_(n in learned[name]) for n in w})
    spectral = {name: Spectral(nets[name]) for name in ("D_A", "D_B")}
    adams = [
        AdamWithDecay([nets[name][n] for name in names for n in learned[name]])
        for names in (("G_AB", "G_BA"), ("D_A", "D_B"))
    ]

    def judged(domain: str, x: Tensor) -> dict[str, Tensor]:
        name = f"D_{domain}"
        both = (("global", 7), ("local", 5))
        parts = {k: discriminator(nets[name], spectral[name], x, k, layers) for k, layers in both}
        return {f"{k}_{judge}": logits for k, found in parts.items() for judge, logits in found.items()}

    history = []
    for A, B in batches:
        (fake_B, from_A), (idt_B, other_A) = (generator(nets["G_AB"], x, light) for x in (A, B))
        (fake_A, from_B), (idt_A, other_B) = (generator(nets["G_BA"], x, light) for x in (B, A))
        rec_A, rec_B = generator(nets["G_BA"], fake_B, light)[0], generator(nets["G_AB"], fake_A, light)[0]
        loss: dict[str, Tensor] = {}
        for domain, real, fake in (("A", A, fake_A), ("B", B, fake_B)):
            reals, fakes = judged(domain, real), judged(domain, fake.detach())
            for judge in reals:
                on_both = ((reals[judge] - 1) ** 2).mean() + (fakes[judge] ** 2).mean()
                loss[f"D_{domain}_{judge}"] = on_both
        adams[1].step(torch.stack(list(loss.values())).sum())
        adversarial = []
        for domain, fake in (("A", fake_A), ("B", fake_B)):
            for judge, logits in judged(domain, fake).items():
                loss[f"G_gan_{domain}_{judge}"] = ((logits - 1) ** 2).mean()
                adversarial.append(loss[f"G_gan_{domain}_{judge}"])
        for domain, real, rec, idt in (("A", A, rec_A, idt_A), ("B", B, rec_B, idt_B)):
            loss[f"G_cycle_{domain}"], loss[f"G_idt_{domain}"] = (rec - real).abs().mean(), (idt - real).abs().mean()
        for domain, source, target in (("A", from_B, other_B), ("B", from_A, other_A)):
            loss[f"G_cam_{domain}"] = -source.sigmoid().log().mean() - (1 - target.sigmoid()).log().mean()
        weighted = {"cycle": 10, "idt": 10, "cam": 1000}
        others = [weight * loss[f"G_{name}_{domain}"] for name, weight in weighted.items() for domain in "AB"]
        adams[0].step(torch.stack([*adversarial, *others]).sum())
        for name in ("G_AB", "G_BA"):
            for n in nets[name]:
                if n.endswith("rho"):
                    nets[name][n].data.clamp_(0, 1)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


@pytest.mark.parametrize("model", [FULL, LIGHT])
def test_first_iterations_equal_an_independent_one(run: Callable[..., Path], model: str) -> None:
    overrides = (model, "trainer.max_steps=5", "trainer.precision=64-true")
    with open(run("ours", *overrides) / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(5)]
    batches = [(item["A"][None].double(), item["B"][None].double()) for item in items]
    torch.manual_seed(0)
    theirs = train_reference(build(config["model"]), batches, light=model == LIGHT)
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-6), t


# As published


@pytest.mark.parametrize(("name", "count"), [(FULL, 278_959_808), (LIGHT, 10_589_888)])
def test_yaml_holds_the_published_settings(name: str, count: int) -> None:
    config = composed(name, "name=test", "data=folders", "data.root=somewhere")["model"]
    assert (config["lambda_cycle"], config["lambda_idt"], config["lambda_cam"]) == (10, 10, 1000)
    assert [config[f"optimizer_{player}"][key] for player in "GD" for key in ("lr", "betas", "weight_decay")] == [
        *(1e-4, [0.5, 0.999], 1e-4),
        *(1e-4, [0.5, 0.999], 1e-4),
    ]
    assert (config["schedule"]["constant"], config["schedule"]["decay"]) == (500_000, 500_000)
    with torch.device("meta"):
        G = AttentionGenerator(**{k: config["generator"][k] for k in ("filters", "blocks", "image_size")})
        layers = {k: one["layers"] for k, one in config["discriminator"]["judges"].items()}
        judges = {k: AttentionDiscriminator(layers=count) for k, count in layers.items()}
    assert sum(p.numel() for p in G.parameters()) == count
    parameters = {name: sum(p.numel() for p in one.parameters()) for name, one in judges.items()}
    assert parameters == {"global": 53_130_176, "local": 3_290_560}


@pytest.mark.parametrize(("layers", "side"), [(5, 70), (7, 286)])
def test_a_logit_of_patches_sees_so_many_pixels(layers: int, side: int) -> None:
    """Of the convolutions: the attention's weights are the same at each place, so the gradient is local."""
    network = AttentionDiscriminator(filters=2, layers=layers).double().eval()
    x = torch.rand(1, 3, 640, 640, dtype=torch.float64, requires_grad=True)
    logits = network(x)["patch"]
    middle = logits.shape[-1] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], x)
    rows = gradient[0].abs().sum((0, 2)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == side


# Parts


@pytest.mark.parametrize(
    ("height", "sides"), [(4, (4, 4)), (3, (8, 8)), (8, (3, 3)), (24, (16, 7)), (5, (2, 3)), (1, (3, 3)), (3, (4, 6))]
)
def test_the_grid_is_torchs_adaptive_pooling(height: int, sides: tuple[int, int]) -> None:
    x = torch.rand(2, 3, height, height + 2, dtype=torch.float64, requires_grad=True)
    found, expected = grid_means(x, sides), F.adaptive_avg_pool2d(x, sides)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(y.square().sum(), x)[0] for y in (found, expected)))


def test_the_norm_keeps_its_precision_where_the_mean_is_large() -> None:
    norm, x = InstanceLayerNorm(4), torch.randn(2, 4, 16, 16) + 1000
    norm.rho.data.fill_(0.7)
    expected = blended(x.double(), norm.rho.data.double(), torch.ones(2, 4).double(), torch.zeros(2, 4).double())
    assert (norm(x) - expected).abs().max() < 1e-3
    half = norm(x.bfloat16() - 1000)
    assert bool(half.isfinite().all())


def test_features_are_weighed_by_the_weights_without_their_spectral_norm() -> None:
    attention, x = ClassActivation(3, spectral=True).eval(), torch.rand(1, 3, 4, 5)
    bare = [getattr(attention, n).parametrizations.weight.original.detach() for n in ("by_mean", "by_maximum")]
    w = {f"a.{name}": value for name, value in attention.state_dict().items()}
    torch.testing.assert_close(attention(x), attend(x, *bare, w, "a"))


def test_rho_stays_between_0_and_1_and_has_the_gradient_of_its_own_value() -> None:
    model = make(LIGHT)
    norm: Any = model.G_AB.up[1]
    norm.rho.data.copy_(torch.linspace(-0.5, 1.5, len(norm.rho)))
    model.after_iteration({})
    assert (norm.rho.min().item(), norm.rho.max().item()) == (0.0, 1.0)
    model.generator_loss(model.generate(example_batch()))[0].backward()
    assert bool((norm.rho.grad != 0).all()), "a clamp in the pass would have none at its ends"


def test_each_classifier_is_asked_about_both_domains() -> None:
    model, inputs = make(), batch(count=2)
    cam = kept(model.generate(inputs), "cam")
    assert all(one.shape == (2, 2) for both in cam.values() for one in both)
    torch.testing.assert_close(cam["B"][0], model.G_AB.forward_with_logits(inputs["A"])[1])
    torch.testing.assert_close(cam["A"][1], model.G_BA.forward_with_logits(inputs["A"])[1])
    flat = [torch.zeros(1, 2), torch.zeros(1, 2)]
    images = model.generate(inputs)
    images.kept["cam"] = {"A": flat, "B": flat}  # type: ignore[attr-defined]
    assert model.generator_loss(images)[1]["cam_A"].item() == pytest.approx(2 * np.log(2))


# Judges


def test_the_judges_are_named_and_weighed() -> None:
    model = make(FULL, "model.discriminator.weights.local=0.5", "model.discriminator.judges.global.cam_weight=0.25")
    weights, _ = judges_of(model.D_B)
    assert weights == {"global_patch": 1.0, "global_cam": 0.25, "local_patch": 0.5, "local_cam": 0.5}
    images = model.generate(batch())
    total, terms = model.discriminator_loss(images)
    expected = sum(weights[name[2:]] * term for name, term in terms.items())
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert {name[2:] for name in terms} == set(weights)
    assert {tuple(one.shape[:2]) for one in maps_of(model.D_B(images["fake_B"]))} == {(1, 1)}


@pytest.mark.parametrize("mode", ["lsgan", "hinge", "relativistic", "wgan"])
def test_other_losses_with_every_penalty(mode: str) -> None:
    penalties = [f"model.{name}=1" for name in ("lambda_r1", "lambda_r2", "lambda_gp", "lambda_gp0")]
    check_turns(make(FULL, f"model.gan_mode={mode}", *penalties), example_batch())


def test_one_judge_may_have_a_loss_of_its_own() -> None:
    model = make(FULL, "model.discriminator.gan_modes.global=hinge")
    assert judges_of(model.D_A)[1] == {"global_patch": "hinge", "global_cam": "hinge"}
    check_turns(model, example_batch())


@pytest.mark.slow
@pytest.mark.parametrize("augment", ["diffaug", "apa"])
def test_augmented_runs_resume_bit_for_bit(augment: str, tmp_path: Path) -> None:
    check_resume(small_config(LIGHT, f"model.augment={augment}"), tmp_path)


# Sizes and attention


@pytest.mark.parametrize("name", [FULL, LIGHT])
def test_the_pass_in_tiles_and_its_attention_are_those_of_the_whole(name: str) -> None:
    model, x = loaded(name), torch.rand(2, 3, 45, 38) * 2 - 1
    for direction in ("A2B", "B2A"):
        whole, tiled = (model.translate(x, direction, tile=tile) for tile in (None, 16))
        torch.testing.assert_close(whole, tiled, atol=1e-4, rtol=0)
        whole, tiled = (model.explain(x, direction, tile=tile) for tile in (None, 16))
        torch.testing.assert_close(whole, tiled, atol=1e-4, rtol=0)
        assert whole.shape == (2, 1, 45, 38)
        assert whole.amin((1, 2, 3)).tolist() == [0, 0]
        torch.testing.assert_close(whole.amax((1, 2, 3)), torch.ones(2))
    assert not torch.equal(model.explain(x, "A2B"), model.explain(x, "B2A"))


def test_the_attention_is_the_sum_of_the_weighed_features() -> None:
    G, x = make().G_AB, torch.rand(1, 3, 32, 24) * 2 - 1
    summed = F.relu(G.attention(G.encoder(x))).sum(1, keepdim=True)
    summed = F.interpolate(summed, size=(32, 24), mode="bilinear")
    expected = (summed - summed.min()) / (summed.max() - summed.min())
    torch.testing.assert_close(G.attention_map(x), expected)


def test_the_command_draws_the_attention(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "u.ckpt", LIGHT)
    noise = np.random.default_rng(0).integers(0, 255, (31, 45, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "in.png")
    words = ["translate", checkpoint, tmp_path / "in.png", tmp_path / "out.png", "--direction", "B2A"]
    assert main([str(word) for word in (*words, "--explain", tmp_path / "why", "--tile", 16)]) == 0
    for path in (tmp_path / "out.png", tmp_path / "why" / "out.png"):
        with Image.open(path) as image:
            assert image.size == (45, 31)


def test_the_full_model_takes_any_size_and_at_its_own_every_place() -> None:
    model = make(FULL, "data.image_size=32")
    assert model.G_AB.modulation[0].in_features == 16 * 8 * 8
    features = torch.rand(1, 16, 8, 8)
    assert torch.equal(grid_means(features, (8, 8)), features)
    images = {"A": torch.rand(1, 3, 40, 48) * 2 - 1, "B": torch.rand(1, 3, 32, 56) * 2 - 1}
    total, _ = model.generator_loss(model.generate(images))
    assert torch.isfinite(total)


# Mistakes


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="ResnetGenerator has no attention: take model/generator=attention"):
        make(LIGHT, "model/generator=resnet9")
    with pytest.raises(UserError, match=r"as many channels in A \(1\) as in B \(3\)"):
        build(small_config(FULL)["model"], channels_A=1, channels_B=3)
    with pytest.raises(UserError, match="needs 3 layers or more, not 2: raise layers"):
        AttentionDiscriminator(layers=2)


def test_another_discriminator_is_taken() -> None:
    check_turns(make(FULL, "model/discriminator=patch70"), example_batch())
