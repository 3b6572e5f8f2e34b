"""Translation of videos and folders of frames, for `gan-style translate`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.data.images import to_tensor, to_uint8
from gan_style.data.saving import save_image
from gan_style.data.values import ValueRange
from gan_style.inference.images import given_image
from gan_style.inference.translator import LoadedTranslator
from gan_style.inference.video.flicker import Flicker, FlickerSample
from gan_style.inference.video.reading import Frame, VideoReader
from gan_style.inference.video.smoothing import smoother
from gan_style.inference.video.writing import VideoWriter, check_container

SMOOTH = "flow"  # for videos, unless --smooth says otherwise (experiments/2026-11-25-video)


class Translated(NamedTuple):
    """Result of a run."""

    frames: int
    flicker: Flicker | None  # None without smoothing
    unread: list[str]  # a sentence for each file, or part of one, that could not be read


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
    """Translate a video frame by frame and keep its audio, times and length; in memory a few frames at a time.

    Args:
        translator: of `gan_style.load`; of ordinary RGB pictures.
        source: anything that FFmpeg reads as H.264, MPEG, VP9, ... in a usual container.
        target: `.mp4`, `.m4v`, `.mov` or `.mkv`; appears when it is complete.
        direction: as `LoadedTranslator.translate`.
        smooth: `off`, `norm` or `flow` (see gan_style/inference/video/smoothing.py).
        window: frames that smoothing covers, at least 2; None is 4 for `flow` and 12 for `norm`.
        progress: called with (frames done, frames in all or 0 where it is not known), in the caller's thread.
        **options: of `LoadedTranslator.translate`: style, alpha, preserve_color, mask, size.

    Raises:
        UserError: PyAV is missing, the source is no video, the target no container for it, or an argument is invalid.
    """
    check_container(target)
    with VideoReader(source) as reader:
        convert, sample = _converter(translator, reader.expected, direction, smooth, window, progress, options)

        def converted(item: Any) -> Any:
            return item._replace(image=convert(item.image)) if isinstance(item, Frame) else item

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
    """Translate pictures that follow each other in time, as `translate_video`; unreadable ones are left out.

    Args:
        pairs: files to read, in their order, each with the one to write.
    """
    convert, sample = _converter(translator, len(pairs), direction, smooth, window, progress, options)
    unread: list[str] = []

    def images() -> Iterator[tuple[Any, Path]]:
        for path, result in pairs:
            try:
                yield translator.read(path, direction, options.get("style")), result
            except UserError as error:
                unread.append(str(error))

    pipeline(images(), lambda item: (convert(item[0]), item[1]), lambda item: save_image(*item))
    return Translated(len(pairs) - len(unread), sample.found if sample else None, unread)


def pipeline(items: Iterator[Any], convert: Callable[[Any], Any], write: Callable[[Any], None]) -> None:
    """Convert items one by one, while a thread reads the next one and another writes the last one."""
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


def require_bytes(translator: LoadedTranslator, direction: str | None, style: Any) -> None:
    """Raise a UserError unless a translation is from and to 8-bit RGB, as frames are."""
    for values in ((translator.values or {}).get(letter, ValueRange()) for letter in translator.ends(direction, style)):
        if not values.plain:
            what = f"{values.dtype} pictures of {values.channels} channel{'s' * (values.channels > 1)}"
            raise UserError(f"frames are 8-bit RGB, but this model is of {what}: translate them as single pictures")


def _converter(
    translator: LoadedTranslator,
    expected: int,
    direction: str | None,
    smooth: str,
    window: int | None,
    progress: Callable[[int, int], None] | None,
    options: dict[str, Any],
) -> tuple[Callable[[Any], Any], FlickerSample | None]:
    """Return the function that translates a frame, both uint8 [H, W, 3], and the sample of its flicker."""
    require_bytes(translator, direction, options.get("style"))

    def translate(frame: Tensor) -> Tensor:
        output: Tensor = translator.translate_all([frame], direction, **options)[0]
        return output

    tile = options.get("tile")
    if smooth == "norm":
        if tile not in ("auto", "off", None):
            raise UserError(
                "--smooth norm sees whole frames and goes with no tiles: leave --tile out, or take --smooth flow"
            )
        options = options | {"tile": None}  # each norm is called once a frame, for the whole frame
    # Resized first, so that the smoother works on the size that is translated; masks are given for the whole frame.
    side = None if options.get("mask") else options.get("size")
    if smooth == "norm":
        translator.require_layers("smooth=norm")
    smoothed = smoother(smooth, translate, translator.model, window)
    sample = FlickerSample(smoothed, expected) if smooth != "off" else None

    counter = itertools.count(1)

    @torch.no_grad()
    def convert(image: Any) -> Any:
        frame = given_image(to_tensor(image), side=side).images
        output = to_uint8((sample or smoothed)(frame))[0]
        if progress:
            progress(next(counter), expected)
        return output

    return convert, sample
