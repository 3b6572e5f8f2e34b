"""Where the time of one CycleGAN iteration goes, without Lightning: size=256,128,64 precision=32,bf16."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import torch
from suites.step import bare_loop, settings
from torch.profiler import ProfilerActivity, profile

GROUPS = {
    "convolutions, backward": ("convolution_backward",),
    "convolutions, forward": ("convolution",),
    "matrix products": ("mm",),
    "norms": ("norm", "batch_norm"),
    "copies, casts, layouts": ("copy_", "cat", "clone", "fill_", "zero_"),
    "padding": ("pad",),
    "activations": ("relu", "threshold", "clamp", "tanh"),
    "sums": ("add", "sum"),
    "optimiser": ("adam", "Adam"),
}


def run(words: dict[str, str]) -> dict[str, Any]:
    sizes = [int(size) for size in words.pop("size", "256").split(",")]
    precisions, tables = words.pop("precision", "32").split(","), {}
    for size, precision in itertools.product(sizes, precisions):
        shares = tables[f"{size} px, {precision}"] = one(settings(size, 1, precision, words), size)
        print(
            f"{size} px, {precision}: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()), flush=True
        )
    return {"tables": tables}


def one(config: dict[str, Any], size: int) -> dict[str, float]:
    """Shares of the time of an iteration, by groups of operations; the rest is Python and small operations."""
    torch.manual_seed(0)
    pictures = [torch.rand(1, 3, size, size) * 2 - 1 for _ in "AB"]
    step = bare_loop(config, [(pictures[0], pictures[1])])
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    times: dict[str, float] = defaultdict(float)
    for event in profiled.key_averages():
        group = (name for name, words in GROUPS.items() if any(word in event.key for word in words))
        times[next(group, "the rest") if "::" in event.key or "#" in event.key else "the rest"] += (
            event.self_cpu_time_total
        )
    return {name: times[name] / sum(times.values()) for name in (*GROUPS, "the rest")}
