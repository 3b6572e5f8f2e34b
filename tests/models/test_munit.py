"""MUNIT against an independent one written from the paper, its styles of both domains, and what it refuses."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gan_style
from gan_style.checkpoints import checkpoint
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.inference.styles import Style, apply_styles
from gan_style.inference.tiling.tiled import Tiled
from gan_style.inference.translator import LoadedTranslator
from gan_style.models.munit import MUNIT
from gan_style.models.translator import kept
from gan_style.networks.munit import MUNITStyleEncoder
from gan_style.testing import example_batch
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam
from tests.small_models import loaded, saved

State = dict[str, Tensor]
SMALL = ("model=munit", "model.style_encoder.filters=3")


def make(*overrides: str) -> MUNIT:
    torch.manual_seed(0)
    model = build(small_config(*SMALL, *overrides)["model"])
    assert isinstance(model, MUNIT)
    return model


# The paper, as functions of named weights


def norm(x: Tensor, dims: Sequence[int] = (2, 3)) -> Tensor:
    return (x - x.mean(dims, keepdim=True)) / (x.var(dims, keepdim=True, unbiased=False) + 1e-5).sqrt()


def convolved(w: State, name: str, x: Tensor, pad: int, stride: int = 1) -> Tensor:
    x = F.pad(x, (pad,) * 4, mode="reflect")
    return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=stride)


def block(w: State, names: tuple[str, str], x: Tensor, after: Callable[[int, Tensor], Tensor]) -> Tensor:
    """A residual block: a convolution, what comes after it, a ReLU, and the first two again."""
    y = F.relu(after(0, convolved(w, names[0], x, 1)))
    return x + after(1, convolved(w, names[1], y, 1))


def plain_block(w: State, name: str, x: Tensor) -> Tensor:
    return block(w, (f"{name}.layers.1", f"{name}.layers.5"), x, lambda _, y: norm(y))


def content_of(w: State, x: Tensor) -> Tensor:
    """Three convolutions, of which two halve, and one residual block."""
    for layer, pad, stride in ((1, 3, 1), (5, 1, 2), (9, 1, 2)):
        x = F.relu(norm(convolved(w, f"encoder.{layer}", x, pad, stride)))
    return plain_block(w, "encoder.12", x)


def enlarged(w: State, x: Tensor, first: int) -> Tensor:
    """The two enlargements and the last convolution of the layers from a number on."""
    for layer in (first + 2, first + 7):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = norm(convolved(w, f"decoder.{layer}", x, 2), (1, 2, 3))
        scale, shift = w[f"decoder.{layer + 1}.weight"], w[f"decoder.{layer + 1}.bias"]
        x = F.relu(x * scale[:, None, None] + shift[:, None, None])
    return torch.tanh(convolved(w, f"decoder.{first + 11}", x, 3))


def decoded(w: State, c: Tensor, s: Tensor) -> Tensor:
    """Eight linear maps of one hidden layer are the scales and shifts; two of them with one block."""
    for layer in (0, 2):
        s = F.relu(s @ w[f"perceptron.{layer}.weight"].T + w[f"perceptron.{layer}.bias"])

    def styled(number: int, y: Tensor) -> Tensor:
        name = f"blocks.0.norms.{number}.modulation"
        both = s @ w[f"{name}.weight"].T + w[f"{name}.bias"]
        count = y.shape[1]
        return (1 + both[:, :count, None, None]) * norm(y) + both[:, count:, None, None]

    return enlarged(w, block(w, ("blocks.0.convolutions.0", "blocks.0.convolutions.1"), c, styled), 0)


def style_of(w: State, x: Tensor) -> Tensor:
    """Five convolutions without a norm, four of which halve; the mean; a linear map."""
    for layer, pad, stride in ((1, 3, 1), (4, 1, 2), (7, 1, 2), (10, 1, 2), (13, 1, 2)):
        x = F.relu(convolved(w, f"layers.{layer}", x, pad, stride))
    return x.mean((2, 3)) @ w["code.weight"].T + w["code.bias"]


def judged(w: State, x: Tensor, scales: int = 2) -> list[Tensor]:
    """Logits of each size; the next one is the mean of 3x3 pixels, of those that there are."""
    logits = []
    for scale in range(scales):
        y = x
        for layer in (0, 2, 5, 8):
            name = f"scales.{scale}.layers.{layer}"
            y = F.conv2d(y, w[f"{name}.weight"], w[f"{name}.bias"], stride=2, padding=1)
            y = torch.where(y > 0, y, 0.2 * y)
        name = f"scales.{scale}.layers.11"
        logits.append(F.conv2d(y, w[f"{name}.weight"], w[f"{name}.bias"]))
        ones = torch.ones(3, 1, 3, 3, dtype=x.dtype)
        sums = F.conv2d(x, ones, stride=2, padding=1, groups=3)
        x = sums / F.conv2d(torch.ones_like(x), ones, stride=2, padding=1, groups=3)
    return logits


def least_squares(logits: list[Tensor], target: float) -> Tensor:
    return torch.stack([(one - target).square().mean() for one in logits]).mean()


def step(adam: Adam, total: Tensor) -> None:
    gradients = torch.autograd.grad(total, adam.weights)
    decayed = tuple(g + 1e-4 * w.detach() for g, w in zip(gradients, adam.weights, strict=True))
    adam.step(decayed, 1e-4)


def train_reference(nets: dict[str, State], batches: list[dict[str, Tensor]], cycle: float) -> list[dict[str, float]]:
    nets = {n: {k: v.detach().clone().requires_grad_() for k, v in w.items()} for n, w in nets.items()}
    adam_G = Adam([v for n in ("G_A", "G_B", "E_A", "E_B") for v in nets[n].values()])
    adam_D = Adam([v for n in ("D_A", "D_B") for v in nets[n].values()])
    history = []
    for t, x in enumerate(batches):
        torch.manual_seed(derive_seed(0, "iteration", t, 0))
        s = {d: torch.randn(1, 8, dtype=torch.float64) for d in "AB"}
        c = {d: content_of(nets[f"G_{d}"], x[d]) for d in "AB"}
        own = {d: style_of(nets[f"E_{d}"], x[d]) for d in "AB"}
        fake = {d: decoded(nets[f"G_{d}"], c[o], s[d]) for d, o in ("AB", "BA")}
        loss = {}
        for d in "AB":
            real_logits, fake_logits = (judged(nets[f"D_{d}"], y) for y in (x[d], fake[d].detach()))
            loss[f"D_{d}"] = least_squares(real_logits, 1) + least_squares(fake_logits, 0)
        step(adam_D, loss["D_A"] + loss["D_B"])
        total = torch.zeros((), dtype=torch.float64)
        for d, o in ("AB", "BA"):
            again = content_of(nets[f"G_{o}"], fake[o])
            loss[f"G_gan_{d}"] = least_squares(judged(nets[f"D_{d}"], fake[d]), 1)
            loss[f"G_rec_{d}"] = (decoded(nets[f"G_{d}"], c[d], own[d]) - x[d]).abs().mean()
            loss[f"G_style_{d}"] = (style_of(nets[f"E_{d}"], fake[d]) - s[d]).abs().mean()
            loss[f"G_content_{d}"] = (again - c[d]).abs().mean()
            total = total + 3 * loss[f"G_gan_{d}"] + 10 * loss[f"G_rec_{d}"]
            total = total + loss[f"G_style_{d}"] + loss[f"G_content_{d}"]
            if cycle:
                loss[f"G_cycle_{d}"] = (decoded(nets[f"G_{d}"], again, own[d]) - x[d]).abs().mean()
                total = total + cycle * loss[f"G_cycle_{d}"]
        step(adam_G, total)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


def batches_of(config: dict[str, Any], count: int) -> list[dict[str, Tensor]]:
    data = build(config["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(count)]
    return [{d: item[d][None].double() for d in "AB"} for item in items]


@pytest.mark.parametrize("cycle", [0, 10])
def test_first_iterations_equal_an_independent_one(run: Callable[..., Path], cycle: int) -> None:
    overrides = (*SMALL, "trainer.max_steps=5", "trainer.precision=64-true", f"model.lambda_cycle={cycle}")
    with open(run("ours", *overrides) / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    torch.manual_seed(0)
    model = build(config["model"])
    nets = {n: {k: p.detach().double() for k, p in m.named_parameters()} for n, m in model.named_children()}
    theirs = train_reference(nets, batches_of(config, 5), cycle)
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert len(expected) == 10 + 2 * bool(cycle)
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-6), t


def test_yaml_holds_the_published_settings() -> None:
    config = composed("model=munit", "name=test")["model"]
    assert [config[f"lambda_{name}"] for name in ("rec", "style", "content", "cycle")] == [10, 1, 1, 0]
    assert config["lambda_gan"] == config["discriminator"]["scales"], "the sum over the scales counts once"
    assert (config["style_size"], config["gan_mode"]) == (8, "lsgan_sum")
    for player in "GD":
        optimizer = config[f"optimizer_{player}"]
        assert (optimizer["betas"], optimizer["weight_decay"]) == ([0.5, 0.999], 1e-4)
    assert config["optimizer_G"]["lr"] == 1e-4
    rate = build(config["schedule"])
    assert [rate(t, 7) for t in (0, 99_999, 100_000, 250_000, 999_999)] == [1, 1, 0.5, 0.25, 0.5**9]
    counts = build(config).parameter_counts()
    assert all(counts[f"G_{d}"] + counts[f"E_{d}"] == 15_026_187 and counts[f"D_{d}"] == 8_271_171 for d in "AB")


def test_a_cycle_of_weight_zero_costs_nothing() -> None:
    model, passes = make(), []
    model.G_A.decoder.register_forward_hook(lambda *_: passes.append(1))
    images = model.generate(example_batch())
    assert not {"rec_A", "rec_B"} & set(images)
    assert len(passes) == 2
    assert not any(name.startswith("cycle") for name in model.generator_loss(images)[1])


def test_validation_takes_the_styles_of_the_other_domains_pictures() -> None:
    model, inputs = make().eval(), example_batch()
    state = torch.get_rng_state()
    with torch.no_grad():
        images = model.generate(inputs)
        for direction in model.directions:
            method, source, target = model.towards(direction), direction.source, direction.target
            code = method.style_code(inputs[target])
            assert torch.equal(images[f"fake_{target}"], method.stylize(inputs[source], code))
            back = model.towards(direction.back)
            again = back.stylize(images[f"fake_{target}"], back.style_code(inputs[source]))
            torch.testing.assert_close(images[f"rec_{source}"], again, atol=1e-5, rtol=0)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(KeyError, match="styles"):
        kept(images, "styles")


def test_pictures_of_different_sizes_and_channels() -> None:
    torch.manual_seed(0)
    model = build(small_config(*SMALL)["model"], channels_A=1, channels_B=3)
    inputs = {"A": torch.rand(1, 1, 42, 48) * 2 - 1, "B": torch.rand(1, 3, 33, 56) * 2 - 1}
    images = model.generate(inputs)
    assert images["fake_B"].shape == (1, 3, 42, 48)
    assert images["fake_A"].shape == (1, 1, 33, 56)
    assert torch.isfinite(model.generator_loss(images)[0])
    assert model.translate(inputs["B"], "B2A").shape == (1, 1, 33, 56)


def test_terms_are_float32_under_autocast() -> None:
    model, inputs = make(), example_batch()
    with torch.autocast("cpu", torch.bfloat16):
        images = model.generate(inputs)
        total, terms = model.generator_loss(images)
    assert {term.dtype for term in terms.values()} == {kept(images, "styles")["A"].dtype} == {torch.float32}
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters_of("G"))


# Gifts


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> LoadedTranslator:
    path = saved(tmp_path_factory.mktemp("munit") / "a.ckpt", *SMALL)
    content = checkpoint.load(path)
    for key, value in content["state_dict"].items():  # so that a style is seen
        if "modulation.weight" in key:
            value.mul_(3)
    checkpoint.save(content, path)
    return gan_style.load(path, device="cpu")


def image(seed: int, size: tuple[int, int] = (32, 40)) -> Tensor:
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def assert_near(a: Tensor, b: Tensor) -> None:
    """A loaded model convolves by other products than the networks by themselves."""
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_without_a_style_one_is_drawn_from_the_seed(translator: LoadedTranslator) -> None:
    x = image(0)
    for direction, name in (("A2B", "painting"), ("B2A", "photo")):
        plain = translator.translate(x, direction)
        assert torch.equal(plain, translator.translate(x, direction))
        assert torch.equal(plain, translator.translate(x, style=f"noise:{name}"))
        other = translator.translate(x, direction, seed=7)
        assert torch.equal(other, translator.translate(x, style=f"noise:{name}:7"))
        assert apart(plain, other) > 1e-3
        z = torch.randn(1, 8, generator=torch.Generator().manual_seed(7))
        method = translator.model.towards(direction)  # type: ignore[operator]
        assert_near(other, method.stylize(x[None], {"s": z})[0])
        both = translator.translate_all([x, image(1)], direction, seed=7)
        assert_near(both[0], other)
    assert translator.model.noise_seed == 0
    with pytest.raises(UserError, match="seed=7 is of the style that is drawn where none is given"):
        translator.translate(x, style="painting", seed=7)


def test_styles_by_name_and_by_picture_of_either_domain(translator: LoadedTranslator) -> None:
    x, y, model = image(0), image(1), translator.model
    assert isinstance(model, MUNIT)
    assert translator.style_names == ["painting", "photo"]
    assert [translator.learned(direction) for direction in model.directions] == [["painting"], ["photo"]]
    zero = torch.zeros(1, 8)
    for direction, name, of_source, of_target, encoder in (
        ("A2B", "painting", model.G_A, model.G_B, model.E_B),
        ("B2A", "photo", model.G_B, model.G_A, model.E_A),
    ):
        content = of_source.encode(x[None])
        assert_near(translator.translate(x, style=name)[None], of_target.decode(content, zero))
        expected = of_target.decode(content, encoder(y[None]))
        assert_near(translator.translate(x, direction, style=[(y, 1)])[None], expected)
        own = of_target.decode(content, encoder(x[None]))
        assert_near(translator.translate(x, direction, style=[(y, 1)], alpha=0.0)[None], own)
        half = of_target.decode(content, (encoder(y[None]) + encoder(x[None])) / 2)
        found = translator.translate(x, direction, style=[(y, 1)], alpha=0.5)[None]
        assert_near(found, half)
        mixed = translator.translate(x, direction, style=[(y, 3), (f"noise:{name}:4", 1)])[None]
        z = torch.randn(1, 8, generator=torch.Generator().manual_seed(4))
        expected = of_target.decode(content, 0.75 * encoder(y[None]) + 0.25 * z)
        assert_near(mixed, expected)
    assert torch.equal(translator.translate(x, style=[(y, 1)]), translator.translate(x, "A2B", style=[(y, 1)]))
    assert translator.ends("B2A", [(y, 1)]) == translator.ends(None, "noise:photo:3") == ("B", "A")
    given = translator.style(y, direction="B2A")
    assert torch.equal(translator.translate(x, style=given), translator.translate(x, "B2A", style=[(y, 1)]))


def test_styles_of_two_domains_are_refused(translator: LoadedTranslator) -> None:
    x, message = image(0), "styles and direction lead to painting and to photo: name styles of one domain"
    for style, direction in (
        ({"painting": 1, "photo": 1}, None),
        ("painting", "B2A"),
        ("noise:photo:3", "A2B"),
        ([(translator.style(image(1), direction="B2A"), 1), ("painting", 1)], None),
    ):
        with pytest.raises(UserError, match=message):
            translator.translate(x, direction, style=style)
    mixed = [
        Style(name, {"s": torch.zeros(1, 8)}, direction=way)
        for name, way in zip("ab", translator.model.directions, strict=True)
    ]
    with pytest.raises(UserError, match="the styles are of two domains"):
        apply_styles(translator.model, x[None], mixed)
    with pytest.raises(UserError, match="there is no style 1: a domain of munit is one style, 0"):
        translator.model.known_style(1)  # type: ignore[operator]
    with pytest.raises(UserError, match="noise is of a style, as in noise:NAME"):
        translator.translate(x, style="noise:nothing:3")


def test_regions_may_have_styles_of_one_domain_each(translator: LoadedTranslator) -> None:
    x, left = image(0), torch.zeros(32, 40)
    left[:, :20] = 1
    names = ["noise:photo:1", "noise:photo:2"]
    both = translator.translate(x, style=[(name, 1) for name in names], mask=[left, 1 - left])
    parts = [translator.translate(x, style=name) for name in names]
    torch.testing.assert_close(both, torch.cat([parts[0][..., :20], parts[1][..., 20:]], -1), atol=1e-6, rtol=0)


def test_tiles_are_exact_and_of_one_style_when_they_are_fast(translator: LoadedTranslator) -> None:
    x, y = image(0, (70, 91)), image(1, (50, 61))
    for direction in ("A2B", "B2A"):
        for how in ({}, {"style": [(y, 1.0)]}, {"style": [(y, 1.0)], "alpha": 0.3}):
            whole = translator.translate(x, direction, tile=None, **how)
            assert apart(translator.translate(x, direction, tile=32, **how), whole) < 1e-4
    code = translator.model.towards("B2A").style_code(y[None])["s"]  # type: ignore[operator]
    assert apart(Tiled(translator.model, 16).towards("B2A").style_code(y[None])["s"], code) < 1e-5
    fast = translator.translate(x, tile=48, tile_mode="fast")
    assert fast.shape == x.shape


def test_a_style_encoder_takes_any_size() -> None:
    network = MUNITStyleEncoder(filters=2)
    for size in ((1, 1), (1, 40), (17, 16), (33, 21)):
        codes = network(torch.rand(2, 3, *size))
        assert codes.shape == (2, 8)
        assert codes.isfinite().all()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"ResnetGenerator has no style_size.*take model/generator=munit or styled"):
        make("model/generator=resnet9")


def test_the_generator_of_style_conditional_fits() -> None:
    model = make("model/generator=styled")
    images = model.generate(example_batch())
    assert torch.isfinite(model.generator_loss(images)[0])


def test_content_and_style_can_be_of_a_model_of_styles_by_name() -> None:
    model = build(small_config("model=style_conditional", "model/generator=munit")["model"], styles=2)
    images = model.generate(example_batch())
    assert torch.isfinite(functools.reduce(torch.add, model.generator_loss(images)[1].values()))


def test_a_strength_below_1_wants_as_many_channels_in_both_domains() -> None:
    translator = loaded("model=munit", channels_A=1, channels_B=3)
    grey = torch.rand(1, 32, 32) * 2 - 1
    assert translator.translate(grey, "A2B").shape == (3, 32, 32)
    with pytest.raises(UserError, match="pictures of 3 channels, not of 1: take alpha=1"):
        translator.translate(grey, "A2B", alpha=0.5)
