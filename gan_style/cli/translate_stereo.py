"""Pairs of eyes in `gan-style translate`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_style.cli.noted import warn_of
from gan_style.core.errors import UserError
from gan_style.core.progress import progress_bars
from gan_style.core.terminal import say
from gan_style.data.ledger import Ledger
from gan_style.data.saving import check_not_overwriting, save
from gan_style.inference.files import Writer, inputs_and_outputs, read_ahead, renamed, result_of
from gan_style.inference.translator import LoadedTranslator
from gan_style.inference.video.stereo import Agreement, agreement_sentences, translate_stereo
from gan_style.inference.video.translate import require_bytes


def stereo(
    model: Callable[[], LoadedTranslator], source: Path, target: Path, direction: str | None, **options: Any
) -> tuple[list[str], int]:
    """Translate pictures that hold two eyes side by side, and say how well the eyes agree.

    Args:
        model: loads the model; called after the paths are checked.
        source, target: files or folders.
        direction: "A2B" or "B2A"; None is the model's first.
        **options: of `LoadedTranslator.translate_all`.

    Returns: sentences about pictures that could not be read or are no pairs, and the number of all.

    Raises:
        UserError: the model is not of 8-bit RGB, or as `translate_all`.
    """
    ledger = Ledger()
    pairs = inputs_and_outputs(source, target, ledger)
    read = [source, *(style for style, _ in options["style"] or ())]
    check_not_overwriting([target, *(result for _, result in pairs)], read)
    translator = model()
    require_bytes(translator, direction, options["style"])
    pairs, translator.notes = renamed(pairs, translator.written(direction, options["style"])), ledger
    found: list[Agreement] = []
    unread: list[str] = []
    with progress_bars() as progress, Writer() as writer:
        task = progress.add_task("translating", total=len(pairs))
        for one in read_ahead(pairs, None, 2):
            progress.advance(task)
            if one.array is None:
                unread.append(one.problem)
                continue
            try:
                made = translate_stereo(translator, one.array, direction, **options)
            except UserError as error:
                if one.array.shape[1] % 2 == 0:
                    raise
                unread.append(f"{one.path}: {error}")
                continue
            found.append(made.agreement)
            result, carried, notes = result_of(made.image, one)
            translator.notes.add(one.path, notes)
            writer.write(functools.partial(save, result, one.target, carried))
    warn_of(ledger)
    for line in agreement_sentences(found):
        say(line)
    return unread, len(pairs)
