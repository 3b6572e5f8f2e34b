"""What may be added to the CycleGAN of the paper: a blurred cycle, noise in it, weights that change, pretraining."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gan_style import testing
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.models.cyclegan import CycleGAN
from gan_style.models.schedules import LinearTo
from tests.conftest import small_config

Run = Callable[..., Path]
TO_ONE = "model.weight_schedules={lambda_cycle:{_target_:gan_style.models.schedules.LinearTo,end:1.0,length:"


def make(*overrides: str) -> CycleGAN:
    model = build(small_config(*overrides)["model"], channels_A=3, channels_B=3)
    assert isinstance(model, CycleGAN)
    return model


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["train/G_gan_B"] or row["train/G_pretrain_B"]]


def batch(size: int = 32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {domain: torch.rand(1, 3, size, size, generator=generator) * 2 - 1 for domain in "AB"}


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_blurred_cycle_is_the_l1_of_what_opencv_blurs(share: float) -> None:
    model = make("model.cycle_blur=1.5", f"model.cycle_full={share}", "model.lambda_idt=0")
    images = model.generate(batch())
    terms = model.generator_loss(images)[1]

    def soft(image: Tensor) -> np.ndarray:
        array = image[0].detach().permute(1, 2, 0).numpy()
        return cv2.GaussianBlur(array, (11, 11), 1.5, borderType=cv2.BORDER_REPLICATE)

    for domain in "AB":
        rec, real = images[f"rec_{domain}"], images[f"real_{domain}"]
        expected = (1 - share) * np.abs(soft(rec) - soft(real)).mean() + share * (rec - real).abs().mean().item()
        assert terms[f"cycle_{domain}"].item() == pytest.approx(float(expected), rel=1e-4)


def test_noise_is_added_to_what_is_translated_back_and_to_nothing_else() -> None:
    model = make("model.cycle_noise=0.2", "model.lambda_idt=0")
    model.G_AB = model.G_BA = nn.Identity()
    images = model.train().generate(batch(64))
    noise = images["rec_A"] - images["fake_B"]
    assert torch.equal(images["fake_B"], images["real_A"])
    assert noise.std().item() == pytest.approx(0.2, rel=0.05)
    assert abs(noise.mean().item()) < 0.01
    assert torch.equal(model.eval().generate(batch(64))["rec_A"], images["real_A"])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (LinearTo(1.0, 5), [5, 4.2, 3.4, 2.6, 1.8, 1, 1]),
        (LinearTo(7.0, 1, constant=1, unit="epochs"), [5, 5, 5, 6, 7, 7, 7]),
        (LinearTo(0.0, 0.1), [5, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_a_weight_follows_a_line(schedule: LinearTo, expected: list[float]) -> None:
    assert [schedule(5.0, t, 2.0) for t in range(7)] == pytest.approx(expected)


def test_a_scheduled_weight_is_that_of_its_iteration_in_the_loss_and_in_the_log(run: Run) -> None:
    words = ("trainer.max_steps=4", "model.lambda_cycle=5", "model.lambda_idt=0", "model.gan_mode=wgan")
    found = rows(run("falling", *words, TO_ONE + "4}}"))
    assert [float(row["weight/lambda_cycle"]) for row in found] == pytest.approx([5, 4, 3, 2])
    model = make("model.lambda_idt=0")
    for weight in (5.0, 2.0):
        model.lambda_cycle = weight
        total, terms = model.generator_loss(model.generate(batch()))
        expected = terms["gan_A"] + terms["gan_B"] + weight * (terms["cycle_A"] + terms["cycle_B"])
        assert total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_at_first_generators_only_learn_to_return_their_input(run: Run) -> None:
    found = rows(run("identity", "trainer.max_steps=8", "model.pretrain=4", "model.optimizer_G.lr=2e-3"))
    pretrained = [bool(row["train/G_pretrain_B"]) for row in found]
    assert pretrained == [True] * 4 + [False] * 4
    assert [bool(row["train/G_cycle_A"]) for row in found] == [False] * 4 + [True] * 4
    assert float(found[3]["train/G_pretrain_B"]) < float(found[0]["train/G_pretrain_B"])


@pytest.mark.parametrize("name", ["cyclegan", "stegogan"])
def test_a_cycle_loss_now_and_then_has_so_many_times_the_weight(name: str) -> None:
    """And in between no pass goes back."""
    model, inputs = make(f"model={name}", "model.cycle_every=3", "model.lambda_idt=0").train(), batch()
    for iteration in range(6):
        model.iteration = iteration
        images = model.generate(inputs)
        total, terms = model.generator_loss(images)
        of_gan = terms["gan_A"] + terms["gan_B"]
        expected = of_gan + (30 * (terms["cycle_A"] + terms["cycle_B"]) if iteration % 3 == 0 else 0)
        if name == "stegogan":
            expected = expected + 0.3 * terms["reg"] + terms["match"]
        assert total.item() == pytest.approx(expected.item(), rel=1e-5)
        assert ({"rec_A", "rec_B"} <= set(images)) == ("cycle_A" in terms) == (iteration % 3 == 0)
    model.iteration = 1
    assert {"rec_A", "rec_B"} <= set(model.eval().generate(inputs)), "a validation shows the way back"


def test_resume_is_exact_in_every_part_of_it(tmp_path: Path) -> None:
    words = (
        "model/generator=painter",
        "model.generator.depth=2",
        "model/discriminator=patches",
        "model.discriminator.judges.patch.filters=4",
        "model.discriminator.judges.texture.filters=4",
        "data.image_size=32",
        "model.cycle_blur=1.5",
        "model.cycle_full=0.3",
        "model.cycle_noise=0.05",
        "model.cycle_every=2",
        "model.pretrain=2",
        TO_ONE + "5}}",
    )
    testing.check_resume(small_config(*words, "~callbacks.set_scores", "~callbacks.cycle_scores"), tmp_path)


def refused(*overrides: str, **channels: Any) -> str:
    with pytest.raises(UserError) as caught:
        build(small_config(*overrides)["model"], **({"channels_A": 3, "channels_B": 3} | channels))
    return str(caught.value)


def test_what_cannot_be_is_refused_in_one_sentence(run: Run) -> None:
    assert "set model.cycle_blur" in refused("model.cycle_full=0.5")
    assert "model.pretrain=0" in refused("model.pretrain=1", "model.lambda_idt=0", channels_A=1)
    assert "weight_schedules.lambda_cycle.length" in refused(TO_ONE + "0}}")
    band = refused("model.generator.head=band", "model.lambda_idt=0", channels_A=1)
    assert "model.generator.head=band" in band
    assert "translates 1 to 3: take head=tanh" in band
    other = "model.weight_schedules={lambda_style:{_target_:gan_style.models.schedules.LinearTo,end:1,length:9}}"
    with pytest.raises(UserError, match=r"lambda_style is no weight of this method, which .*lambda_cycle, lambda_idt"):
        run("other", other, "trainer.max_steps=1")


def test_a_schedule_of_something_else_is_refused(run: Run) -> None:
    for given, said in (
        ("{lambda_cycle:3}", "is not called as"),
        ("{lambda_cycle:{_target_:gan_style.models.schedules.ConstantThenLinear}}", "is not called as"),
    ):
        with pytest.raises(UserError, match=said):
            run("other", f"model.weight_schedules={given}", "trainer.max_steps=1")
    with pytest.raises(UserError, match="lambda_cycle=0 leaves out what its schedule is to weigh"):
        run("nothing", TO_ONE + "4}}", "model.lambda_cycle=0", "trainer.max_steps=1")


def test_noise_of_a_generator_that_takes_none_is_refused() -> None:
    for name in ("adain", "munit", "santa"):
        with pytest.raises(
            UserError, match=r"^model\.generator\.noise is not a known key here, but with model/gen.*painter"
        ):
            small_config(f"model={name}", "model.generator.noise=true")


def test_the_doctor_looks_at_what_follows_pretraining(run: Run) -> None:
    folder = run("looked", "model.pretrain=4", "doctor.every=2", "trainer.max_steps=8")
    with open(folder / "metrics.csv", newline="") as file:
        looked = [int(row["iteration"]) for row in csv.DictReader(file) if row.get("doctor/A2B/moved")]
    assert looked == [6, 8]


def test_losses_of_judges_may_change_when_a_run_goes_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    small = [f"model.discriminator.judges.{name}.filters=4" for name in ("patch", "texture")]
    words = ("model/discriminator=patches", *small, "data.image_size=32")
    run("on", *words, "trainer.max_steps=1")
    run("on", *words, "trainer.max_steps=2", "resume=last", "model.discriminator.weights.texture=0.5")
    assert "note: model.discriminator.weights.texture=1.0 there" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"another architecture: model.discriminator.judges.texture.sigma"):
        run("on", *words, "trainer.max_steps=3", "resume=last", "model.discriminator.judges.texture.sigma=2")


def test_a_schedule_that_ends_before_the_run_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = "model.lambda_cycle is the same throughout the last tenth of the run"
    run("short", TO_ONE + "5}}", "trainer.max_steps=10")
    lengths = "to let it change until the end, see the lengths in model.weight_schedules.lambda_cycle"
    assert f"{said}, 1 after 5 of 10 iterations: {lengths}" in capsys.readouterr().out
    run("flat", TO_ONE.replace("end:1.0", "end:3.0") + "5}}", "model.lambda_cycle=3", "trainer.max_steps=10")
    assert f"{said}, 3 as in the first iteration: {lengths}" in capsys.readouterr().out
    run("whole", TO_ONE + "10}}", "trainer.max_steps=10")
    assert said not in capsys.readouterr().out


def test_a_rate_that_ends_before_the_run_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said, words = "the learning rate reaches 0 long before the end", ("model.schedule.unit=iterations",)
    run("short", *words, "model.schedule.constant=2", "model.schedule.decay=3", "trainer.max_steps=10")
    assert f"{said}, after 5 of 10 iterations: raise model.schedule.constant or decay" in capsys.readouterr().out
    run("whole", *words, "model.schedule.constant=5", "model.schedule.decay=5", "trainer.max_steps=10")
    assert said not in capsys.readouterr().out
