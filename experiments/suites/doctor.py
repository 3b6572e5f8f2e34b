"""What the training doctor costs: size=128 batch=1 looks=20 every=100, and any config override.

Two loops of `train.py`, with the doctor and without, take turns at every iteration, so that both share every lull of
the machine. It looks every 10 iterations here, to be caught often; from the medians of the differences of each kind of
iteration follows what it adds at `every`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from suites.common import composed
from suites.lightning_loop import LightningLoop

from gan_style.training.callbacks.doctor import FIRST_SLOPES, SLOPES_EVERY, SLOPES_WINDOW, WINDOW

OFTEN = 10  # iterations between two looks of this measurement
WARM = 10  # iterations before it


def run(words: dict[str, str]) -> dict[str, Any]:
    """Print and return what each kind of iteration takes longer, and the share that all of them add."""
    size, batch = int(words.pop("size", "128")), int(words.pop("batch", "1"))
    looks, every = int(words.pop("looks", "20")), int(words.pop("every", "100"))
    others = [f"{key}={value}" for key, value in words.items()]
    fixed = [f"data.image_size={size}", f"data.load_size={size}", f"data.batch_size={batch}", "data.count=8"]
    sides = {"without": ["~callbacks.doctor"], "with": [f"doctor.every={OFTEN}"]}
    count = WARM + looks * OFTEN
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            name: LightningLoop(composed([*fixed, *others, *extra]), Path(folder) / name, count + 4)
            for name, extra in sides.items()
        }
        times = in_turn(loops, count)
        for loop in loops.values():
            loop.close()
    return table(f"CycleGAN iteration, {size} px, batch {batch}", times, every)


def in_turn(loops: dict[str, LightningLoop], count: int) -> dict[str, list[float]]:
    """Seconds of each iteration of each side; neither side is always the first."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    for i in range(count):
        for name in list(loops) if i % 2 else list(loops)[::-1]:
            start = time.perf_counter()
            loops[name].step()
            times[name].append(time.perf_counter() - start)
    return times


def kind(iteration: int) -> str:
    """What the doctor does in an iteration, from 1."""
    look, left = -(-iteration // OFTEN), -iteration % OFTEN
    if left < SLOPES_WINDOW and (look <= FIRST_SLOPES or look % SLOPES_EVERY == 0):
        return "terms"  # the slopes of the terms, and what else is due
    return "look" if left == 0 else "sketch" if left < WINDOW else "nothing"


def table(title: str, times: dict[str, list[float]], every: int) -> dict[str, Any]:
    pairs = list(enumerate(zip(times["with"], times["without"], strict=True), start=1))[WARM:]
    extra: dict[str, list[float]] = defaultdict(list)
    for iteration, (a, b) in pairs:
        extra[kind(iteration)].append(a - b)
    medians = {name: statistics.median(values) for name, values in extra.items()}
    whole = statistics.median(b for _, (_, b) in pairs)
    terms = SLOPES_WINDOW / SLOPES_EVERY  # of them come with a look
    added = medians["look"] + (WINDOW - 1) * medians["sketch"] + terms * medians["terms"]
    share, noise = added / every / whole, medians["nothing"] / whole
    print(f"{title}: {whole * 1000:.1f} ms without the doctor")
    for name, value in medians.items():
        print(f"  {name:10} {value * 1000:+9.2f} ms, median of {len(extra[name])}")
    print(f"  a look every {every} iterations adds {share:.3%}; where it does nothing the sides differ by {noise:+.2%}")
    rows = {name: {"median_ms": round(value * 1000, 3), "of": len(extra[name])} for name, value in medians.items()}
    return {"title": title, "iteration_ms": round(whole * 1000, 2), "every": every, "share": share, "rows": rows}
