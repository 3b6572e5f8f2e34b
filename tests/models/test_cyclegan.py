"""CycleGAN against an independent one, and what is special about it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gan_style.core.config import build
from gan_style.models.cyclegan import CycleGAN
from tests.conftest import differences, small_config
from tests.models import reference_cyclegan
from tests.small_models import made


def make(*overrides: str) -> CycleGAN:
    model = build(small_config(*overrides)["model"])
    assert isinstance(model, CycleGAN)
    return model


# GANs amplify rounding: in float32 two orders of summation drift apart within twenty iterations, in float64 not.
@pytest.mark.parametrize(
    ("joined", "precision", "iterations", "tolerance"),
    [("null", "64-true", 20, 1e-6), ("false", "64-true", 20, 1e-6), ("null", "32-true", 8, 3e-2)],
)
def test_twenty_iterations_equal_an_independent_cyclegan(
    run: Callable[..., Path], joined: str, precision: str, iterations: int, tolerance: float
) -> None:
    overrides = (
        f"trainer.max_steps={iterations}",
        "model.pool_size=4",
        "model.generator.blocks=2",
        f"model.join_passes={joined}",
        f"trainer.precision={precision}",
        "model.schedule.constant=5",
        "model.schedule.decay=40",
        "model.schedule.unit=iterations",
    )
    folder = run("ours", *overrides)
    with open(folder / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))

    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    dtype = torch.float64 if precision == "64-true" else torch.float32
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(iterations)]
    batches = [(item["A"][None].to(dtype), item["B"][None].to(dtype)) for item in items]
    torch.manual_seed(0)
    model = build(config["model"])
    nets = ("G_AB", "G_BA", "D_A", "D_B")
    initial = {n: [p.detach().to(dtype) for p in getattr(model, n).parameters()] for n in nets}
    rates = [2e-4 * min(1.0, 1 - (t - 5) / 40) for t in range(iterations)]
    theirs = reference_cyclegan.train(initial, batches, rates, pool_size=4)

    assert len(ours) == iterations
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        found = {name: float(row[f"train/{name}"]) for name in expected}
        assert found == pytest.approx(expected, rel=tolerance if t > 3 else min(tolerance, 1e-4)), t
    assert float(theirs[0]["G_cycle_A"]) != pytest.approx(float(theirs[-1]["G_cycle_A"]), rel=0.02)


def test_names_say_where_a_picture_lives() -> None:
    model = make("model.lambda_idt=5")
    batch = {"A": torch.rand(2, 3, 16, 16) * 2 - 1, "B": torch.rand(2, 3, 16, 16) * 2 - 1}
    images = model.generate(batch)
    with torch.no_grad():
        assert torch.allclose(images["fake_B"], model.G_AB(batch["A"]), atol=1e-6)
        assert torch.allclose(images["rec_A"], model.G_BA(model.G_AB(batch["A"])), atol=1e-5)
        assert torch.allclose(images["idt_A"], model.G_BA(batch["A"]), atol=1e-6), "identity is *into* its own domain"
        assert torch.allclose(images["idt_B"], model.G_AB(batch["B"]), atol=1e-6)
        assert torch.equal(model.translate(batch["A"], "A2B"), model.G_AB(batch["A"]))
        assert torch.equal(model.translate(batch["B"], "B2A"), model.G_BA(batch["B"]))


def test_perfect_generators_have_no_cycle_and_no_identity_loss() -> None:
    model = make()
    model.G_AB, model.G_BA = torch.nn.Identity(), torch.nn.Identity()
    images = model.generate({"A": torch.rand(1, 3, 32, 32), "B": torch.rand(1, 3, 32, 32)})
    total, terms = model.generator_loss(images)
    assert all(float(terms[name]) == 0 for name in ("cycle_A", "cycle_B", "idt_A", "idt_B"))
    assert float(total.detach()) == pytest.approx(float((terms["gan_A"] + terms["gan_B"]).detach()))


def test_without_identity_loss_channels_may_differ() -> None:
    config = small_config("model.lambda_idt=0")["model"]
    model = build(config, channels_A=1, channels_B=4)
    images = model.generate({"A": torch.rand(1, 1, 16, 16), "B": torch.rand(1, 4, 16, 16)})
    assert images["fake_B"].shape[1] == 4
    assert images["rec_A"].shape[1] == 1
    assert "idt_A" not in images


def test_identity_loss_with_other_channels_is_refused_in_one_sentence() -> None:
    from gan_style.core.errors import UserError

    with pytest.raises(UserError, match=r"model\.lambda_idt=0"):
        build(small_config()["model"], channels_A=1, channels_B=3)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.gan_mode=hinge", "model.lambda_r1=1"),
        ("model.gan_mode=wgan", "model.lambda_gp=10"),
        (
            "model.gan_mode=vanilla",
            "model/discriminator=multiscale",
            "data.image_size=64",
            "data.load_size=64",
        ),
        ("model/discriminator=pixel", "model/generator=unet128", "model.generator.depth=4"),
        ("trainer.precision=bf16-mixed",),
    ],
)
def test_variants_train_and_log_their_terms(run: Callable[..., Path], overrides: tuple[str, ...]) -> None:
    folder = run("variant", "trainer.max_steps=2", *overrides)
    with open(folder / "metrics.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert all(torch.isfinite(torch.tensor(float(v))) for k, v in last.items() if k.startswith("train/"))
    assert ("train/D_r1_A" in last) == ("model.lambda_r1=1" in overrides)
    assert ("train/D_gp_A" in last) == ("model.lambda_gp=10" in overrides)


def test_the_way_back_may_be_another_network() -> None:
    model = made(
        *("model=cyclegan", "model/generator=painter", "model.generator.depth=3"),
        *("model/generator@model.generator_BA=resnet6", "model.generator_BA.filters=4", "model.generator_BA.blocks=1"),
    )
    assert [type(network).__name__ for network in (model.G_AB, model.G_BA)] == ["UNetGenerator", "ResnetGenerator"]
    assert [len(model.noised(direction)) for direction in ("A2B", "B2A")] == [1, 0]
    same = made("model=cyclegan", "model/generator=painter", "model.generator.depth=3")
    assert (
        differences(dict(model.G_AB.state_dict()), dict(same.G_AB.state_dict())) == []
    )  # the first is drawn as before
    assert len(same.noised()) == 2
