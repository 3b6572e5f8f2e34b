"""The verb `gan-style translate`."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gan_style.cli.arguments import parse_style, style_options
from gan_style.cli.noted import warn_of
from gan_style.cli.progress import watch_in
from gan_style.cli.translate_stereo import stereo
from gan_style.cli.translate_video import moving
from gan_style.core.checks import require_whole
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.core.progress import progress_bars
from gan_style.core.terminal import say, warn
from gan_style.data.ledger import Ledger
from gan_style.data.saving import check_format, check_not_overwriting, save
from gan_style.inference.animation import save_animation
from gan_style.inference.files import (
    Writer,
    by_size,
    inputs_and_outputs,
    notes_of_animation,
    read_ahead,
    renamed,
    result_of,
)
from gan_style.inference.load import load
from gan_style.inference.translator import LoadedTranslator
from gan_style.inference.video.reading import SUFFIXES


def translate(parsed: Namespace) -> None:
    """Translate a file, a folder or a video by a trained model; names and tree are kept.

    Raises:
        UserError: among others, at the end, if pictures could not be read; all others are done by then.
    """
    source, target = expanded(parsed.input), expanded(parsed.output)
    styles = [parse_style(text) for text in parsed.style]
    options = style_options(styles, parsed.alpha, parsed.preserve_color, parsed.mask, parsed.size, parsed.wrap)
    options |= tile_options(parsed.tile, parsed.tile_mode) | {"seed": parsed.seed}
    passes = {name: getattr(parsed, name) for name in ("device", "precision", "channels_last", "compile", "engine")}
    model = functools.partial(load, parsed.checkpoint, **passes, allow=parsed.allow)
    explain = None if parsed.explain is None else expanded(parsed.explain)
    if explain is not None:
        refuse_explaining(explain, styled=bool(styles), tile_mode=parsed.tile_mode)
    if parsed.stereo:
        refuse_beside_stereo(parsed)
        translate_eyes(functools.partial(stereo, model, source, target, parsed.direction, **options), source, target)
        return
    video = any(path.suffix.lower() in SUFFIXES and not path.is_dir() for path in (source, target))
    if video or parsed.smooth not in (None, "off"):
        if parsed.resume or parsed.batch != 1 or explain:
            raise UserError(
                "--resume, --batch and --explain are for single pictures: leave them out for frames that follow each "
                "other"
            )
        moving(
            model, source, target, parsed.direction, video=video, smooth=parsed.smooth, window=parsed.window, **options
        )
        return
    if parsed.window is not None:
        raise UserError("--window is how far --smooth norm or flow reaches: add --smooth, or leave it out")
    ledger = Ledger()
    pairs = inputs_and_outputs(source, target, ledger)
    read = [source, *(options["mask"] or ()), *(style for style, _ in options["style"] or ())]
    check_not_overwriting([target, *(result for _, result in pairs)], read)
    translator = model()
    written = translator.written(parsed.direction, options["style"])
    if source.is_file():
        check_format(pairs[0][1], written.dtype, written.channels)
    pairs = renamed(pairs, written)
    maps = {} if explain is None else maps_of(translator, pairs, source, target, explain, parsed.direction)
    check_not_overwriting(maps.values(), read)
    done_before = {path for path, result in pairs if result.is_file() and maps.get(result, result).is_file()}
    left = [(path, result) for path, result in pairs if not (parsed.resume and path in done_before)]
    translator.notes = ledger
    unread = translate_files(translator, left, parsed.direction, parsed.batch, maps, **options)
    warn_of(ledger)
    there = f" ({len(pairs) - len(left)} were there)" if len(left) < len(pairs) else ""
    raise_unread(unread, len(pairs), source, target)
    fast = ", by overlapping tiles that are blended: fast, not exact" if options["tile_mode"] == "fast" else ""
    shown = f", what each place meant into {explain}" if explain else ""
    say(f"{len(pairs)} {'picture' if len(pairs) == 1 else 'pictures'} into {target}{there}{fast}{shown}")


def translate_eyes(work: Callable[[], tuple[list[str], int]], source: Path, target: Path) -> None:
    """Translate pairs of eyes, and say what came of it."""
    unread, total = work()
    raise_unread(unread, total, source, target)
    say(f"{total} pair{'s' * (total != 1)} of eyes into {target}")


def refuse_beside_stereo(parsed: Namespace) -> None:
    """Raise a UserError for an option that pairs of eyes do not have."""
    given = {
        "--mask": parsed.mask,
        "--explain": parsed.explain,
        "--resume": parsed.resume,
        "--batch": parsed.batch != 1,
        "--smooth": parsed.smooth,
        "--window": parsed.window,
    }
    for option, value in given.items():
        if value:
            raise UserError(
                f"{option} is not for --stereo, which takes pictures of two eyes side by side: leave it out"
            )
    for path in (parsed.input, parsed.output):
        if expanded(path).suffix.lower() in SUFFIXES and not expanded(path).is_dir():
            raise UserError(f"--stereo is for pictures of two eyes side by side, and {path} is a video: leave it out")


def raise_unread(unread: list[str], total: int, source: Path, target: Path) -> None:
    """Raise a UserError where pictures could not be read, after a line for each."""
    if unread and source.is_file():
        raise UserError(unread[0])
    if unread:
        for sentence in unread:
            warn(f"gan_style: {sentence}")
        raise UserError(
            f"{len(unread)} of {total} pictures cannot be read, see above; {total - len(unread)} are in {target}"
        )


def refuse_explaining(folder: Path, *, styled: bool, tile_mode: str | None) -> None:
    """Raise a UserError where a map of places would not be that of the translation, or cannot be written."""
    if styled:
        raise UserError("--explain shows one direction: name it by --direction, and leave --style out")
    if tile_mode == "fast":
        raise UserError(
            "--explain shows the whole picture, and --tile-mode fast translates each tile for itself: take exact"
        )
    if folder.is_file():
        raise UserError(f"--explain wants a folder, and {folder} is a file: name another one")


def maps_of(
    translator: LoadedTranslator,
    pairs: list[tuple[Path, Path]],
    source: Path,
    target: Path,
    folder: Path,
    direction: str | None,
) -> dict[Path, Path]:
    """Return for each translation where the map of its places is written, by the same name in another folder.

    Raises:
        UserError: the method explains nothing, or the folder is that of the translations.
    """
    translator.require_explains(direction)
    maps = {result: folder / (result.relative_to(target) if source.is_dir() else result.name) for _, result in pairs}
    if {path.resolve() for path in maps} & {path.resolve() for path in maps.values()}:
        raise UserError(f"--explain {folder} would overwrite the translations: name another folder")
    return maps


def translate_files(
    translator: LoadedTranslator,
    pairs: list[tuple[Path, Path]],
    direction: str | None,
    batch: int,
    maps: Mapping[Path, Path] | None = None,
    **options: Any,
) -> list[str]:
    """Translate each file into its target, and return sentences about those that could not be read.

    Args:
        pairs: a file and its target each.
        direction: "A2B" or "B2A"; None is the model's first.
        batch: pictures of one size in a pass, at most.
        maps: of a target, where what each place meant to it is drawn; None draws nothing.
        **options: of `LoadedTranslator.translate_all`.
    """
    require_whole("--batch", batch, 1)
    batch = 1 if options["mask"] else batch  # a mask is of one picture
    unread = []
    values = translator.taken(direction, options["style"])
    with progress_bars() as progress, Writer() as writer:
        task = progress.add_task("translating", total=len(pairs))
        translator.watch = watch_in(progress)
        for group in by_size(read_ahead(pairs, values, 2 * batch), batch):
            if (moving := group[0].animation) and not maps:
                frames = [translator.translate_all([frame], direction, **options)[0] for frame in moving.frames]
                translator.notes.add(group[0].path, notes_of_animation(group[0]))
                writer.write(functools.partial(save_animation, frames, moving, group[0].target))
                progress.advance(task)
                continue
            arrays = [one.array for one in group if one.array is not None]
            unread += [one.problem for one in group if one.problem]
            images = translator.translate_all(arrays, direction, **options) if arrays else []
            for one, image in zip(group, images, strict=False):
                result, carried, notes = result_of(image, one)
                translator.notes.add(one.path, notes)
                writer.write(functools.partial(save, result, one.target, carried))
                if maps and one.array is not None:
                    own = {name: options[name] for name in ("size", "tile", "wrap")}
                    heat = translator.explain(one.array, direction, overlay=True, **own)
                    writer.write(functools.partial(save, heat, maps[one.target]))
            progress.advance(task, len(group))
    return unread


def tile_options(tile: str, mode: str) -> dict[str, Any]:
    """Return the arguments of `LoadedTranslator.translate` for --tile and --tile-mode."""
    return {"tile": int(tile) if tile.isdecimal() else tile, "tile_mode": mode}
