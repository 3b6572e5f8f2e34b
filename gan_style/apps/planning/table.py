"""Plan as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gan_style.core.sizes import in_pixels

STATE = {
    "weights": "weights",
    "gradients": "gradients",
    "moments": "the optimisers' moments",
    "ema": "averaged weights",
    "frozen": "frozen weights and buffers",
    "activations": "activations",
    "rest": "the program and the rest",
}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a plan."""
    memory, disk = found["memory"], found["disk"]
    tried = " and ".join(f"{in_pixels(trial['image_size'])} x {trial['batch_size']}" for trial in found["trials"])
    yield f"parameters  {', '.join(f'{name} {count:,}' for name, count in found['parameters'].items())}"
    yield f"iteration   {found['flops'] / 1e9:,.4g} GFLOPs, {found['seconds']:.3g} s on {found['device']}"
    yield f"memory      {gigabytes(memory['peak'])} at the peak:"
    for name, words in STATE.items():
        yield f"{'':12}{gigabytes(memory[name]):>9}  {words}"
    if memory["pools"]:
        yield f"{'':12}{gigabytes(memory['pools']):>9}  more, once the pools of pictures are full"
    checkpoint = gigabytes(disk["checkpoint"])
    yield f"disk        3 checkpoints of {checkpoint} each, pictures of {disk['pictures']} validations"
    yield f"time        {duration(found['hours'])} for {found['iterations']:,} iterations, without validations"
    yield f"tried       {tried}, for {in_pixels(found['image_size'])} x {found['batch_size']}"
    if "proposals" in found:
        yield from _budget(found)


def _budget(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["proposals"]:
        yield "budget      nothing that was thought of fits: take a smaller model (model.generator.filters)"
    for proposal in found["proposals"]:
        yield f"fits        {gigabytes(proposal['memory'])}, {duration(proposal['hours'])}:"
        yield f"  {proposal['command']}"


def gigabytes(amount: float) -> str:
    """Format bytes as GB of 1e9, as in metrics.csv."""
    return f"{amount / 1e9:.3g} GB" if amount >= 5e7 else f"{amount / 1e6:.3g} MB"


def duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"
