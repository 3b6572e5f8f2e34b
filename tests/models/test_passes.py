"""Fast convolutions and joined passes give the gradients of the plain ones."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_style.checkpoints.checkpoint import load
from gan_style.core.config import build
from gan_style.core.seeding import derive_seed
from gan_style.models.passes import compute_modes, joined
from gan_style.networks import fast_convolutions, winograd
from gan_style.training.engine import engine
from gan_style.training.trainer import TrainerSettings
from tests.conftest import small_config

MODELS = {
    "cyclegan": ("model.generator.filters=16",),
    "cut": ("model.generator.filters=16",),
    "dclgan": ("model.generator.filters=16",),
    "santa": ("model.generator.filters=16",),
    "enco": ("model.generator.filters=16",),
    "unsb": ("model.generator.filters=16",),
    "munit": ("model.generator.filters=16",),
    "unit": ("model.generator.filters=16",),
    "gcgan": ("model.generator.filters=16",),
    "qsattn": ("model.generator.filters=16",),
    "stegogan": ("model.generator.filters=16",),
    "unet": (
        *("model/generator=unet128", "model.generator.depth=4"),
        *("model.generator.filters=16", "model.generator.upsample=resize"),
    ),
    "ugatit": ("model.generator.filters=16",),
    "two_branch": ("model.generator.filters=16",),
    "style_conditional": ("model.generator.filters=16",),
}


def gradients(model: Any, batch: dict[str, Tensor], faster: bool) -> Tensor:
    """Of all that G trains, in one vector."""
    model.zero_grad()
    torch.manual_seed(derive_seed(0, "test"))
    with compute_modes(model.networks("G"), faster):
        total, _ = model.generator_loss(model.generate(batch))
        total.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters_of("G") if p.grad is not None])


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_the_plain_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64: in float32 a rounding may turn the sign of an L1 or a ReLU, however it is computed."""
    monkeypatch.setattr(fast_convolutions, "MIN_TILES_FOR_WINOGRAD", 1)  # so that small maps use fast convolutions, too
    monkeypatch.setattr(fast_convolutions, "MIN_CHANNELS_FOR_WINOGRAD", 16)
    monkeypatch.setattr(fast_convolutions, "_is_supported", lambda x: True)
    called = []
    forward = winograd._forward
    monkeypatch.setattr(winograd, "_forward", lambda *words: called.append(1) or forward(*words))
    overrides = (f"model={'cyclegan' if name == 'unet' else name}", *MODELS[name])
    config = small_config(*overrides, "data.image_size=32", "data.load_size=32")
    styles = {"styles": 2} if name == "style_conditional" else {}
    model = build(config["model"], channels_A=3, channels_B=3, **styles).double().train()
    for network in model.networks("D"):
        network.eval()  # a spectral norm would take a step between the two passes
    batch = {domain: torch.rand(2, 3, 32, 32).double() * 2 - 1 for domain in "AB"}
    plain = gradients(model, batch, False)
    assert not called
    faster = gradients(model, batch, True)
    assert called
    assert float((faster - plain).norm() / plain.norm()) < 1e-9
    assert all("forward" not in vars(module) for module in model.modules())


def test_a_run_takes_them_for_large_crops_or_by_the_word(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bool] = []
    monkeypatch.setattr(
        engine, "compute_modes", lambda nets, faster, *more: taken.append(faster) or compute_modes(nets, faster, *more)
    )
    monkeypatch.setattr("gan_style.networks.fast_convolutions._has_slow_matmul", lambda: False)
    for pixels, word, expected in ((16**2, "null", True), (100**2, "null", False), (100**2, "true", True)):
        monkeypatch.setattr("gan_style.networks.fast_convolutions.MIN_CROP_PIXELS", pixels)
        taken.clear()
        run(f"run-{pixels}-{word}", "trainer.max_steps=1", f"trainer.fast_convolutions={word}")
        assert set(taken) == {expected}


def test_bfloat16_takes_them_where_the_processor_has_it(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[bool, int]] = []

    def watched(nets: Any, faster: bool, checkpointing: bool, wrap: Any, judges: Any, penalised: bool) -> Any:
        taken.append((faster, 0 if penalised else len(judges)))
        return compute_modes(nets, faster, checkpointing, wrap, judges, penalised)

    monkeypatch.setattr(engine, "compute_modes", watched)
    for there in (True, False):
        monkeypatch.setattr("gan_style.training.trainer.has_amx", lambda there=there: there)
        assert TrainerSettings("cpu", precision="auto").precision == ("bf16-mixed" if there else "32-true")
        for word in ("auto", "bf16-mixed"):
            taken.clear()
            run(f"run-{there}-{word}", *SMALL, f"trainer.precision={word}", "trainer.accelerator=cpu")
            assert set(taken) == {(there, 2)}
    taken.clear()
    run("penalised", *SMALL, "trainer.precision=bf16-mixed", "trainer.fast_convolutions=true", "model.lambda_r1=1")
    assert set(taken) == {(True, 0)}  # a penalty differentiates the discriminators twice


SMALL = ("model.generator.filters=2", "model.generator.blocks=1", "model/discriminator=pixel", "trainer.max_steps=1")


@pytest.mark.long
@pytest.mark.timeout(900)  # the compiler's
@pytest.mark.filterwarnings("ignore")  # what the compiler itself warns of
def test_compiled_networks_give_the_same_losses_and_keys(run: Callable[..., Path]) -> None:
    plain = run("plain", *SMALL, "trainer.log_every=1")
    compiled = run(
        "compiled", *SMALL, "trainer.log_every=1", "trainer.compile=default", "trainer.fast_convolutions=true"
    )
    losses = []
    for folder in (plain, compiled):
        with open(folder / "metrics.csv", newline="") as file:
            row = next(csv.DictReader(file))
        losses.append([float(row[name]) for name in row if name.startswith("train/")])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    keys = [list(load(folder / "checkpoints/last.ckpt")["state_dict"]) for folder in (plain, compiled)]
    assert keys[0] == keys[1]


def test_without_a_compiler_a_note_says_so(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    run("run", *SMALL, "trainer.compile=default")
    assert "nothing is compiled: torch.compile needs a C++ compiler on a CPU" in capsys.readouterr().out


def test_steps_of_the_optimiser_are_seen_within_an_iteration(run: Callable[..., Path]) -> None:
    """CUT's D takes its step before G's turn, by a fused Adam, which does not count up the versions of weights."""
    losses = []
    for word in ("true", "false"):
        words = ("model=cut", "trainer.precision=64-true", f"trainer.fast_convolutions={word}", "trainer.log_every=1")
        folder = run(f"cut-{word}", *words, "trainer.max_steps=4", "trainer.accelerator=cpu")
        rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
        losses.append(torch.tensor([float(row["train/G_gan_B"]) for row in rows if row["train/G_gan_B"]]))
    assert len(losses[0]) == 4
    torch.testing.assert_close(*losses, rtol=1e-6, atol=0)


def test_passes_are_joined_under_autocast_too() -> None:
    network, sizes = torch.nn.Conv2d(3, 3, 1), []
    network.per_sample = True
    network.register_forward_hook(lambda layer, inputs, output: sizes.append(len(inputs[0])))
    with torch.autocast("cpu", torch.bfloat16):
        joined(network, torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8).bfloat16())
    assert sizes == [2]
