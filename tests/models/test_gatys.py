"""Gatys against equation 7 written out, and what a picture as a parameter must keep to."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.checkpoints.checkpoint import load
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.models.gatys import Gatys
from gan_style.models.image_descent import LBFGS, MAX_CHANGE_PER_STEP, bounded, resized, sizes
from gan_style.networks.vgg import VGG
from tests.conftest import differences, small_config

Run = Callable[..., Path]


def made(**options: Any) -> Gatys:
    return Gatys(VGG("random", depth="relu2_1"), **{"size": 32, "steps": 5, "scales": 1} | options)


def images(count: int = 1, height: int = 24, width: int = 24) -> Tensor:
    """Smooth, so that they have something to keep."""
    small = torch.rand(count, 3, 5, 5) * 2 - 1
    return F.interpolate(small, (height, width), mode="bilinear", align_corners=False)


def total_of(model: Gatys, image: Tensor, content: Tensor, style: Tensor) -> float:
    with torch.no_grad():
        return float(model.objective(image, model.target(content, model.style_code(style)))[0])


# The objective


def test_the_total_is_equation_7() -> None:
    vgg = VGG("random", depth="relu2_1")
    x, p, a = (images(height=8, width=10) for _ in range(3))

    def features(image: Tensor, layer: str) -> Tensor:
        return vgg(image, [layer])[layer][0].double()

    def gram(image: Tensor, layer: str) -> Tensor:
        f = features(image, layer)
        out = torch.zeros(len(f), len(f), dtype=torch.float64)
        for i in range(f.shape[1]):
            for j in range(f.shape[2]):
                out += torch.outer(f[:, i, j], f[:, i, j])
        return out / (f.shape[1] * f.shape[2])

    def mean_square(y: Tensor, target: Tensor, relative: bool) -> float:
        value = float(((y - target) ** 2).sum() / y.numel())
        return value / float((target**2).sum() / y.numel()) if relative else value

    for relative in (True, False):
        expected = 3 * mean_square(features(x, "relu2_1"), features(p, "relu2_1"), relative)
        for layer, weight in (("relu1_1", 0.5), ("relu2_1", 2.0)):
            expected += 7 * weight * mean_square(gram(x, layer), gram(a, layer), relative)
        down, right = x[0, :, 1:] - x[0, :, :-1], x[0, :, :, 1:] - x[0, :, :, :-1]
        expected += 11 * float(down.abs().mean() + right.abs().mean())
        weights = {"lambda_content": 3, "lambda_style": 7, "lambda_tv": 11, "style_weights": [0.5, 2]}
        assert total_of(made(relative=relative, **weights), x, p, a) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("statistic", ["gram", "mean_std", "covariance"])
def test_the_loss_of_a_batch_is_the_sum_of_its_pictures(statistic: Any) -> None:
    """Gradients, too: neither follows from the others' targets."""
    model = made(statistic=statistic, lambda_tv=1).double()
    x, content, style = (images(3).double() * factor for factor in (1, 0.7, 0.4))
    x.requires_grad_()
    total, terms = model.objective(x, model.target(content, model.style_code(style)))
    (whole,) = torch.autograd.grad(total, x)
    alone = [
        model.objective(x[i : i + 1], model.target(content[i : i + 1], model.style_code(style[i : i + 1])))
        for i in range(3)
    ]
    assert float(total.detach()) == pytest.approx(sum(float(t.detach()) for t, _ in alone))
    for name, value in terms.items():
        assert float(value.detach()) == pytest.approx(sum(float(t[name].detach()) for _, t in alone) / 3)
    (parts,) = torch.autograd.grad(sum(t for t, _ in alone), x)
    torch.testing.assert_close(whole, parts)


def test_losses_are_float32_under_autocast() -> None:
    model, x, content, style = made(), images(), images(), images()
    expected = total_of(model, x, content, style)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert total_of(model, x, content, style) == expected


# Stylising


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_the_loss_falls(method: Any) -> None:
    model, content, style = made(method=method, steps=30, scales=2), images(), images()
    seen: list[tuple[int, int, dict[str, float], Tensor]] = []
    out = model.stylize(content, model.style_code(style), lambda *step: seen.append(step))
    assert total_of(model, out, content, style) < 0.2 * total_of(model, content, content, style)
    assert [done for done, *_ in seen] == list(range(1, 61))
    assert {total for _, total, *_ in seen} == {60}
    assert [image.shape[-1] for *_, image in seen] == [16] * 30 + [24] * 30
    assert torch.equal(seen[-1][3], out)
    assert not out.requires_grad
    assert seen[59][2]["style"] < 0.1 * seen[0][2]["style"]
    assert set(seen[0][2]) == {"content", "style", "tv"}


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
@pytest.mark.parametrize("scales", [1, 2])
def test_in_its_own_style_a_picture_stays(method: Any, scales: int) -> None:
    model, content = made(method=method, scales=scales), images(2)
    assert torch.allclose(model.stylize(content, model.style_code(content)), content, atol=1e-6)
    assert total_of(model, content, content, content) == 0


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
@pytest.mark.parametrize("start", ["content", "noise"])
def test_a_picture_does_not_depend_on_its_batch(method: Any, start: Any) -> None:
    model = made(method=method, start=start, scales=2, steps=8)
    content, style = images(2), images(2)
    code = model.style_code(style)  # taken once: descent amplifies what a batch of two rounds otherwise
    whole = model.stylize(content, code)
    codes = [{name: value[i : i + 1] for name, value in code.items()} for i in range(2)]
    parts = torch.cat([model.stylize(content[i : i + 1], codes[i]) for i in range(2)])
    assert torch.equal(whole, parts)
    one_for_all = model.stylize(content, codes[0])
    assert torch.equal(one_for_all[:1], parts[:1])
    assert not torch.allclose(one_for_all[1:], parts[1:], atol=1e-2)


def test_any_size_and_as_often_as_you_like() -> None:
    model = made(scales=3, steps=2)
    content, code = images(1, 33, 47), model.style_code(images(1, 20, 64))
    kept, kept_code = content.clone(), {name: value.clone() for name, value in code.items()}
    state = torch.get_rng_state()
    out = model.stylize(content, code)
    assert out.shape == (1, 3, 33, 47)
    assert float(out.abs().max()) <= 1
    assert torch.equal(out, model.stylize(content, code))
    assert torch.equal(content, kept)
    assert differences(code, kept_code) == []
    assert torch.equal(torch.get_rng_state(), state)
    assert sizes((33, 47), 3) == [(16, 16), (16, 23), (33, 47)]
    assert sizes((9, 100), 2) == [(9, 50), (9, 100)]
    assert model.stylize(images(1, 9, 20), code).shape == (1, 3, 9, 20)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients_get_the_same(context: Callable[[], Any]) -> None:
    model, content, style = made(), images(), images()
    expected = model.stylize(content, model.style_code(style), start=style)
    with context():
        content, style = content.clone(), style.clone()
        assert torch.equal(model.stylize(content, model.style_code(style), start=style), expected)


def test_pictures_in_any_memory_order_begin_the_descent() -> None:
    model, content, style = made(), images(), images()
    code = model.style_code(style)
    strided = content.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.allclose(model.stylize(strided, code), model.stylize(content, code), atol=1e-4)


def test_where_it_begins() -> None:
    content, style, own = images(), images(1, 12, 30), images()

    def begins(given: Tensor | None = None, **options: Any) -> Tensor:
        model = made(steps=1, lr=1e-12, lambda_tv=1, **options)
        return model.stylize(content, model.style_code(style), start=given)

    assert torch.allclose(begins(), content, atol=1e-5)
    assert torch.allclose(begins(own), own, atol=1e-5)
    assert torch.allclose(begins(style, start="style"), resized(style, (24, 24)), atol=1e-5)
    noise = begins(start="noise", seed=3)
    torch.manual_seed(derive_seed(3, "start"))
    assert torch.allclose(noise, torch.rand(1, 3, 24, 24) * 2 - 1, atol=1e-5)
    assert not torch.allclose(noise, begins(start="noise", seed=4), atol=0.1)
    with pytest.raises(UserError, match=r"start=style needs a picture of the style: take model\.start=content"):
        begins(start="style")


def test_the_loss_judges_what_is_shown() -> None:
    model, content, style = made(), images(), images()
    outside = content * 3
    assert total_of(model, outside, content, style) == total_of(model, outside.clamp(-1, 1), content, style)


def test_no_pixel_is_caught_at_the_bounds() -> None:
    """A white picture can become dark; the gradient of `clamp` alone is 0 there."""
    x = torch.tensor([-1.5, -1.0, 0.2, 1.0, 1.5], requires_grad=True)
    assert bounded(x).tolist() == pytest.approx([-1, -1, 0.2, 1, 1])
    for upward, expected in ((1.0, [1, 1, 1, 1, 0]), (-1.0, [0, -1, -1, -1, -1])):
        (gradient,) = torch.autograd.grad(-upward * bounded(x).sum(), x)
        assert (-gradient).tolist() == expected
    white, dark = torch.ones(1, 3, 16, 16), torch.full((1, 3, 16, 16), -0.8)
    model = made(lambda_content=0, steps=30)
    assert float(model.stylize(white, model.style_code(dark)).mean()) < 0


# The optimiser


def curved(x: Tensor) -> Tensor:
    scale = torch.linspace(1, 30, x.numel(), dtype=x.dtype)
    return (scale * (x - 0.3).square()).sum() + x.pow(4).sum()


def test_lbfgs_is_torchs_with_one_evaluation_a_step() -> None:
    """torch's own, let run for 15 iterations at once."""
    ours, theirs = (nn.Parameter(torch.zeros(9, dtype=torch.float64)) for _ in range(2))
    optimizer, evaluations = LBFGS([ours], lr=1.0, history=5), []

    def closure(x: Tensor, found: list[float]) -> Tensor:
        x.grad = None
        loss = curved(x)
        loss.backward()
        found.append(float(loss.detach()))
        return loss

    for _ in range(15):
        optimizer.step(lambda: closure(ours, evaluations))
    torch_one = torch.optim.LBFGS(
        [theirs], lr=1.0, max_iter=15, history_size=5, tolerance_grad=0.0, tolerance_change=0.0
    )
    torch_one.step(lambda: closure(theirs, []))
    assert len(evaluations) == 15
    assert float(curved(ours.detach())) < 0.1 * evaluations[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_lbfgs_never_leaps() -> None:
    """The curvature of |x|**1.1 far from 0 says that 0 is very far."""
    x = nn.Parameter(torch.full((3,), 4.0))
    optimizer, leaps, free = LBFGS([x], lr=1.0, history=5), 0, nn.Parameter(torch.full((3,), 4.0))
    free_optimizer = torch.optim.LBFGS([free], lr=1.0, max_iter=1)
    for _ in range(6):
        before, free_before = x.detach().clone(), free.detach().clone()
        for one, its in ((x, optimizer), (free, free_optimizer)):
            its.step(lambda one=one: _backward(one))
        assert float((x.detach() - before).abs().max()) <= MAX_CHANGE_PER_STEP + 1e-6
        leaps += float((free.detach() - free_before).abs().max()) > 2 * MAX_CHANGE_PER_STEP
    assert leaps > 0


def _backward(x: Tensor) -> Tensor:
    x.grad = None
    loss = x.abs().pow(1.1).sum()
    loss.backward()
    return loss


# Training


def batch(size: int = 32, count: int = 2) -> dict[str, Tensor]:
    return {"A": images(count, size, size), "B": images(count, size, size)}


def test_the_first_batch_is_held() -> None:
    model, first = made(count=1), batch()
    images = model.generate(first)
    again = model.generate(batch())
    for shown in (images, again):
        assert torch.equal(shown["real_A"], first["A"][:1])
        assert torch.equal(shown["real_B"], first["B"][:1])
        assert torch.equal(shown["fake_B"], first["A"][:1])
    rebuilt = made(count=1)
    rebuilt.load_state_dict(model.state_dict())
    assert differences(dict(rebuilt.generate(batch())), dict(images)) == []
    assert torch.equal(rebuilt.generator_loss({})[0], model.generator_loss(images)[0])


def test_loaded_weights_bring_their_own_target() -> None:
    """What was computed for the pictures before must not be used."""
    model, other = made(), made()
    for one in (model, other):
        one.generator_loss(one.generate(batch()))
    losses = [float(one.generator_loss({})[0].detach()) for one in (model, other)]
    model.load_state_dict(other.state_dict())
    assert losses[0] != losses[1] == float(model.generator_loss({})[0].detach())


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_training_makes_what_stylize_makes(run: Run, method: str) -> None:
    """Two sizes, with the picture enlarged between them."""
    words = ("model=gatys", f"model.method={method}", "model.steps=4", "model.scales=2")
    words = (*words, "data.image_size=40", "data.load_size=44")
    folder = run("run", *words)
    state = load(folder / "checkpoints" / "last.ckpt")
    assert state["iteration"] == 8
    model = build(small_config(*words)["model"])
    model.load_state_dict(state["state_dict"])
    model.iteration = 8
    code = model.style_code(model.style)
    seen: list[dict[str, float]] = []
    expected = model.stylize(model.content, code, lambda done, total, terms, image: seen.append(terms))
    assert torch.allclose(model.generate({})["fake_B"], expected, atol=1e-4)
    assert [tuple(image.shape[-2:]) for image in model.canvas] == [(20, 20), (40, 40)]
    with open(folder / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/G_style"]]
    assert [float(row["train/G_style"]) for row in rows] == pytest.approx([t["style"] for t in seen], rel=1e-3)


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_resume_is_bit_exact_within_and_between_sizes(run: Run, method: str) -> None:
    words = ("model=gatys", f"model.method={method}", "model.steps=4", "model.scales=2", "data.batch_size=2")
    words = (*words, "trainer.val_every=3", "model.start=noise")
    whole = run("whole", *words, "trainer.max_steps=9")
    run("parts", *words, "trainer.max_steps=4")
    run("parts", *words, "trainer.max_steps=6", "resume=last")
    parts = run("parts", *words, "trainer.max_steps=9", "resume=last")
    a, b = (load(folder / "checkpoints" / "last.ckpt") for folder in (whole, parts))
    for content in (a, b):
        del content["config"], content["best"]
    assert differences(a, b) == []


def test_mixed_precision_trains(run: Run) -> None:
    folder = run("mixed", "model=gatys", "trainer.precision=bf16-mixed", "model.start=style")
    assert load(folder / "checkpoints" / "last.ckpt")["iteration"] == 3


# Mistakes


def test_mistakes_are_answered_in_one_sentence() -> None:
    def refused(*words: str, **extra: Any) -> str:
        with pytest.raises(UserError) as error:
            build(small_config("model=gatys", *words)["model"], **extra)
        return str(error.value)

    assert "model.accumulate=2 has no use" in refused("model.accumulate=2")
    assert "RGB, but the data has 1 and 3 channels" in refused(channels_A=1, channels_B=3)
    assert "relu9_1 cannot be used" in refused("model.style_layers=[relu9_1]")
    assert "3 numbers for 2 style layers" in refused("model.style_weights=[1,2,3]")
    with pytest.raises(UserError, match=r"pictures of A are \[1, 3, 16, 16\], but .* \[1, 3, 32, 32\]: let these"):
        made().generate(batch(16))
