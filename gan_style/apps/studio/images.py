"""Pictures of the page: bounds of uploads, samples, painted regions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from gan_style.core.errors import UserError
from gan_style.data.images import read_image
from gan_style.data.opened import named_bytes, open_bytes
from gan_style.data.saving import save_image
from gan_style.data.scenes import draw_scene

MAX_BYTES = 50_000_000
MAX_PIXELS = 50_000_000  # a picture of a large camera
COLOURS = ("#1f6fb4", "#d1661b", "#1c8a64", "#a5408f")  # one for each style, also of the brush
SAMPLES = {"A": (3, 7, 12, 16, 21), "B": (30, 34, 41, 45, 52)}  # scenes of four times of day
SAMPLE_SIZE = 384


def check_upload(path: Path) -> Path:
    """Check the size and the header of a picture, and return its path.

    Raises:
        UserError: it is too large or no picture.
    """
    check_bytes(path)
    width, height = size_of(path)
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{path.name} has {width}x{height} pixels, and {MAX_PIXELS / 1e6:.0f} million are allowed: shrink it first"
        )
    return path


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of a picture file, by its header.

    Raises:
        UserError: it is no picture.
    """
    with named_bytes(path) as data:
        return open_bytes(data).size


def check_video(path: Path) -> Path:
    """Check the size and the header of a video, and return its path.

    Raises:
        UserError: it is too large, or no video, or its frames have more pixels than any picture may have.
    """
    from gan_style.inference.video.reading import VideoReader  # PyAV is an extra of its own

    check_bytes(path)
    with VideoReader(path):
        return path


def check_bytes(path: Path) -> None:
    """Raise a UserError if a file is larger than an upload may be."""
    found = path.stat().st_size
    if found > MAX_BYTES:
        allowed = f"{MAX_BYTES / 1e6:.0f} MB are allowed"
        raise UserError(f"{path.name} has {found / 1e6:.0f} MB, and {allowed}: save it smaller")


def shown(path: Path, side: int) -> NDArray[np.uint8]:
    """Read a picture for the page, [H, W, 3] uint8 with a longer side of at most `side`."""
    image = Image.fromarray(read_image(path))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def draw_samples(folder: Path, domain: str) -> list[Path]:
    """Draw some scenes as files: photos for "A", paintings for "B"."""
    name = {"A": "scene", "B": "painting"}[domain]
    paths = [folder / f"{name}-{number}.png" for number in range(1, len(SAMPLES[domain]) + 1)]
    for path, index in zip(paths, SAMPLES[domain], strict=True):
        save_image(draw_scene(0, index, SAMPLE_SIZE, domain), path)
    return paths


def painted_regions(layers: Sequence[Any], size: tuple[int, int]) -> list[Image.Image | None] | None:
    """Split a painting by the colours of the styles into masks.

    Args:
        layers: RGBA pictures [h, w, 4] uint8, the lowest first; a later stroke covers an earlier one.
        size: width and height of the masks.

    Returns: for each of COLOURS a grey picture, white where the style holds, or None where nothing has its colour;
        None where nothing is painted at all.
    """
    strokes = [layer for layer in layers if layer is not None and np.asarray(layer)[..., 3].any()]
    if not strokes:
        return None
    paint = Image.fromarray(np.asarray(strokes[0]))
    for layer in strokes[1:]:
        paint = Image.alpha_composite(paint, Image.fromarray(np.asarray(layer)))
    rgba = np.asarray(paint).astype(np.int32)
    palette = np.array([ImageColor.getrgb(colour) for colour in COLOURS], np.int32)
    distances = [((rgba[..., :3] - colour) ** 2).sum(axis=-1, dtype=np.int32) for colour in palette]
    nearest = np.argmin(distances, axis=0)
    masks = [np.where(nearest == number, rgba[..., 3], 0).astype(np.uint8) for number in range(len(COLOURS))]
    resized = [Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR) for mask in masks]
    return [image if mask.any() else None for image, mask in zip(resized, masks, strict=True)]
