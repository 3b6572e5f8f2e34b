"""The verb `gan-style stylize`."""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_style.cli.arguments import MAX_SEED, SHIPPED, parse_style, refuse_method, style_options, wants_gatys
from gan_style.cli.noted import warn_of
from gan_style.core.checks import require_finite, require_whole
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.core.progress import progress_bars
from gan_style.core.signals import asking
from gan_style.core.terminal import say, warn
from gan_style.data.images import to_uint8
from gan_style.data.saving import check_not_overwriting, check_output, save, save_image
from gan_style.inference.files import Read, result_of
from gan_style.inference.images import given_image, read_file
from gan_style.inference.load import gatys, load
from gan_style.inference.steps import Steps
from gan_style.inference.translator import RESULT, LoadedTranslator
from gan_style.models.styled import optimizing

PREVIEW_SECONDS = 3.0  # between two pictures of one that grows
INTERRUPTED = 130
MAX_SIDE_OF_GATYS_PIXELS = 512  # unless --size says otherwise: the cost grows with every pixel


def stylize(parsed: Namespace) -> int:
    """Give one content picture a mix of styles, by an optimisation or by a trained model.

    Returns: 0, or 130 where Ctrl-C ended an optimisation early; what there was of its picture is written, and nothing
        before its first step.
    """
    content, output = expanded(parsed.content), expanded(parsed.output)
    check_output(output)
    require_whole("--every", parsed.every, 0)
    require_whole("--seed", parsed.seed, 0, MAX_SEED)
    styles = [parse_style(text) for text in parsed.style]
    options = style_options(styles, parsed.alpha, parsed.preserve_color, parsed.mask, parsed.size, parsed.wrap)
    if not options["style"]:
        raise UserError("no style was given: add --style IMAGE")
    check_not_overwriting([output], [content, *parsed.mask, *(style for style, _ in options["style"])])
    torch.manual_seed(parsed.seed)
    translator, growth = translator_of(parsed), Growth()
    if translator.model.optimizes_images:
        options["size"] = MAX_SIDE_OF_GATYS_PIXELS if parsed.size is None else parsed.size
        options |= start_of(translator, parsed)
    elif parsed.every:
        raise UserError("--every is for gatys, which comes to its picture in steps: leave it out")
    with progress_of(translator, output, parsed.every, growth) as progress:
        picture = read_file(content, translator.taken(None, options["style"]))
        image = translator.translate_all([picture.array], **options, **progress)[0]
    result, carried, notes = result_of(np.asarray(image), Read(content, output, picture))
    translator.notes.add(content, notes)
    save(result, output, carried)
    warn_of(translator.notes)
    say(f"{output}: {result.shape[1]}x{result.shape[0]} pixels")
    if growth.cut:
        warn(f"gan_style: interrupted: {output} holds the picture of {growth.said}")
    return INTERRUPTED if growth.cut else 0


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


@dataclass
class Growth:
    """State of an optimisation: how far it came.

    Attributes:
        stopped: whether it was asked to end early.
        cut: whether it did, before its last step.
        said: its last step; "" before the first.
    """

    stopped: bool = False
    cut: bool = False
    said: str = ""

    def stop(self) -> None:
        """Let the step that is being taken be the last.

        Raises:
            KeyboardInterrupt: none was taken yet, so that there is no picture to keep.
        """
        if not self.said:
            raise KeyboardInterrupt
        self.stopped = True


@contextlib.contextmanager
def progress_of(translator: LoadedTranslator, output: Path, every: int, growth: Growth) -> Iterator[dict[str, Any]]:
    """Make the callback that shows an optimisation's progress, its picture in a file of its own, and ends it early.

    Inside the `with` block the first Ctrl-C ends the optimisation, and a second one the command.
    """
    if not translator.model.optimizes_images:
        yield {}
        return
    steps = Steps(optimizing(translator.model).steps)
    preview, shown = preview_of(output), time.monotonic()
    try:
        with progress_bars() as progress, asking(growth.stop):
            task = progress.add_task("stylising")

            def step(done: int, total: int, terms: dict[str, float], image: torch.Tensor) -> bool:
                nonlocal shown
                growth.said = f"step {done} of {total}"
                require_finite(image, RESULT)
                said = steps.said(done, total)
                progress.update(task, completed=done, total=total, description=said, said=said)
                if every and done % every == 0:
                    save_image(to_uint8(image)[0], output.with_name(f"{output.stem}-{done:05d}{output.suffix}"))
                if time.monotonic() - shown > PREVIEW_SECONDS:
                    save_image(to_uint8(image)[0], preview)
                    shown = time.monotonic()
                growth.cut = growth.cut or (growth.stopped and done < total)
                return growth.stopped

            yield {"progress": step}
    finally:
        preview.unlink(missing_ok=True)


def preview_of(output: Path) -> Path:
    """Return the file in which a picture is shown while it grows.

    Raises:
        UserError: there is one of this name.
    """
    preview = output.with_name(f"{output.stem}.preview{output.suffix}")
    if preview.exists():
        raise UserError(f"{preview} is there, and the picture would be shown in it while it grows: move it away")
    return preview
