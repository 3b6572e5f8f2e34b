"""Iterations of every method between two domains beside CycleGAN's, and what their authors publish.

With `--peer DIR`, a checkout of DCLGAN's repository (or of CUT's, which has fewer), the authors' own are timed in turn.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from suites.common import Step, alternate, composed, report, synchronised
from suites.lightning_loop import LightningLoop
from suites.peer import has_official, official_step
from suites.step import in_turn

SAME = "cyclegan_antialiased"
# Seconds of an iteration at 256 px on one GPU (Park et al. 2020, Han et al. 2021), whose ratios are compared. CycleGAN
# in their repositories is anti-aliased by default, as all models are. (Where DCLGAN's runs on a GPU, an argument that
# stands one place too early turns that off, but not in the generator's last layers.)
PUBLISHED = {SAME: 0.40, "cut": 0.24, "fastcut": 0.15, "dclgan": 0.41, "simdcl": 0.47}

METHODS = (
    "cyclegan",
    *PUBLISHED,
    "santa",
    "enco",
    "unsb",
    "ugatit_light",
    "munit",
    "unit",
    "gcgan",
    "qsattn",
    "stegogan",
)


def run(words: dict[str, str], peer: Path | None = None) -> dict[str, Any]:
    """Whole iterations through Lightning, batch 1; `models=cut,santa` names those to be timed."""
    if peer and not has_official(peer, "cut"):
        raise SystemExit(f"{peer} has no models/cut_model.py: give a checkout of CUT's repository or of DCLGAN's")
    size, rounds = int(words.pop("size", "256")), int(words.pop("rounds", "5"))
    names = dict.fromkeys((SAME, *words.pop("models", ",".join(METHODS)).split(",")))
    data = [f"data.image_size={size}", f"data.load_size={size}", "data.batch_size=1", "data.count=8"]
    words_of = {SAME: ["model=cyclegan", "model/generator=resnet9_antialiased", "model/discriminator=patch84"]}
    configs = {
        name: composed([*words_of.get(name, [f"model={name}"]), *data, *(f"{k}={v}" for k, v in words.items())])
        for name in names
    }
    with tempfile.TemporaryDirectory() as folder:
        loops = {name: LightningLoop(config, Path(folder) / name, 2 * rounds + 4) for name, config in configs.items()}
        sides: dict[str, Step] = {name: synchronised(loop.step, loop.device) for name, loop in loops.items()}
        sides |= official_sides(peer, loops, configs) if peer else {}
        times = alternate(sides, rounds)
        for loop in loops.values():
            loop.close()
    own = {name: times[name] for name in names}
    suites = [report(f"One iteration, {size} px, batch 1", own, against=SAME)]
    if theirs := {name: seconds for name, seconds in times.items() if name not in names}:
        suites.append(report("The authors' own", theirs, against=f"official {SAME}"))
    published = {name: round(PUBLISHED[name] / PUBLISHED[SAME], 2) for name in names if name in PUBLISHED}
    return {"suites": suites, "published ratio to cyclegan": published}


def official_sides(
    checkout: Path, loops: dict[str, LightningLoop], configs: dict[str, dict[str, Any]]
) -> dict[str, Step]:
    """Iterations of the authors' models, on the pictures that ours have."""
    sides = {}
    for name, loop in loops.items():
        theirs = "cyclegan" if name == SAME else name
        if name != "cyclegan" and has_official(checkout, theirs):
            pairs = [(pair["A"].to(loop.device), pair["B"].to(loop.device)) for pair in loop.batches]
            step = in_turn(official_step(checkout, configs[name], loop.device, theirs), pairs)
            sides[f"official {name}"] = functools.partial(loop.run, step)
    return sides
