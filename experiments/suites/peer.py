"""The official CycleGAN, timed through its public classes from a checkout that the user has (`--peer DIR`)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def official_step(checkout: Path, config: dict[str, Any], device: torch.device) -> Callable[..., None]:
    """`CycleGANModel.optimize_parameters` on pairs, with the options of the paper.

    Args:
        checkout: of the official repository, or of CUT's (`models/cycle_gan_model.py` in it).
        config: of ours; its size and batch.
        device: where to.
    """
    if not (checkout / "models/cycle_gan_model.py").exists():
        sys.exit(f"{checkout} has no models/cycle_gan_model.py: give a checkout of the official repository")
    sys.path.insert(0, str(checkout))
    from models import create_model
    from options.train_options import TrainOptions

    kept, sys.argv = sys.argv, ["train.py", "--dataroot", "none", "--model", "cycle_gan", "--display_id", "-1"]
    sys.argv += ["--batch_size", str(config["data"]["batch_size"]), "--lambda_identity", "0.5"]
    sys.argv += ["--gpu_ids", "0" if device.type == "cuda" else "-1"]
    with tempfile.TemporaryDirectory() as folder:
        sys.argv += ["--checkpoints_dir", folder]  # it writes its options there
        options = TrainOptions().parse()
    sys.argv = kept
    options.isTrain = True
    vars(options).setdefault("amp", False)  # the CycleGAN in the repository of CUT reads it and defines it nowhere
    model = create_model(options)
    model.setup(options)

    def step(A: torch.Tensor, B: torch.Tensor) -> None:
        model.set_input({"A": A, "B": B, "A_paths": [], "B_paths": []})
        model.optimize_parameters()

    return step
