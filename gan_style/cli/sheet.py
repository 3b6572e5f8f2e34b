"""The verb `gan-style sheet`: methods, styles or mixes beside each other on the same pictures."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gan_style.checkpoints.labels import name_checkpoints
from gan_style.checkpoints.restore import naming
from gan_style.cli.arguments import MAX_SEED, SHIPPED, parse_style, refuse_method, wants_gatys
from gan_style.cli.noted import warn_of
from gan_style.core.checks import require_whole
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.core.progress import progress_bars
from gan_style.core.terminal import say
from gan_style.data.contact_sheet import draw_sheet
from gan_style.data.ledger import Ledger
from gan_style.data.saving import check_not_overwriting, check_output, save_image
from gan_style.inference.load import gatys, load
from gan_style.inference.translator import LoadedTranslator

Mix = list[tuple[str, float]]


class Column(NamedTuple):
    """Column of a sheet; without a mix it is the model's translation into its own domain."""

    file: str
    model: LoadedTranslator
    label: str
    mix: Mix | None


def sheet(parsed: Namespace) -> None:
    """Draw methods and styles, or steps between two styles, beside each other on the same pictures."""
    output = expanded(parsed.output)
    styles = check_arguments(parsed, output)
    models = models_of(parsed, styles)
    files = name_checkpoints(parsed.checkpoint)
    columns = [
        Column(files.get(name, name), model, f"{name}: {label}" if len(models) > 1 else label, mix)
        for name, model in models
        for label, mix in mixes_of(model, styles, parsed.mixes)
    ]
    for _, model in models:
        model.around(parsed.wrap)  # refused before the first picture, which may take minutes
    rows = []
    with progress_bars() as progress:
        task = progress.add_task("drawing", total=len(parsed.content) * len(columns))
        for content in parsed.content:
            row = []
            for column in columns:
                row.append(drawn(column, content, parsed))
                progress.advance(task)
            rows.append((expanded(content), row))
    shown = [expanded(style) for style in styles]
    save_image(draw_sheet(rows, [column.label for column in columns], shown, cell=parsed.cell), output)
    ledger = Ledger()
    for _, model in models:
        ledger.merge(model.notes)
    warn_of(ledger)
    say(output)


def drawn(column: Column, content: str, parsed: Namespace) -> Any:
    """Translate a picture for a column.

    Raises:
        UserError: as of `LoadedTranslator.translate_all`; where pictures go round, it names the model and the picture.
    """
    torch.manual_seed(parsed.seed)
    with ExitStack() as named:
        if column.model.around(parsed.wrap):
            named.enter_context(naming(column.file))
            named.enter_context(naming(content))
        return column.model.translate_all(
            [content],
            style=column.mix,
            alpha=parsed.alpha,
            preserve_color=parsed.preserve_color,
            size=parsed.size,
            wrap=parsed.wrap,
        )[0]


def check_arguments(parsed: Namespace, output: Path) -> list[str]:
    """Check the arguments of a command before anything is loaded, and return its styles.

    Raises:
        UserError: names the argument.
    """
    check_output(output)
    require_whole("--cell", parsed.cell, 1)
    require_whole("--seed", parsed.seed, 0, MAX_SEED)
    require_whole("--mixes", parsed.mixes, 0)
    if parsed.mixes and (parsed.mixes < 2 or len(parsed.style) != 2):
        raise UserError(
            f"a sheet of mixes goes from one style to another in two steps or more: --mixes {parsed.mixes} with "
            f"{len(parsed.style)} styles does not"
        )
    styles = []
    for given in parsed.style:
        style, _ = parse_style(given)
        if style != given:
            raise UserError(f"--style {given}: a sheet shows each style alone, without a weight: write --style {style}")
        styles.append(style)
    check_not_overwriting([output], [*parsed.content, *styles])
    return styles


def models_of(parsed: Namespace, styles: Sequence[str]) -> list[tuple[str, LoadedTranslator]]:
    """Load the models of a command, each with its label: Gatys where it is asked for, the shipped one without any."""
    models = [(name, load(path, allow=parsed.allow)) for name, path in name_checkpoints(parsed.checkpoint).items()]
    refuse_method(parsed, [model for _, model in models], beside=True)
    by_gatys = wants_gatys(parsed)
    if not models and not by_gatys:
        models = [(SHIPPED, load(SHIPPED))]
    if not styles and (by_gatys or any(model.model.takes_style for _, model in models)):
        raise UserError("a sheet needs a style: --style IMAGE")
    if by_gatys:
        models.append(("gatys", gatys(parsed.weights, parsed.seed, parsed.set)))
    return models


def mixes_of(model: LoadedTranslator, styles: Sequence[str], steps: int) -> list[tuple[str, Mix | None]]:
    """Return label and mix of each column of a model.

    A model that takes no style pictures leaves out those that are files; where no domain is named beside them, it
    has one column, its translation.
    """
    if not model.model.takes_style:
        styles = [style for style in styles if not expanded(style).exists()]
        if not styles:
            target = model.model.directions[0].target
            return [(model.domains.get(target, target), None)]
    names = [Path(style).stem for style in styles]
    if not steps or len(styles) != 2:
        return [(name, [(style, 1.0)]) for name, style in zip(names, styles, strict=True)]
    shares = [i / (steps - 1) for i in range(steps)]
    return [
        (f"{1 - share:.0%} {names[0]}, {share:.0%} {names[1]}", [(styles[0], 1 - share), (styles[1], share)])
        for share in shares
    ]
