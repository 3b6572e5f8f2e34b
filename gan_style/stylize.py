"""The verbs `gan-style stylize` and `gan-style translate`."""

from __future__ import annotations

import contextlib
import functools
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from gan_style.checks import require_finite, require_whole
from gan_style.data.images import SUFFIXES, list_images, to_uint8
from gan_style.data.saving import holding, refuse_format, save_image
from gan_style.data.values import Array, ValueRange
from gan_style.errors import UserError
from gan_style.inference import RESULT, LoadedTranslator
from gan_style.loading import load
from gan_style.models.gatys import Gatys
from gan_style.overlapping import Writer, by_size, read_ahead
from gan_style.paths import expanded, printable
from gan_style.pictures_in import given_picture
from gan_style.terminal import say, warn
from gan_style.tiling.tiled import Watch
from gan_style.verbs import check_output, gatys, parse_style, refuse_method, refuse_overwriting, save

LONGEST_SIDE_OF_GATYS = 512  # in pixels, unless --size says otherwise: its cost grows with every pixel
LARGEST_SEED = 2**63 - 1


def stylize(parsed: Namespace) -> None:
    """One content picture in a mix of styles, by an optimisation or by a trained model."""
    content, output = expanded(parsed.content), expanded(parsed.output)
    check_output(output)
    require_whole("--every", parsed.every, 0)
    require_whole("--seed", parsed.seed, 0, LARGEST_SEED)
    options = style_options(parsed)
    if not options["style"]:
        raise UserError("no style was given: add --style IMAGE")
    refuse_overwriting([output], [content, *parsed.mask, *(style for style, _ in options["style"])])
    torch.manual_seed(parsed.seed)
    translator = translator_of(parsed)
    if isinstance(translator.model, Gatys):
        options["size"] = LONGEST_SIDE_OF_GATYS if parsed.size is None else parsed.size
        options |= start_of(translator, translator.model, parsed)
    elif parsed.every:
        raise UserError("--every is for gatys, which comes to its picture in steps: leave it out")
    with progress_of(translator, output, parsed.every) as progress:
        picture = translator.translate(content, **options, **progress)
    save(picture, output)


def translate(parsed: Namespace) -> None:
    """A file, a folder or a video through a trained model; names and tree are kept.

    Raises:
        UserError: among others, at the end, if pictures could not be read; all others are done by then.
    """
    source, target = expanded(parsed.input), expanded(parsed.output)
    options = style_options(parsed) | tile_options(parsed)
    from gan_style.video import verb  # which uses this module

    if verb.is_video(source, target) or parsed.smooth not in (None, "off"):
        verb.moving(parsed, source, target, options)
        return
    if parsed.window is not None:
        raise UserError("--window is how far --smooth norm or flow reaches: add --smooth, or leave it out")
    pairs = inputs_and_outputs(source, target)
    read = [source, *parsed.mask, *(style for style, _ in options["style"] or ())]
    refuse_overwriting([target, *(result for _, result in pairs)], read)
    translator = trained(parsed)
    written = translator.written(parsed.direction, options["style"])
    if source.is_file():
        refuse_format(pairs[0][1], written.dtype, written.channels)
    pairs = renamed(pairs, written)
    left = [(path, result) for path, result in pairs if not (parsed.resume and result.is_file())]
    unread = translate_files(translator, left, parsed, options)
    there = f" ({len(pairs) - len(left)} were there)" if len(left) < len(pairs) else ""
    if unread and source.is_file():
        raise UserError(unread[0])
    if unread:
        for sentence in unread:
            warn(f"gan_style: {sentence}")
        done = len(pairs) - len(unread)
        raise UserError(f"{len(unread)} of {len(pairs)} pictures cannot be read, see above; {done} are in {target}")
    fast = ", by overlapping tiles that are blended: fast, not exact" if options["tile_mode"] == "fast" else ""
    say(f"{len(pairs)} {'picture' if len(pairs) == 1 else 'pictures'} into {target}{there}{fast}")


def trained(parsed: Namespace) -> LoadedTranslator:
    """The checkpoint of a `translate` command, to pass pictures as it says."""
    return load(
        parsed.checkpoint,
        device=parsed.device,
        precision=parsed.precision,
        channels_last=parsed.channels_last,
        compile=parsed.compile,
    )


def translate_files(
    translator: LoadedTranslator, pairs: list[tuple[Path, Path]], parsed: Namespace, options: dict[str, Any]
) -> list[str]:
    """Translate each file into its target; what is wrong with those that could not be read."""
    require_whole("--batch", parsed.batch, 1)
    batch = 1 if options["mask"] else parsed.batch  # a mask is of one picture
    unread = []

    def read(path: Path) -> Array:
        return translator.read(path, parsed.direction, options["style"])

    with progress_bars() as progress, Writer() as writer:
        task = progress.add_task("translating", total=len(pairs))
        translator.watch = watch_in(progress)
        for group in by_size(read_ahead(pairs, read, 2 * batch), batch):
            arrays = [one.array for one in group if one.array is not None]
            unread += [one.problem for one in group if one.problem]
            pictures = translator.translate_all(arrays, parsed.direction, **options) if arrays else []
            for one, picture in zip(group, pictures, strict=False):
                writer.write(functools.partial(save, picture, one.target, one.profile))
            progress.advance(task, len(group))
    return unread


def progress_bars() -> Progress:
    """Bars on the terminal, beside what a verb says; none in a file, where each would leave an empty line."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def watch_in(progress: Progress) -> Watch:
    """A second bar for the tiles of a picture; what a picture needs of the disk is said once."""
    task, said = progress.add_task("tiles", visible=False), set()

    def watch(done: int, total: int, sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            progress.console.print(Text(printable(f"gan_style: {sentence}")), soft_wrap=True)
        progress.update(task, completed=done, total=total, visible=done < total)

    return watch


def inputs_and_outputs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """The pictures to read, each with the one to write."""
    if source.is_dir():
        if target.suffix.lower() in SUFFIXES and not target.is_dir():
            raise UserError(f"{source} is a folder, so the output must be one too, not {target}")
        return [(path, target / path.relative_to(source)) for path in list_images(source)]
    if not source.is_file():
        raise UserError(f"there is no file or folder {source}")
    inside = target / source.name if target.is_dir() or not target.suffix else target
    check_output(inside)
    return [(source, inside)]


def renamed(pairs: list[tuple[Path, Path]], written: ValueRange) -> list[tuple[Path, Path]]:
    """The same, with outputs under a suffix that holds them; where two would meet, the old suffix stays before it."""
    outputs = [holding(result, written.dtype, written.channels) for _, result in pairs]
    met = Counter(outputs)
    return [
        (path, result.with_name(result.name + new.suffix) if met[new] > 1 and new != result else new)
        for (path, result), new in zip(pairs, outputs, strict=True)
    ]


def translator_of(parsed: Namespace) -> LoadedTranslator:
    """What a `stylize` command names: a checkpoint, or Gatys, which needs no training."""
    if not parsed.checkpoint:
        refuse_method(parsed, [])
        return gatys(parsed.weights, parsed.seed, parsed.set)
    translator = load(parsed.checkpoint)
    if not translator.model.takes_style:
        raise UserError(f"{parsed.checkpoint} takes no style pictures: use gan-style translate {parsed.checkpoint}")
    refuse_method(parsed, [translator])
    return translator


def start_of(translator: LoadedTranslator, model: Gatys, parsed: Namespace) -> dict[str, Any]:
    """The style picture, where the descent is to begin with it."""
    if model.start != "style":
        return {}
    paths = [expanded(parse_style(word)[0]) for word in parsed.style]
    if len(paths) != 1 or not paths[0].is_file():
        raise UserError("model.start=style begins with one style picture: give one file, or take content or noise")
    return {"start": given_picture(paths[0]).images.to(translator.device)}


@contextlib.contextmanager
def progress_of(translator: LoadedTranslator, output: Path, every: int) -> Iterator[dict[str, Any]]:
    """What makes an optimisation show its progress, and save what it has every so many steps."""
    if not isinstance(translator.model, Gatys):
        yield {}
        return
    with progress_bars() as progress:
        task = progress.add_task("stylising")

        def step(done: int, total: int, terms: dict[str, float], picture: torch.Tensor) -> None:
            values = "  ".join(f"{name} {value:.4g}" for name, value in terms.items())
            progress.update(task, completed=done, total=total, description=values)
            require_finite(picture, RESULT)
            if every and done % every == 0:
                save_image(to_uint8(picture)[0], output.with_name(f"{output.stem}-{done:05d}{output.suffix}"))

        yield {"progress": step}


def style_options(parsed: Namespace) -> dict[str, Any]:
    """The words of the command that `LoadedTranslator.translate` takes."""
    return {
        "style": [parse_style(word) for word in parsed.style] or None,
        "alpha": parsed.alpha,
        "preserve_color": parsed.preserve_color,
        "mask": parsed.mask or None,
        "size": parsed.size,
    }


def tile_options(parsed: Namespace) -> dict[str, Any]:
    """The same of tiles."""
    return {"tile": int(parsed.tile) if parsed.tile.isdecimal() else parsed.tile, "tile_mode": parsed.tile_mode}
