"""Official models, timed through their public classes from a checkout that the user has (`--peer DIR`)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

# Their file in the repositories of CycleGAN, CUT and DCLGAN, and the words of their papers
OFFICIAL = {
    "cyclegan": ("cycle_gan", ["--lambda_identity", "0.5"]),
    "cut": ("cut", []),
    "fastcut": ("fastcut", []),
    "dclgan": ("dcl", []),
    "simdcl": ("simdcl", []),
}


def has_official(checkout: Path, name: str) -> bool:
    """Check whether the checkout has the model that is called `name` here."""
    return name in OFFICIAL and (checkout / f"models/{OFFICIAL[name][0]}_model.py").exists()


def official_step(
    checkout: Path, config: dict[str, Any], device: torch.device, name: str = "cyclegan", *, anti_aliased: bool = True
) -> Callable[..., None]:
    """`optimize_parameters` of an official model on pairs, with the options of its paper.

    Args:
        checkout: of the official repository, or of CUT's or DCLGAN's.
        config: of ours; its size and batch.
        device: where to.
        name: of the model here.
        anti_aliased: as all networks are by default in CUT's repository and DCLGAN's; else those of CycleGAN's paper.
    """
    if not has_official(checkout, name):
        sys.exit(f"{checkout} has no models/{OFFICIAL[name][0]}_model.py: give a checkout of the official repository")
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    from models import create_model
    from options.train_options import TrainOptions

    file, words = OFFICIAL[name]
    kept, sys.argv = sys.argv, ["train.py", "--dataroot", "none", "--model", file, "--display_id", "-1", *words]
    if not anti_aliased and "no_antialias" in (checkout / "options/base_options.py").read_text():
        sys.argv += ["--no_antialias", "--no_antialias_up"]
    sys.argv += ["--batch_size", str(config["data"]["batch_size"])]
    sys.argv += ["--gpu_ids", "0" if device.type == "cuda" else "-1"]
    with tempfile.TemporaryDirectory() as folder:
        sys.argv += ["--checkpoints_dir", folder]  # it writes its options there
        options = TrainOptions().parse()
    sys.argv = kept
    options.isTrain = True
    vars(options).setdefault("amp", False)  # the CycleGAN in the repository of CUT reads it and defines it nowhere
    model = create_model(options)

    def given(A: torch.Tensor, B: torch.Tensor) -> dict[str, Any]:
        return {"A": A, "B": B, "A_paths": [], "B_paths": []}

    if name != "cyclegan":  # the projections of patches have their sizes from a first batch
        size = config["data"]["image_size"]
        model.data_dependent_initialize(given(*torch.zeros(2, config["data"]["batch_size"], 3, size, size)))
    model.setup(options)
    if device.type == "cuda" and hasattr(model, "parallelize"):
        model.parallelize()  # where DCLGAN's CycleGAN gets to the GPU at all

    def step(A: torch.Tensor, B: torch.Tensor) -> None:
        model.set_input(given(A, B))
        model.optimize_parameters()

    return step
