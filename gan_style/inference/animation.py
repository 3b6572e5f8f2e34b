"""Animated GIF, WebP and PNG files: their frames, and the same frames translated with their times and loop."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from gan_style.core.budget import check_pixels
from gan_style.core.errors import ContentError, UserError
from gan_style.core.memory import raise_if_out
from gan_style.core.paths import why
from gan_style.data.containers import sniff
from gan_style.data.decoding import composite, turn
from gan_style.data.ledger import Note
from gan_style.data.opened import READERS, open_bytes

KINDS = ("GIF", "WebP", "PNG")
OPTIONS: dict[str, dict[str, Any]] = {
    ".gif": {"format": "GIF"},
    ".webp": {"format": "WEBP", "lossless": True},
    ".png": {"format": "PNG", "compress_level": 1},
}
FEWER_COLOURS = Note("at most 256 colours a picture, as .gif holds them", "write .webp or .png to keep all")


@dataclass(frozen=True)
class Animation:
    """Frames of a file, each complete.

    Attributes:
        frames: RGB uint8 [H, W, 3] each, transparency laid over white.
        durations: of each, in milliseconds.
        loop: how often it is shown, 0 without an end; None where the file does not say, which is once.
        profile: ICC profile.
    """

    frames: list[NDArray[np.uint8]]
    durations: list[int]
    loop: int | None
    profile: bytes | None = None


def animation(data: bytes, target: Path) -> Animation | None:
    """Read the frames of an animated file whose translation can be one, too.

    Args:
        data: of the file.
        target: the file to write.

    Returns: None where the file has one frame, or one of the formats has no animations.

    Raises:
        ContentError: a frame is damaged, or all together are too large.
    """
    if target.suffix.lower() not in OPTIONS or sniff(data) not in KINDS:
        return None
    try:
        image: Any = READERS[sniff(data)](BytesIO(data))
        count = int(getattr(image, "n_frames", 1))
        if count < 2:
            return None
        check_pixels(image.width, image.height, count)
        loop, frames, durations = image.info.get("loop"), [], []
        orientation, profile = open_bytes(data).pending_orientation, image.info.get("icc_profile")
        still = bool(image.info.get("default_image"))  # of an APNG, shown where animations are not
        for number, frame in enumerate(ImageSequence.Iterator(image)):
            if number or not still:
                frames.append(turn(composite(np.asarray(frame.convert("RGBA")), 255), orientation))
                durations.append(int(frame.info.get("duration", 0)))
    except UserError:
        raise
    except Exception as error:  # a broken file can raise nearly anything in a decoder
        raise_if_out(error)
        raise ContentError("has a damaged frame: copy it again, or remove it") from error
    return Animation(frames, durations, loop, profile)


def save_animation(frames: list[NDArray[np.uint8]], like: Animation, path: Path) -> None:
    """Write frames, RGB uint8 [H, W, 3] each, with the times and the loop of another animation.

    Raises:
        UserError: the file cannot be written.
    """
    first, *others = [Image.fromarray(frame) for frame in frames]
    options = dict(OPTIONS[path.suffix.lower()])
    if like.loop is not None or path.suffix.lower() != ".gif":  # a GIF that says nothing is shown once
        options["loop"] = 1 if like.loop is None else like.loop
    if like.profile and path.suffix.lower() != ".gif":
        options["icc_profile"] = like.profile
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        first.save(temporary, save_all=True, append_images=others, duration=like.durations, **options)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path} cannot be saved ({why(error)}): check the disk and its rights.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
