"""G(x, s): its two losses written out picture by picture, where codes come from, and what a checkpoint keeps."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_style.checkpoints import checkpoint
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.models.style_conditional import StyleConditional, take_weights
from gan_style.models.translator import kept
from gan_style.networks.adain import AdaINDecoder
from tests.conftest import differences, small_config
from tests.small_models import made

TINY = (
    "model=style_conditional",
    "model.discriminator.layers=1",
    "model.style_encoder.filters=3",
    "model.mapping.width=8",
    "model.style_size=6",
    "model.latent_size=4",
)
VGG = ("model/vgg=vgg19", "model.vgg.weights=random", "model.vgg.depth=relu2_1")


def make(*overrides: str, styles: int = 3, **extra: Any) -> StyleConditional:
    torch.manual_seed(0)
    model = build(small_config(*TINY, *overrides)["model"], styles=styles, **extra)
    assert isinstance(model, StyleConditional)
    return model.double()


def batch(count: int = 3, size: int = 16) -> dict[str, Tensor]:
    torch.manual_seed(1)
    images = {name: torch.rand(count, 3, size, size).double() * 2 - 1 for name in ("A", "B", "B2")}
    return images | {"style": torch.tensor([2, 0, 2])[:count]}


def softplus(x: Tensor) -> Tensor:
    return (1 + x.exp()).log()


def reference(model: StyleConditional, b: dict[str, Tensor], iteration: int) -> dict[str, Tensor]:
    """Every term, one picture at a time and averaged; the draws are those of `generate`."""
    count = len(b["A"])
    z = torch.randn(count, model.latent_size, dtype=torch.float64)
    z2 = torch.randn(count, model.latent_size, dtype=torch.float64)
    terms: dict[str, list[Tensor]] = {}
    for i in range(count):
        x, y, y2, label = b["A"][i : i + 1], b["B"][i : i + 1], b["B2"][i : i + 1], b["style"][i : i + 1]
        if (iteration + i) % 2 == 0:
            s, s2 = model.M(z[i : i + 1], label), model.M(z2[i : i + 1], label)
        else:
            s, s2 = model.E(y), model.E(y2)
        fake, own = model.G(x, s), model.E(x)
        real_map = model.D.layers(y)[0, label.item()]
        fake_map = model.D.layers(fake)[0, label.item()]
        image = y.clone().requires_grad_()
        judged = model.D.layers(image)[0, label.item()]
        (slope,) = torch.autograd.grad(judged.sum(), image, create_graph=True)
        found = {
            "gan_B": softplus(-fake_map).mean(),
            "code": (model.E(fake) - s.detach()).abs().mean(),
            "cycle_A": (model.G(fake, own) - x).abs().mean(),
            "self": (model.G(x, own) - x).abs().mean(),
            "diversity": (fake - model.G(x, s2).detach()).abs().mean(),
            "B": (softplus(-real_map).mean() + softplus(fake_map).mean()) / 2,
            "r1_B": (slope**2).sum() / 2 / judged.numel(),
        }
        for name, value in found.items():
            terms.setdefault(name, []).append(value)
    return {name: sum(values) / count for name, values in terms.items()}  # type: ignore[misc]


WEIGHTS = {"gan_B": 2.0, "code": 3.0, "cycle_A": 5.0, "self": 7.0}
WEIGHTED = (
    "model.lambda_gan=2",
    "model.lambda_code=3",
    "model.lambda_cycle=5",
    "model.lambda_self=7",
    "model.lambda_diversity=11",
    "model.diversity_iterations=10",
    "model.lambda_r1=13",
)


@pytest.mark.parametrize("iteration", [0, 1, 4])
def test_both_losses_are_the_equations(iteration: int) -> None:
    model, inputs = make(*WEIGHTED), batch()
    model.iteration = iteration
    torch.manual_seed(5)
    images = model.generate(inputs)
    total_G, terms_G = model.generator_loss(images)
    total_D, terms_D = model.discriminator_loss(images)
    torch.manual_seed(5)
    expected = reference(model, inputs, iteration)
    for name, value in (terms_G | terms_D).items():
        assert value.item() == pytest.approx(expected.pop(name).item(), rel=1e-9), name
    assert not expected
    torch.manual_seed(5)
    expected = reference(model, inputs, iteration)
    of_G = sum(weight * expected[name] for name, weight in WEIGHTS.items())
    of_G = of_G - 11 * (1 - iteration / 10) * expected["diversity"]
    of_D = expected["B"] + 13 * expected["r1_B"]
    for ours, theirs, player in ((total_G, of_G, "G"), (total_D, of_D, "D")):
        assert isinstance(theirs, Tensor)
        parameters = model.parameters_of(player)
        a = torch.autograd.grad(ours, parameters, retain_graph=True)
        b = torch.autograd.grad(theirs, parameters, retain_graph=True, allow_unused=True)
        for x, y in zip(a, b, strict=True):
            assert torch.allclose(x, torch.zeros_like(x) if y is None else y, atol=1e-9)


def test_codes_come_by_turns_and_from_the_encoder_in_validation() -> None:
    model, inputs = make(), batch()
    of_B = model.E(inputs["B"])
    for iteration in (0, 1):
        model.iteration = iteration
        images: Any = model.generate(inputs)
        alike = [torch.allclose(kept(images, "code")[i], of_B[i]) for i in range(3)]
        assert alike == [(iteration + i) % 2 == 1 for i in range(3)]
    model.eval()
    images = model.generate(inputs)
    assert torch.allclose(images["fake_B"], model.G(inputs["A"], of_B))
    assert set(images) == {"real_A", "real_B", "fake_B", "rec_A", "idt_A"}
    assert torch.equal(images["fake_B"], model.generate(inputs)["fake_B"])


def test_data_without_styles_is_one_style() -> None:
    model, inputs = make(styles=1), batch()
    plain = {name: inputs[name] for name in "AB"}
    first: Any = model.generate(plain)
    assert kept(first, "labels").tolist() == [0, 0, 0]
    torch.manual_seed(3)
    first = model.generate(plain)
    torch.manual_seed(3)
    rolled = inputs["B"][[2, 0, 1]]
    second: Any = model.generate(plain | {"B2": rolled, "style": torch.zeros(3, dtype=torch.int64)})
    assert torch.equal(kept(first, "second"), kept(second, "second"))


def test_two_codes_of_one_picture_have_no_diversity() -> None:
    """A batch of one picture without a second: what rounding leaves between the two has no gradient."""
    model = make(styles=1)
    one = {name: value[:1] for name, value in batch().items() if name in "AB"}
    for iteration, different in ((0, True), (1, False)):  # codes of noise, codes of the picture
        model.iteration = iteration
        images: Any = model.generate(one)
        images["fake_B"].retain_grad()
        _, terms = model.generator_loss(images)
        assert (float(terms["diversity"].detach()) > 1e-6) is different
        terms["diversity"].backward()
        assert bool(images["fake_B"].grad.any()) is different


def test_the_diversity_ends_and_then_costs_nothing() -> None:
    model, inputs = make("model.diversity_iterations=4"), batch()
    passes: list[int] = []
    model.G.last.register_forward_hook(lambda *_: passes.append(1))
    found = []
    for iteration in (0, 3, 4, 100):
        model.iteration = iteration
        passes.clear()
        _, terms = model.generator_loss(model.generate(inputs))
        found.append((len(passes), "diversity" in terms))
    assert found == [(4, True), (4, True), (3, False), (3, False)]


def test_r1_may_be_lazy() -> None:
    often, rarely = make("model.lambda_r1=2"), make("model.lambda_r1=2", "model.penalty_every=4")
    inputs = batch()
    for iteration, factor in ((0, 4), (1, 0), (3, 0), (4, 4)):
        often.iteration = rarely.iteration = iteration
        images = often.generate(inputs)
        terms = often.discriminator_loss(images)[1]
        total, lazy = rarely.discriminator_loss(images)
        assert ("r1_B" in lazy) == (factor > 0)
        assert total.item() == pytest.approx((terms["B"] + factor * 2 * terms["r1_B"]).item())
    off = make("model.lambda_r1=0")
    assert set(off.discriminator_loss(off.generate(inputs))[1]) == {"B"}


def test_terms_of_weight_zero_cost_nothing() -> None:
    model = make("model.lambda_code=0", "model.lambda_cycle=0", "model.lambda_self=0", "model.diversity_iterations=0")
    images = model.generate(batch())
    assert set(images) == {"real_A", "real_B", "fake_B"}
    assert set(model.generator_loss(images)[1]) == {"gan_B"}


def test_means_of_styles_are_what_they_say() -> None:
    model = make()
    means, visits = torch.zeros(3, 6).double(), [0, 0, 0]
    for step in range(160):
        inputs = {name: torch.rand(2, 3, 16, 16).double() for name in "AB"}
        labels = [step % 2, step % 2 if step % 3 else 1]
        model._remember(model.E(inputs["B"]), torch.tensor(labels))
        codes = model.E(inputs["B"]).detach()
        for k in set(labels):
            new = torch.stack([codes[i] for i in range(2) if labels[i] == k]).mean(0)
            visits[k] += 1
            # the plain mean of the first hundred visits, then 99 hundredths of the past
            share = 1 / visits[k] if visits[k] <= 100 else 0.01
            means[k] = (1 - share) * means[k] + share * new
    assert visits[1] > 100 > visits[0] > 0
    assert model.style_visits.tolist() == visits
    assert torch.allclose(model.style_means, means, atol=1e-12)
    assert not model.style_means[2].any()
    assert {"style_means", "style_visits"} <= set(model.state_dict())
    assert torch.equal(model.known_style(1)["s"], model.style_means[1:2])


def test_training_keeps_the_means_and_validation_does_not() -> None:
    model = make()
    model.eval()
    model.generate(batch())
    assert not model.style_visits.any()
    model.train()
    model.generate(batch())
    assert model.style_visits.tolist() == [1, 0, 1]
    assert torch.allclose(model.style_means[2], model.E(batch()["B"][[0, 2]]).mean(0))
    assert not model.style_means.requires_grad


def test_styles_by_picture_by_number_and_by_chance() -> None:
    model, inputs = make(), batch()
    model.generate(inputs)
    model.eval()
    x = inputs["A"]
    code = model.style_code(inputs["B"][:1])
    assert torch.allclose(model.stylize(x, code), model.G(x, code["s"].repeat(3, 1)))
    mean = model.style_means.mean(0, keepdim=True).repeat(3, 1)
    assert torch.allclose(model.translate(x), model.G(x, mean))
    z = torch.randn(2, 4).double()
    assert torch.equal(model.latent_style(1, z)["s"], model.M(z, torch.tensor([1, 1])))
    for number in (-1, 3):
        with pytest.raises(UserError, match=f"there is no style {number}: this model knows 3, from 0 to 2"):
            model.known_style(number)


def test_a_vgg_adds_content_for_all_and_style_for_pictures() -> None:
    model, inputs = make(*VGG, "model.lambda_style=3", *WEIGHTED[:4], "model.diversity_iterations=0"), batch()
    p = model.perceptual
    assert p is not None
    assert not any("vgg" in name or "perceptual" in name for name in model.state_dict())
    for iteration, chosen in ((0, [1]), (1, [0, 2])):
        model.iteration = iteration
        images = model.generate(inputs)
        total, terms = model.generator_loss(images)
        fake = p.features(images["fake_B"])
        assert torch.allclose(terms["content"], p.content(fake, p.features(inputs["A"])))
        style = p.style_code(p.features(inputs["B"][chosen]))
        assert torch.allclose(terms["style"], p.style({k: v[chosen] for k, v in fake.items()}, style))
        expected = sum({**WEIGHTS, "content": 1.0, "style": 3.0}[name] * value for name, value in terms.items())
        assert torch.allclose(total, torch.as_tensor(expected))
    model.iteration = 0
    only = model.generate({name: value[:1] for name, value in inputs.items()})
    assert "style" not in model.generator_loss(only)[1]


def test_mistakes_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"model\.lambda_style=2\.0 needs features: add model/vgg=vgg19"):
        make("model.lambda_style=2")
    with pytest.raises(UserError, match=r"PatchDiscriminator has no styles.*take model/discriminator=conditional"):
        build(small_config("model=style_conditional", "model/discriminator=patch70")["model"])
    with pytest.raises(UserError, match=r"ResnetGenerator has no style_size.*take model/generator=styled"):
        build(small_config("model=style_conditional", "model/generator=resnet6")["model"])
    with pytest.raises(UserError, match=r"as many channels in A \(1\) as in B \(3\)"):
        make(channels_A=1, channels_B=3)


def test_heads_on_a_vgg_are_a_discriminator_of_styles() -> None:
    vgg = ("model.discriminator.vgg.weights=random", "model.discriminator.vgg.depth=relu1_2")
    model = build(small_config(*TINY[:1], "model/discriminator=vgg", *vgg)["model"], styles=3)
    images = model.generate({name: value.float() if name != "style" else value for name, value in batch().items()})
    for player, loss in (("D", model.discriminator_loss), ("G", model.generator_loss)):
        model.zero_grad()
        loss(images)[0].backward(retain_graph=True)
        assert all(p.grad is not None and math.isfinite(p.grad.sum()) for p in model.parameters_of(player))


# Training


def styled_run(*overrides: str) -> tuple[str, ...]:
    drawn = ("data=styles", "data.image_size=32", "data.load_size=36", "data.count=3", "data.val_count=2")
    return (*TINY, *drawn, "data.batch_size=2", *overrides)


def content_of(folder: Path) -> dict[str, Any]:
    content = checkpoint.load(folder / "checkpoints" / "last.ckpt")
    del content["config"], content["best"]
    return content


def test_resume_is_bit_exact_with_many_styles(run: Callable[..., Path]) -> None:
    options = styled_run("model.diversity_iterations=4", "model.penalty_every=2")
    whole = run("whole", *options, "trainer.max_steps=6")
    parts = run("parts", *options, "trainer.max_steps=3")
    run("parts", *options, "trainer.max_steps=6", "resume=last")
    a, b = content_of(whole), content_of(parts)
    assert differences(a, b) == []
    # two pictures an iteration, rounds of four styles
    assert a["state_dict"]["style_visits"].tolist() == [3, 3, 3, 3]


def save(path: Path, state: dict[str, Tensor], averages: dict[str, Any]) -> None:
    torch.save({"state_dict": state, "callbacks": {"EMA": averages} if averages else {}}, path)


def test_a_warm_start_takes_what_fits(run: Callable[..., Path], tmp_path: Path, capsys: Any) -> None:
    other = build(small_config("model=style_conditional", *TINY[2:])["model"], styles=7)
    other.load_state_dict({name: torch.full_like(value, 0.25) for name, value in other.state_dict().items()})
    average = {name: torch.full_like(value, 0.5) for name, value in other.G.state_dict().items()}
    save(tmp_path / "other.ckpt", other.state_dict(), {"G": average})
    options = styled_run(f"model.warm_start={tmp_path / 'other.ckpt'}", "model.optimizer_G.lr=0")
    folder = run("warm", *options, "trainer.max_steps=1")
    found = content_of(folder)["state_dict"]
    for name, value in found.items():
        network = name.split(".")[0]
        if network == "G":
            assert bool((value == 0.5).all()), name
        elif network in ("E", "M"):
            assert bool((value == 0.25).all()), name
    assert not (found["D.layers.0.weight"] == 0.25).any()
    count = len([name for name in found if name.split(".")[0] in ("G", "E", "M")])
    assert f"warm start: {count} of {count} tensors from {tmp_path / 'other.ckpt'}" in capsys.readouterr().out
    # a resumed run has its weights, and asks for no file
    (tmp_path / "other.ckpt").unlink()
    run("warm", *options, "trainer.max_steps=2", "resume=last")


def test_a_warm_start_from_adain_fills_the_up_sampling(tmp_path: Path) -> None:
    decoder = AdaINDecoder("relu3_1")
    save(tmp_path / "adain.ckpt", {f"decoder.{k}": v for k, v in decoder.state_dict().items()}, {})
    model = make("model.generator.filters=64").float()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    said = take_weights(model, tmp_path / "adain.ckpt")
    assert said.startswith("warm start: 4 of ")
    shapes = [(128, 256, 3, 3), (64, 128, 3, 3)]
    convolutions = [layer for layer in decoder.layers.modules() if isinstance(layer, torch.nn.Conv2d)]
    for up, shape in zip(model.G.ups, shapes, strict=True):
        (source,) = (layer for layer in convolutions if layer.weight.shape == shape)
        assert torch.equal(up[2].weight, source.weight)  # type: ignore[index]
        assert torch.equal(up[2].bias, source.bias)  # type: ignore[index]
    same = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    assert not any(name.startswith("G.ups.") and name.endswith("weight") for name in same)
    assert all(name in same for name in before if not name.startswith("G.ups."))


def test_a_warm_start_that_cannot_be_is_said(tmp_path: Path) -> None:
    model = make()
    with pytest.raises(UserError, match=r"there is no checkpoint .*none\.ckpt: check model\.warm_start"):
        take_weights(model, tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(UserError, match=r"text\.ckpt is not a checkpoint of gan_style .*it is text"):
        take_weights(model, tmp_path / "text.ckpt")
    save(tmp_path / "cycle.ckpt", {"G_AB.layers.1.weight": torch.zeros(2)}, {})
    with pytest.raises(UserError, match=r"cycle\.ckpt has no tensor of the names and shapes of this model"):
        take_weights(model, tmp_path / "cycle.ckpt")


def test_a_styled_generator_is_of_no_use_to_others() -> None:
    for model in ("cyclegan", "perceptual_gan"):
        with pytest.raises(UserError, match="StyledGenerator wants s beside a picture: take another model/generator"):
            made(f"model={model}", "model/generator=styled")


def test_what_cannot_begin_is_said_before_anything_is_read(run: Callable[..., Path], tmp_path: Path) -> None:
    for word, message in (("", r"model\.warm_start= is empty"), ("none.ckpt", "no checkpoint none.ckpt: check model")):
        with pytest.raises(UserError, match=message):
            run("new", *TINY, f"model.warm_start={word}", "data=folders", "data.root=/no/such/place")
    assert list(tmp_path.iterdir()) == []


def test_resume_refuses_other_styles(run: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for name in ("content", "styles/ink", "styles/dots"):
        (folder / name).mkdir(parents=True)
        noise = np.random.default_rng(len(name)).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(folder / name / "a.png")
    words = ("data=styles", f"data.root={folder}", "data.image_size=32", "data.load_size=32", "data.batch_size=2")
    run("a", *TINY, *words, "trainer.max_steps=1")
    (folder / "styles" / "ink").rename(folder / "styles" / "wash")
    again = ("trainer.max_steps=2", "resume=last")
    with pytest.raises(UserError, match=r"2 named styles, but the data has 2 \(no longer ink; now wash\)"):
        run("a", *TINY, *words, *again)
    (folder / "styles" / "wash").rename(folder / "styles" / "ink")
    shutil.copytree(folder / "styles" / "ink", folder / "styles" / "zebra")
    with pytest.raises(UserError, match=r"2 named styles, but the data has 3 \(now zebra\)"):
        run("a", *TINY, *words, *again)
    shutil.rmtree(folder / "styles" / "zebra")
    run("a", *TINY, *words, *again)
