"""No iteration waits for a GPU: torch raises an error where Python would read a number from one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gan_style.training.engine.engine import Engine
from gan_style.training.run import train
from tests.conftest import small_config

# Without `gatys`, whose optimiser decides by the loss, and the style term of `style_conditional`, which has as many
# images as latents were not drawn.
METHODS = (
    *("cyclegan", "cut", "fastcut", "dclgan", "simdcl", "gcgan", "qsattn", "enco", "santa", "sincut", "stegogan"),
    *("unsb", "ugatit", "munit", "unit", "perceptual_gan", "two_branch", "adain", "microast"),
)
WARM_UP_ITERATIONS = 2  # in which torch and cuDNN choose kernels and optimisers make their state


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here, and nothing else can be waited for")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("model", METHODS)
def test_an_iteration_never_waits_for_the_gpu(
    model: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, watched = Engine.training_step, []

    def strict(self: Engine, batch: dict[str, Any], index: int) -> dict[str, Any]:
        if self.iteration < WARM_UP_ITERATIONS:
            return step(self, batch, index)
        watched.append(self.iteration)
        torch.cuda.set_sync_debug_mode("error")
        try:
            return step(self, batch, index)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Engine, "training_step", strict)
    words = ["trainer=gpu", "trainer.max_steps=5", "trainer.val_every=100", f"trainer.precision={precision}"]
    train(small_config(f"model={model}", *words, "name=test", f"run_dir={tmp_path / 'run'}"))
    assert watched == [2, 3, 4]
