"""Convert published models to checkpoints of ours."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_style.checkpoints import checkpoint, official, style_files
from gan_style.core.checks import require_whole, shown
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, printable
from gan_style.data.saving import check_not_overwriting
from gan_style.data.values import ValueRange
from gan_style.models.pretrained import Pretrained
from gan_style.models.translator import network_of


def import_official(
    source: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    direction: str = "A2B",
    back: str | Path | None = None,
    size: int = 256,
    transform: str | None = None,
) -> dict[str, Any]:
    """Make a checkpoint of a published model; it translates or stylizes.

    Args:
        source: a generator in the layout of the official code of CycleGAN, pix2pix, CUT, DCLGAN, SANTA, UNSB or
            U-GAT-IT, such as net_G.pth, or a fast style net; or the files, or their folder, of a model that takes any
            picture as a style: MicroAST's encoders, modulator and decoder, or a decoder of features and its VGG.
        output: ending in .ckpt.
        direction: of a generator, "A2B" or "B2A".
        back: the generator of the other direction.
        size: side of the pictures it was trained on, in pixels, which no file tells.
        transform: of the features that a decoder inverts: "adain", means and deviations, which None is too, or "wct",
            whitening and colouring.

    Returns: the content of the checkpoint, as `torch.load` gives it. What of a file is left out or changed is a
        warning, and stands in its `imported`.

    Raises:
        UserError: a file is no such model, the two directions are not of one architecture, a part is missing, or the
            output cannot be written.
    """
    out = expanded(output)
    require_whole("size", size, 1)
    if direction not in tuple(Direction):
        raise UserError(f"direction={shown(direction)} is not known: take A2B or B2A")
    if out.suffix.lower() != ".ckpt":
        raise UserError(f"{out} should end in .ckpt: what is imported becomes a checkpoint")
    first = Direction(direction)
    sources = [expanded(one) for one in ([source] if isinstance(source, (str, Path)) else source)]
    check_not_overwriting([out], [*sources, *([expanded(back)] if back else [])])
    found = style_files.read(sources, transform)
    if found is not None:
        content = of_styles(found, size)
    elif len(sources) > 1:
        raise UserError(
            f"{printable(', '.join(map(str, sources)))} are no parts of one model: name one generator, and that of the "
            "other direction with --back"
        )
    else:
        files = {first: sources[0]} | ({first.back: expanded(back)} if back else {})
        content = imported(dict(sorted(files.items())), size)
    checkpoint.save(content, out, "or write somewhere else")
    for note in notes(content):
        warnings.warn(note, stacklevel=2)
    return content


def of_styles(found: style_files.StyleModel, size: int) -> dict[str, Any]:
    """Build the content of a checkpoint of a model that takes any picture as a style."""
    sources = {
        part: {"file": one.path.name, "sha256": one.sha256, "notes": list(one.notes)}
        for part, one in found.sources.items()
    }
    return _content(found.config, found.state, {"A": ("content", 3), "B": ("style", 3)}, size, sources)


def notes(content: Mapping[str, Any]) -> list[str]:
    """List what was left out or changed of the files of an import, each beginning with the file's name."""
    return [f"{one['file']}: {note}" for one in content["imported"].values() for note in one["notes"]]


def imported(files: dict[Direction, Path], size: int) -> dict[str, Any]:
    """Build the content of a checkpoint.

    Args:
        files: direction -> an official generator.
        size: side of the pictures it was trained on, which the files do not record.

    Raises:
        UserError: a file is not such a generator, or the two differ in architecture.
    """
    read = {direction: official.read(path, direction) for direction, path in files.items()}
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
    sources = {
        str(d): {"file": files[d].name, "sha256": sha256, "notes": list(generator.notes)}
        for d, (generator, sha256) in read.items()
    }
    return _content(model, state, {letter: (letter, channels[letter]) for letter in "AB"}, size, sources)


def _content(
    model: dict[str, Any],
    state: Mapping[str, Any],
    domains: Mapping[str, tuple[str, int]],
    size: int,
    sources: Mapping[str, Any],
) -> dict[str, Any]:
    """Build the content of a checkpoint; `domains` has the name and the channels of each."""
    return {
        "config": {"model": model},
        "iteration": 0,
        "domains": {
            letter: {"name": name, **ValueRange(channels=channels).describe()}
            for letter, (name, channels) in domains.items()
        },
        "preprocessing": {"image_size": size, "range": [-1.0, 1.0]},
        "state_dict": dict(state),
        "optimizers": {},
        "pools": [],
        "callbacks": {},
        "best": {"rule": "imported", "score": None, "iteration": None},
        "imported": dict(sources),
    }
