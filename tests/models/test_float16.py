"""trainer.precision=16-mixed: losses are scaled, gradients are not, and the scale is part of a run's state."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gan_style.checkpoints.checkpoint import load
from gan_style.core.errors import UserError
from tests.conftest import SGD, differences

Run = Callable[..., Path]
HALF = "trainer.precision=16-mixed"


def start_at(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """torch begins at 65536, which a few skipped steps bring down; a run of two iterations has no time for that."""
    original = torch.amp.GradScaler.__init__
    monkeypatch.setattr(torch.amp.GradScaler, "__init__", lambda self, device: original(self, device, init_scale=scale))


def weights(folder: Path, network: str = "G_AB") -> torch.Tensor:
    state = load(folder / "checkpoints/last.ckpt")["state_dict"]
    return torch.cat([value.flatten() for key, value in state.items() if key.startswith(network + ".")])


STILL = (*SGD, "trainer.max_steps=1", "model.optimizer_G.lr=0")  # in float32, and so without a scale


def test_steps_are_those_of_float32_up_to_rounding(run: Run, trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    still = weights(trained("still", *STILL))
    start_at(monkeypatch, 2.0**8)
    moved = [
        weights(run(name, *SGD, "trainer.max_steps=1", *words)) - still
        for name, words in (("full", ()), ("half", (HALF,)))
    ]
    assert moved[0].norm() > 0
    # A processor without instructions for it is off by 0.22, another by less than 0.1; a scale that stays, by 255.
    assert (moved[1] - moved[0]).norm() < 0.4 * moved[0].norm()


def test_clipping_measures_the_unscaled_gradient(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    start_at(monkeypatch, 2.0**8)
    words = (*SGD, HALF, "trainer.max_steps=1", "model.clip_grad_norm=1e-3")
    still = run("still", *words, "model.optimizer_G.lr=0")
    moved = run("moved", *words, "model.optimizer_G.lr=1")
    change = sum(
        float((weights(moved, name) - weights(still, name)).double().square().sum()) for name in ("G_AB", "G_BA")
    )
    assert change**0.5 == pytest.approx(1e-3, rel=0.02)  # what SGD at a rate of 1 moves is the clipped gradient


def test_resume_is_bit_exact_and_keeps_the_scales(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    start_at(monkeypatch, 2.0**8)
    whole = load(run("whole", HALF, "trainer.max_steps=4") / "checkpoints/last.ckpt")
    run("parts", HALF, "trainer.max_steps=2")
    parts = load(run("parts", HALF, "trainer.max_steps=4", "resume=last") / "checkpoints/last.ckpt")
    for unequal in ("config", "best"):
        del whole[unequal], parts[unequal]
    assert whole["scalers"]["G"]["_growth_tracker"] == 4
    assert set(whole["scalers"]) == {"G", "D"}
    assert differences(whole, parts) == []


def test_a_gradient_too_large_for_float16_is_not_a_step(
    run: Run, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = weights(trained("still", *STILL))
    start_at(monkeypatch, 2.0**60)
    folder = run("huge", *SGD, HALF, "trainer.max_steps=1")
    assert torch.equal(weights(folder), still)
    assert load(folder / "checkpoints/last.ckpt")["scalers"]["G"]["scale"] == 2.0**59


def test_gatys_refuses_it(run: Run) -> None:
    with pytest.raises(UserError, match=r"trainer\.precision=16-mixed does not work .* take bf16-mixed or 32-true"):
        run("gatys", "model=gatys", HALF)
