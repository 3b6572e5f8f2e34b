"""What the suites share: configs, two sides in turn, and the table."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from gan_style.core.compose import composed as composed_of

Step = Callable[[], None]


def composed(overrides: list[str]) -> dict[str, Any]:
    return composed_of([*overrides, "name=benchmark"])


def alternate(sides: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each side, in turn, after one warm-up of each."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for step in sides.values():
        step()
    for _ in range(rounds):
        for name, step in sides.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    return times


def report(title: str, times: dict[str, list[float]], *, against: str) -> dict[str, Any]:
    """Print and return medians, and the speed of each side as a ratio of the reference's."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(title)
    rows = {}
    for name, median in medians.items():
        pairs = zip(times[against], times[name], strict=True)
        ratio = statistics.median(reference / own for reference, own in pairs)
        rows[name] = {"median_ms": round(median * 1000, 2), "speed": round(ratio, 3)}
        print(f"  {name:24} {median * 1000:10.1f} ms   speed {ratio:6.3f}")
        sys.stdout.flush()
    return {"title": title, "against": against, "rows": rows}


def synchronised(step: Step, device: torch.device) -> Step:
    """A step that ends when a GPU has done it."""

    def one() -> None:
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return one
