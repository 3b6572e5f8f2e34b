"""The verb `gan-style stylize`."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_style.cli.arguments import MAX_SEED, SHIPPED, parse_style, refuse_method, style_options, wants_gatys
from gan_style.cli.noted import warn_of
from gan_style.cli.progress import progress_bars
from gan_style.core.checks import require_finite, require_whole
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.core.terminal import say
from gan_style.data.images import to_uint8
from gan_style.data.saving import check_not_overwriting, check_output, save, save_image
from gan_style.inference.files import Read, result_of
from gan_style.inference.images import given_image, read_file
from gan_style.inference.load import gatys, load
from gan_style.inference.translator import RESULT, LoadedTranslator
from gan_style.models.styled import optimizing

MAX_SIDE_OF_GATYS_PIXELS = 512  # unless --size says otherwise: the cost grows with every pixel


def stylize(parsed: Namespace) -> None:
    """Give one content picture a mix of styles, by an optimisation or by a trained model."""
    content, output = expanded(parsed.content), expanded(parsed.output)
    check_output(output)
    require_whole("--every", parsed.every, 0)
    require_whole("--seed", parsed.seed, 0, MAX_SEED)
    styles = [parse_style(text) for text in parsed.style]
    options = style_options(styles, parsed.alpha, parsed.preserve_color, parsed.mask, parsed.size)
    if not options["style"]:
        raise UserError("no style was given: add --style IMAGE")
    check_not_overwriting([output], [content, *parsed.mask, *(style for style, _ in options["style"])])
    torch.manual_seed(parsed.seed)
    translator = translator_of(parsed)
    if translator.model.optimizes_images:
        options["size"] = MAX_SIDE_OF_GATYS_PIXELS if parsed.size is None else parsed.size
        options |= start_of(translator, parsed)
    elif parsed.every:
        raise UserError("--every is for gatys, which comes to its picture in steps: leave it out")
    with progress_of(translator, output, parsed.every) as progress:
        picture = read_file(content, translator.taken(None, options["style"]))
        image = translator.translate_all([picture.array], **options, **progress)[0]
    result, carried, notes = result_of(np.asarray(image), Read(content, output, picture))
    translator.notes.add(content, notes)
    save(result, output, carried)
    warn_of(translator.notes)
    say(f"{output}: {result.shape[1]}x{result.shape[0]} pixels")


def translator_of(parsed: Namespace) -> LoadedTranslator:
    """Load the checkpoint that a `stylize` command names, or the shipped model, or make Gatys, which is not trained."""
    if not parsed.checkpoint:
        refuse_method(parsed, [])
        return gatys(parsed.weights, parsed.seed, parsed.set) if wants_gatys(parsed) else load(SHIPPED)
    translator = load(parsed.checkpoint, allow=parsed.allow)
    if not translator.model.takes_style:
        raise UserError(f"{parsed.checkpoint} takes no style pictures: use gan-style translate {parsed.checkpoint}")
    refuse_method(parsed, [translator])
    return translator


def start_of(translator: LoadedTranslator, parsed: Namespace) -> dict[str, Any]:
    """Read the style picture, where the descent starts from it."""
    if not optimizing(translator.model).starts_with_style:
        return {}
    paths = [expanded(parse_style(text)[0]) for text in parsed.style]
    if len(paths) != 1 or not paths[0].is_file():
        raise UserError("model.start=style begins with one style picture: give one file, or take content or noise")
    return {"start": given_image(paths[0]).images.to(translator.device)}


@contextlib.contextmanager
def progress_of(translator: LoadedTranslator, output: Path, every: int) -> Iterator[dict[str, Any]]:
    """Make the callback that shows an optimisation's progress, and saves its picture every so many steps."""
    if not translator.model.optimizes_images:
        yield {}
        return
    with progress_bars() as progress:
        task = progress.add_task("stylising")

        def step(done: int, total: int, terms: dict[str, float], image: torch.Tensor) -> None:
            values = "  ".join(f"{name} {value:.4g}" for name, value in terms.items())
            progress.update(task, completed=done, total=total, description=values)
            require_finite(image, RESULT)
            if every and done % every == 0:
                save_image(to_uint8(image)[0], output.with_name(f"{output.stem}-{done:05d}{output.suffix}"))

        yield {"progress": step}
