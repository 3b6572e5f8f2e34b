"""Videos and folders of frames in `gan-style translate`."""

from __future__ import annotations

import itertools
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_style.data.images import to_tensor, to_uint8
from gan_style.data.saving import save_image
from gan_style.data.values import ValueRange
from gan_style.errors import UserError
from gan_style.inference import LoadedTranslator
from gan_style.pictures_in import given_picture
from gan_style.stylize import inputs_and_outputs, progress_bars, renamed, trained, watch_in
from gan_style.terminal import say, warn
from gan_style.verbs import refuse_overwriting
from gan_style.video.flicker import Flicker, FlickerSample
from gan_style.video.reading import SUFFIXES, Frame, VideoReader, pyav
from gan_style.video.smoothing import smoother
from gan_style.video.writing import CONTAINERS, VideoWriter, refuse_container

SMOOTH = "flow"  # for videos, unless --smooth says otherwise (experiments/2026-11-25-video)


class Translated(NamedTuple):
    """What a run did."""

    frames: int
    flicker: Flicker | None  # None without smoothing
    unread: list[str]  # a sentence for each thing that could not be read; the rest was


def is_video(source: Path, target: Path) -> bool:
    """Whether a command is about a video, by the names of its files."""
    return any(path.suffix.lower() in SUFFIXES and not path.is_dir() for path in (source, target))


def translate_video(
    translator: LoadedTranslator,
    source: Path,
    target: Path,
    *,
    direction: str | None = None,
    smooth: str = SMOOTH,
    window: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Translated:
    """A video, frame by frame, with its sound, times and length; in memory a few frames at a time.

    Args:
        translator: of `gan_style.load`; of ordinary RGB pictures.
        source: anything that FFmpeg reads as H.264, MPEG, VP9, ... in a usual container.
        target: `.mp4`, `.m4v`, `.mov` or `.mkv`; appears when it is complete.
        direction: as `LoadedTranslator.translate`.
        smooth: `off`, `norm` or `flow` (see gan_style/video/smoothing.py).
        window: frames that smoothing reaches over, at least 2; None is 4 for `flow` and 12 for `norm`.
        progress: called with (frames done, frames in all or 0 where nobody knows), in the caller's thread.
        **options: of `LoadedTranslator.translate`: style, alpha, preserve_color, mask, size.

    Raises:
        UserError: PyAV is missing, the source is no video, the target no container for it, or a word does not fit.
    """
    refuse_container(target)
    with VideoReader(source) as reader:
        convert, sample = _converter(translator, reader.expected, direction, smooth, window, progress, options)

        def converted(item: Any) -> Any:
            return item._replace(picture=convert(item.picture)) if isinstance(item, Frame) else item

        with VideoWriter(target, reader) as writer:
            pipeline(reader.items(), converted, writer.write)
    return Translated(writer.frames, sample.found if sample else None, [reader.unread] if reader.unread else [])


def translate_frames(
    translator: LoadedTranslator,
    pairs: Sequence[tuple[Path, Path]],
    *,
    direction: str | None = None,
    smooth: str = SMOOTH,
    window: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Translated:
    """Pictures that follow each other in time, as `translate_video`; what cannot be read is left out.

    Args:
        pairs: files to read, in their order, each with the one to write.
    """
    convert, sample = _converter(translator, len(pairs), direction, smooth, window, progress, options)
    unread: list[str] = []

    def pictures() -> Iterator[tuple[Any, Path]]:
        for path, result in pairs:
            try:
                yield translator.read(path, direction, options.get("style")), result
            except UserError as error:
                unread.append(str(error))

    pipeline(pictures(), lambda item: (convert(item[0]), item[1]), lambda item: save_image(*item))
    return Translated(len(pairs) - len(unread), sample.found if sample else None, unread)


def pipeline(items: Iterator[Any], convert: Callable[[Any], Any], write: Callable[[Any], None]) -> None:
    """Reads one item ahead and writes one behind, each in a thread of its own, while another is converted."""
    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        ahead = reading.submit(next, items, None)
        behind: Future[None] | None = None
        while (item := ahead.result()) is not None:
            ahead = reading.submit(next, items, None)
            made = convert(item)
            if behind:
                behind.result()
            behind = writing.submit(write, made)
        if behind:
            behind.result()


def moving(parsed: Namespace, source: Path, target: Path, options: dict[str, Any]) -> None:
    """`gan-style translate` where its input is a video, or a folder of frames to be smoothed.

    Raises:
        UserError: among others, at the end, if something could not be read; the rest is done by then.
    """
    if parsed.resume or parsed.batch != 1:
        raise UserError(
            "--resume and --batch are for single pictures: leave them out for frames that follow each other"
        )
    video, smooth = is_video(source, target), parsed.smooth or SMOOTH
    pairs = [(source, _output(source, target))] if video else _frames(source, target)
    read = [source, *parsed.mask, *(style for style, _ in options["style"] or ())]
    refuse_overwriting([target, *(result for _, result in pairs)], read)
    translator = trained(parsed)
    with progress_bars() as progress:
        translator.watch = watch_in(progress)
        task = progress.add_task("translating", total=None)
        words = {
            "direction": parsed.direction,
            "smooth": smooth,
            "window": parsed.window,
            "progress": lambda done, total: progress.update(task, completed=done, total=total or None),
            **options,
        }
        if video:
            done = translate_video(translator, *pairs[0], **words)
        else:
            done = translate_frames(
                translator, renamed(pairs, translator.written(parsed.direction, options["style"])), **words
            )
    say(f"{done.frames} frames into {pairs[0][1] if video else target}")
    for line in done.flicker.sentences(smooth) if done.flicker else ():
        say(line)
    if video and done.unread:
        raise UserError(f"{done.unread[0]}; these are in {pairs[0][1]}")
    if done.unread:
        for sentence in done.unread:
            warn(f"gan_style: {sentence}")
        lost = f"{len(done.unread)} of {len(pairs)} frames cannot be read, see above"
        raise UserError(f"{lost}; {done.frames} are in {target}")


def _output(source: Path, target: Path) -> Path:
    """The video to write; into a folder under the name of the source."""
    pyav()
    if source.is_dir():
        raise UserError(f"{source} is a folder, so the output must be one too, not {target}")
    if not source.is_file():
        raise UserError(f"there is no file or folder {source}")
    if target.is_dir() or not target.suffix:
        name = source.name if source.suffix.lower() in CONTAINERS else f"{source.stem}.mp4"
        target = target / name
    refuse_container(target)
    return target


def _frames(source: Path, target: Path) -> list[tuple[Path, Path]]:
    if source.is_file():
        raise UserError(f"--smooth is for videos and folders of frames, not for one picture, {source}: leave it out")
    return inputs_and_outputs(source, target)


def _converter(
    translator: LoadedTranslator,
    expected: int,
    direction: str | None,
    smooth: str,
    window: int | None,
    progress: Callable[[int, int], None] | None,
    options: dict[str, Any],
) -> tuple[Callable[[Any], Any], FlickerSample | None]:
    """What makes a picture of a frame, both uint8 [H, W, 3], and what of its flicker is noted."""
    letters = translator.ends(direction, options.get("style"))
    for values in ((translator.values or {}).get(letter, ValueRange()) for letter in letters):
        if not values.plain:
            what = f"{values.dtype} pictures of {values.channels} channel{'s' * (values.channels > 1)}"
            raise UserError(f"frames are 8-bit RGB, but this model is of {what}: translate them as single pictures")

    def translate(frame: Tensor) -> Tensor:
        output: Tensor = translator.translate(frame, direction, **options)
        return output

    tile = options.get("tile")
    if smooth == "norm":
        if tile not in ("auto", "off", None):
            raise UserError(
                "--smooth norm sees whole frames and goes with no tiles: leave --tile out, or take --smooth flow"
            )
        options = options | {"tile": None}  # one layer, one call a frame: its memory is of the whole frame
    # Shortened first, so that smoothing sees what is translated; masks are given for the whole frame.
    side = None if options.get("mask") else options.get("size")
    smoothed = smoother(smooth, translate, translator.model, window)
    sample = FlickerSample(smoothed, expected) if smooth != "off" else None

    counter = itertools.count(1)

    @torch.no_grad()
    def convert(picture: Any) -> Any:
        frame = given_picture(to_tensor(picture), side=side).images
        output = to_uint8((sample or smoothed)(frame))[0]
        if progress:
            progress(next(counter), expected)
        return output

    return convert, sample
