"""Distillation: the student nears its teacher, goes on exactly, and needs no teacher afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import gan_style
from gan_style.checkpoints import checkpoint
from gan_style.core.errors import UserError
from gan_style.losses.alignment import kernel_alignment
from gan_style.models.translator import Translator
from gan_style.testing import differences, example_batch
from tests.conftest import SCORES
from tests.small_models import made, saved

TEACHER = ("model=cyclegan", "model.generator.init_gain=0.2")
UNSCORED = tuple(f"~{callback}" for callback in SCORES)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return saved(tmp_path / "teacher.ckpt", *TEACHER)


def student(*overrides: str) -> Translator:
    return made("model=distill", *overrides)


def test_the_loss_is_the_distance_to_the_teachers_pictures() -> None:
    model = student("model.directions=[A2B,B2A]", "model.lambda_gan=0")
    taught, batch = made(*TEACHER), example_batch()
    model.learn_from(taught)  # type: ignore[operator]
    images = model.generate(batch)
    total, terms = model.generator_loss(images)
    with torch.no_grad():
        expected = {
            "output_B": (model.G_AB(batch["A"]) - taught.eval().G_AB(batch["A"])).abs().mean(),
            "output_A": (model.G_BA(batch["B"]) - taught.G_BA(batch["B"])).abs().mean(),
        }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].detach(), value)
    torch.testing.assert_close(total.detach(), sum(expected.values()))
    total.backward()
    assert all(p.grad is None and not p.requires_grad for p in taught.parameters())
    assert not any("teacher" in name for name in model.state_dict())
    assert set(model.parameter_counts()) == {"G_AB", "G_BA", "D_A", "D_B"}


def test_files_from_before_it_had_discriminators_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "student.ckpt", "model=distill", "model.discriminator=null", "model.lambda_gan=0")
    content = checkpoint.load(path)
    assert not any(name.startswith("D_") for name in content["state_dict"])
    x = torch.rand(1, 3, 16, 16)
    expected = gan_style.load(path, device="cpu").translate(x)
    for key in ("discriminator", "lambda_gan", "gan_mode", "optimizer_D"):
        del content["config"]["model"][key]
    checkpoint.save(content, path)
    assert torch.equal(gan_style.load(path, device="cpu").translate(x), expected)


def test_a_discriminator_and_its_weight_go_together() -> None:
    with pytest.raises(UserError, match=r"model.lambda_gan=0.1 wants a discriminator: add model/discriminator=patch70"):
        student("model.discriminator=null")
    for directions in ("[]", "[A2B,A2B]"):
        with pytest.raises(UserError, match="is to name A2B, B2A or both, each once"):
            student(f"model.directions={directions}")


def test_discriminators_judge_the_students_pictures_against_true_ones() -> None:
    model, batch = student("model.directions=[A2B,B2A]", "model.lambda_gan=0.25"), example_batch()
    model.learn_from(made(*TEACHER))  # type: ignore[operator]
    images = model.generate(batch)
    total, terms = model.generator_loss(images)
    judged = {"B": model.D_B(model.G_AB(batch["A"])), "A": model.D_A(model.G_BA(batch["B"]))}
    for domain, logits in judged.items():
        torch.testing.assert_close(terms[f"gan_{domain}"], (logits - 1).square().mean())
    expected = sum(terms[f"output_{domain}"] + terms[f"gan_{domain}"] / 4 for domain in judged)
    torch.testing.assert_close(total, expected)
    loss, _ = model.discriminator_loss(images)
    halves = []
    for domain, logits in judged.items():
        real = getattr(model, f"D_{domain}")(batch[domain])
        halves.append(((real - 1).square().mean() + logits.square().mean()) / 2)
    torch.testing.assert_close(loss, sum(halves))
    loss.backward()
    assert all(p.grad is None for p in model.G_AB.parameters())


def alignment_of(x: torch.Tensor, y: torch.Tensor) -> float:
    """The cosine of the two tables of products between places, written with these tables themselves."""
    tables = [z.movedim(1, -1).reshape(-1, z.shape[1]).numpy() for z in (x, y)]
    a, b = (table @ table.T for table in tables)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def test_features_are_compared_by_what_they_say_of_places() -> None:
    x, y = torch.randn(2, 3, 5, 4, dtype=torch.float64), torch.randn(2, 7, 5, 4, dtype=torch.float64)
    assert float(kernel_alignment(x, y)) == pytest.approx(alignment_of(x, y), rel=1e-12)
    turned = torch.einsum("bchw,cd->bdhw", x, torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0])
    assert float(kernel_alignment(x, 5 * turned)) == pytest.approx(1, rel=1e-12)
    model, taught, batch = student("model.lambda_features=3", "model.lambda_gan=0"), made(*TEACHER), example_batch()
    model.learn_from(taught)  # type: ignore[operator]
    total, terms = model.generator_loss(model.generate(batch))
    with torch.no_grad():
        own, theirs = model.G_AB.features(batch["A"]), taught.eval().G_AB.features(batch["A"])
    expected = 1 - np.mean([alignment_of(*pair) for pair in zip(own[1:], theirs[1:], strict=True)])
    assert float(terms["features_B"].detach()) == pytest.approx(expected, rel=1e-4)
    assert float(total.detach()) == pytest.approx(float(terms["output_B"].detach()) + 3 * expected, rel=1e-4)
    total.backward()
    assert all(p.grad is None for p in taught.parameters())


def test_features_of_an_anti_aliased_teacher_are_compared_at_the_smaller_size() -> None:
    model, batch = student("model.lambda_features=1"), example_batch()
    model.learn_from(made("model=cut", "model.generator.downsample=blur", "model.generator.upsample=bilinear"))  # type: ignore[operator]
    total, terms = model.generator_loss(model.generate(batch))
    assert 0 < float(terms["features_B"].detach()) < 1
    total.backward()


def test_a_run_nears_its_teacher_and_translates_without_it(
    run: Callable[..., Path], teacher: Path, tmp_path: Path
) -> None:
    words = ("model=distill", f"model.teacher={teacher}", "model.optimizer_G.lr=0.01", "model.lambda_gan=0", *UNSCORED)
    folder = run("student", *words, "trainer.max_steps=40", "trainer.log_every=1", "model.generator.head=residual")
    rows = (folder / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("train/G_output_B")
    losses = [float(cell) for row in rows[1:] if (cell := row.split(",")[column])]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    content = checkpoint.load(folder / "checkpoints" / "last.ckpt")
    assert content["teacher"]["file"] == "teacher.ckpt"
    assert len(content["teacher"]["sha256"]) == 64
    teacher.unlink()
    image = torch.rand(3, 32, 32) * 2 - 1
    translator = gan_style.load(folder / "checkpoints" / "last.ckpt", device="cpu")
    assert translator.translate(image).shape == image.shape
    translator.save_pretrained(tmp_path / "hub")
    assert str(tmp_path).encode() not in (tmp_path / "hub" / "model.safetensors").read_bytes()
    assert torch.equal(
        gan_style.from_pretrained(tmp_path / "hub", device="cpu").translate(image), translator.translate(image)
    )


def test_a_run_goes_on_exactly_and_from_its_own_teacher_alone(
    run: Callable[..., Path], teacher: Path, tmp_path: Path
) -> None:
    words = ("model=distill", "model.directions=[A2B,B2A]", *UNSCORED)
    plain = run("plain", *words, f"model.teacher={teacher}", "trainer.max_steps=4")
    run("again", *words, f"model.teacher={teacher}", "trainer.max_steps=2")
    moved = teacher.rename(tmp_path / "moved.ckpt")
    again = run("again", *words, f"model.teacher={moved}", "trainer.max_steps=4", "resume=last")
    a, b = (checkpoint.load(folder / "checkpoints" / "last.ckpt") for folder in (plain, again))
    for content in (a, b):
        del content["config"], content["best"], content["teacher"]["file"]
    assert differences(a, b) == []
    other = saved(tmp_path / "other.ckpt", *TEACHER, "model.generator.blocks=2")
    with pytest.raises(UserError, match=r"is not the file that .* learns from, which was moved.ckpt with the sha256"):
        run("again", *words, f"model.teacher={other}", "trainer.max_steps=6", "resume=last")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("model=cut",), r"model.teacher does not translate B2A: set model.directions=\[A2B\]"),
        (
            ("model=cyclegan", "model/generator=unet128"),
            r"compares features of G_AB, of which the student has 3 maps and the teacher 0: take ResNets for both, or "
            r"set model.lambda_features=0",
        ),
        (("model=microast",), "model.teacher is of MicroAST, which wants a style beside a picture"),
        (("model=style_conditional",), "model.teacher is of StyleConditional, which wants a style"),
    ],
)
def test_who_cannot_teach(run: Callable[..., Path], tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    styles = ("one", "two") if words == ("model=style_conditional",) else ()
    path = saved(tmp_path / "other.ckpt", *words, styles=styles)
    with pytest.raises(UserError, match=sentence):
        run("never", "model=distill", "model.directions=[A2B,B2A]", "model.lambda_features=1", f"model.teacher={path}")
    assert not (tmp_path / "never").exists()


def test_a_teacher_has_to_be_there(run: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"learns from a trained translator: add model.teacher=CKPT"):
        run("never", "model=distill", "model.teacher=null")
    with pytest.raises(UserError, match="there is no checkpoint"):
        run("never", "model=distill", "model.teacher=nowhere.ckpt")
    channels = saved(tmp_path / "grey.ckpt", *TEACHER)
    content = checkpoint.load(channels)
    content["domains"]["A"]["channels"] = 1
    checkpoint.save(content, channels)
    with pytest.raises(UserError, match=r"grey.ckpt"):
        run("never", "model=distill", f"model.teacher={channels}")
    assert not (tmp_path / "never").exists()
