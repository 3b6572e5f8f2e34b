"""The verbs `gan-style export` and `gan-style import`."""

from __future__ import annotations

import time
import warnings
from argparse import Namespace

from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from gan_style.apps.export import export as exporting
from gan_style.apps.export import importing
from gan_style.apps.export.graph import SIZES
from gan_style.checkpoints import official
from gan_style.core.checks import require_whole
from gan_style.core.paths import expanded
from gan_style.core.progress import duration, progress_bars
from gan_style.core.terminal import say


def export(parsed: Namespace) -> None:
    """Write a model in the form that the suffix names, and say how far it is from torch."""
    with progress_bars(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
        task, start = progress.add_task("reading", total=None), time.monotonic()

        def told(stage: str) -> None:
            line = f"{parsed.output}: {stage}, after {duration(time.monotonic() - start)}"
            progress.update(task, advance=1, description=stage, said=line)

        done = exporting.export(
            parsed.checkpoint, parsed.output, direction=parsed.direction, raw=parsed.raw, allow=parsed.allow, told=told
        )
    say(f"{done.path}: {done.form}; {done.weights} weights")
    say(f"at {len(SIZES)} sizes {done.distance}")


def import_official(parsed: Namespace) -> None:
    """Make a checkpoint of official generators, and print a description of them."""
    require_whole("--size", parsed.size, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are printed below
        content = importing.import_official(
            parsed.source,
            parsed.output,
            direction=parsed.direction or "A2B",
            back=parsed.back,
            size=parsed.size,
            transform=parsed.transform,
        )
    model, sources = content["config"]["model"], content["imported"]
    if "generator" in model:
        said = f"{official.said(model['generator'])}; {' and '.join(sorted(model['directions']))}"
    else:
        method, parts = str(model["_target_"]).rpartition(".")[2], (f"{k} {one['file']}" for k, one in sources.items())
        said = f"{method}, which takes any picture as a style, of {', '.join(parts)}"
    say(f"{expanded(parsed.output)}: {said}")
    for note in importing.notes(content):
        say(f"note: {note}")
