"""A callback that leaves the state of every rank in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from gan_style.training.engine.engine import engine_of


class LeaveStates(pl.Callback):
    """Writes `rank0.pt`, `rank1.pt`, ...: `same` must be equal on all ranks, `own` may differ."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        engine = engine_of(pl_module)
        callbacks = {type(one).__name__: one.state_dict() for one in trainer.callbacks}  # type: ignore[attr-defined]
        same = {
            "iteration": engine.iteration,
            "model": engine.method.state_dict(),
            "optimizers": {player: one.state_dict() for player, one in engine.optimizer_of().items()},
            "scalers": {player: one.state_dict() for player, one in engine.scalers.items()},
            "ema": callbacks.get("EMA", {}),
        }
        own = {
            "pools": {name: pool.state_dict() for name, pool in engine.pools().items()},
            "gradients": engine.open_gradients(),
        }
        torch.save({"same": same, "own": own}, Path(trainer.default_root_dir) / f"rank{trainer.global_rank}.pt")


LEAVE = ("+callbacks.leave._target_=tests.every_rank.LeaveStates", "allow=[tests.]")


def states(run_dir: Path) -> list[dict[str, Any]]:
    """Of every rank, in order."""
    return [torch.load(path, weights_only=True) for path in sorted(run_dir.glob("rank*.pt"))]
