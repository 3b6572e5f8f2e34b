"""Videos and folders of frames in `gan-style translate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_style.cli.noted import warn_of
from gan_style.cli.progress import watch_in
from gan_style.core.errors import UserError
from gan_style.core.paths import absent
from gan_style.core.progress import progress_bars
from gan_style.core.terminal import say, warn
from gan_style.data.ledger import Ledger
from gan_style.data.saving import check_not_overwriting
from gan_style.inference.files import inputs_and_outputs, renamed
from gan_style.inference.translator import LoadedTranslator
from gan_style.inference.video.reading import pyav
from gan_style.inference.video.translate import SMOOTH, translate_frames, translate_video
from gan_style.inference.video.writing import CONTAINERS, check_container


def moving(
    model: Callable[[], LoadedTranslator],
    source: Path,
    target: Path,
    direction: str | None,
    *,
    video: bool,
    smooth: str | None,
    window: int | None,
    **options: Any,
) -> None:
    """Translate a video, or a folder of frames to be smoothed.

    Args:
        model: loads the model; called after the paths are checked.
        source, target: files or folders.
        direction: "A2B" or "B2A"; None is the model's first.
        video: whether one of them is a video.
        smooth, window: against flicker, see `translate_video`.
        **options: of `LoadedTranslator.translate`.

    Raises:
        UserError: among others, at the end, if something could not be read; the rest is done by then.
    """
    smooth = smooth or SMOOTH
    ledger = Ledger()
    pairs = [(source, _output(source, target))] if video else _frames(source, target, ledger)
    read = [source, *(options["mask"] or ()), *(style for style, _ in options["style"] or ())]
    check_not_overwriting([target, *(result for _, result in pairs)], read)
    translator = model()
    translator.notes = ledger
    with progress_bars() as progress:
        translator.watch = watch_in(progress)
        task = progress.add_task("translating", total=None)
        arguments = {
            "direction": direction,
            "smooth": smooth,
            "window": window,
            "progress": lambda done, total: progress.update(task, completed=done, total=total or None),
            **options,
        }
        if video:
            done = translate_video(translator, *pairs[0], **arguments)
        else:
            done = translate_frames(
                translator, renamed(pairs, translator.written(direction, options["style"])), **arguments
            )
    warn_of(ledger)
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
    """Return the path of the video to write; into a folder under the name of the source."""
    pyav()
    if source.is_dir():
        raise UserError(f"{source} is a folder, so the output must be one too, not {target}")
    if not source.is_file():
        raise UserError(f"there is no file or folder {absent(source)}")
    if target.is_dir() or not target.suffix:
        name = source.name if source.suffix.lower() in CONTAINERS else f"{source.stem}.mp4"
        target = target / name
    check_container(target)
    return target


def _frames(source: Path, target: Path, ledger: Ledger) -> list[tuple[Path, Path]]:
    if source.is_file():
        raise UserError(f"--smooth is for videos and folders of frames, not for one picture, {source}: leave it out")
    return inputs_and_outputs(source, target, ledger)
