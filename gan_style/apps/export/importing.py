"""The verb `gan-style import`: an official generator becomes a checkpoint of ours."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from gan_style.checkpoints import checkpoint, official
from gan_style.core.checks import require_whole
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.core.terminal import say
from gan_style.data.saving import refuse_overwriting
from gan_style.data.values import ValueRange
from gan_style.models.pretrained import Pretrained
from gan_style.models.translator import network_of


def import_official(parsed: Namespace) -> None:
    """One generator, or with --back those of both directions, as one checkpoint that translates and does not train."""
    out = expanded(parsed.output)
    require_whole("--size", parsed.size, 1)
    if out.suffix.lower() != ".ckpt":
        raise UserError(f"{out} should end in .ckpt: what is imported becomes a checkpoint")
    first = Direction(parsed.direction or "A2B")
    files = {first: expanded(parsed.source)} | ({first.back: expanded(parsed.back)} if parsed.back else {})
    refuse_overwriting([out], files.values())
    content = imported(dict(sorted(files.items())), parsed.size)
    checkpoint.save(content, out, "free some space, or write somewhere else")
    say(f"{out}: {official.said(content['config']['model']['generator'])}; {' and '.join(sorted(files))}")


def imported(files: dict[Direction, Path], size: int) -> dict[str, Any]:
    """The content of a checkpoint.

    Args:
        files: direction -> an official generator.
        size: side of the pictures it was trained on, which no file tells.

    Raises:
        UserError: a file is no such generator, or the two are not of one architecture.
    """
    read = {direction: official.read(path) for direction, path in files.items()}
    (first, (one, _)), *others = read.items()
    channels = dict(zip((first.source, first.target), (one.in_channels, one.out_channels), strict=True))
    for direction, (other, _) in others:
        theirs = {direction.source: other.in_channels, direction.target: other.out_channels}
        if other.node != one.node or theirs != channels:
            raise UserError(
                f"{files[direction]} is {official.said(other.node)} from {other.in_channels} to {other.out_channels} "
                f"channels, but {files[first]} is {official.said(one.node)} from {one.in_channels} to "
                f"{one.out_channels}: import each into a checkpoint of its own"
            )
    target = f"{Pretrained.__module__}.{Pretrained.__name__}"
    model = {"_target_": target, "generator": one.node, "directions": [str(direction) for direction in files]}
    state = {
        f"{network_of(direction)}.{name}": value
        for direction, (generator, _) in read.items()
        for name, value in generator.state.items()
    }
    return {
        "config": {"model": model},
        "iteration": 0,
        "domains": {letter: {"name": letter, **ValueRange(channels=channels[letter]).describe()} for letter in "AB"},
        "preprocessing": {"image_size": size, "range": [-1.0, 1.0]},
        "state_dict": state,
        "optimizers": {},
        "pools": [],
        "callbacks": {},
        "best": {"rule": "imported", "score": None, "iteration": None},
        "imported": {str(d): {"file": files[d].name, "sha256": sha256} for d, (_, sha256) in read.items()},
    }
