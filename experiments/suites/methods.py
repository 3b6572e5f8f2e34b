"""Iterations of every method between two domains beside CycleGAN's, and what their authors publish."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from suites.common import alternate, composed, report
from suites.lightning_loop import LightningLoop

# Seconds of an iteration at 256 px on one GPU (Park et al. 2020, Han et al. 2021), whose ratios are compared
PUBLISHED = {"cyclegan": 0.40, "cut": 0.24, "fastcut": 0.15, "dclgan": 0.41, "simdcl": 0.47}

METHODS = (*PUBLISHED, "santa", "enco", "unsb", "ugatit_light", "munit", "unit", "gcgan", "qsattn", "stegogan")


def run(words: dict[str, str]) -> dict[str, Any]:
    """Whole iterations through Lightning, batch 1; `models=cut,santa` names those to be timed."""
    size, rounds = int(words.pop("size", "256")), int(words.pop("rounds", "5"))
    names = dict.fromkeys(("cyclegan", *words.pop("models", ",".join(METHODS)).split(",")))
    data = [f"data.image_size={size}", f"data.load_size={size}", "data.batch_size=1", "data.count=8"]
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            name: LightningLoop(
                composed([f"model={name}", *data, *(f"{k}={v}" for k, v in words.items())]),
                Path(folder) / name,
                batches=2 * rounds + 4,
            )
            for name in names
        }
        times = alternate({name: loop.step for name, loop in loops.items()}, rounds)
        for loop in loops.values():
            loop.close()
    found = report(f"One iteration, {size} px, batch 1", times, against="cyclegan")
    published = {name: round(PUBLISHED[name] / PUBLISHED["cyclegan"], 2) for name in names if name in PUBLISHED}
    return {"suites": [found], "published ratio to cyclegan": published}
