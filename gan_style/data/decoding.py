"""Pixels of one picture file, or a sentence that says what is wrong with it.

Pillow decodes, because it reports a file that is cut off (OpenCV returns it half grey) and is silent about
harmless flaws (OpenCV's libjpeg and libpng print them). OpenCV reads only what Pillow cuts down to 8 bits:
colour with 16 bits per channel.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_style.core.errors import ContentError
from gan_style.data.opened import EXTRA_SAMPLES, PHOTOMETRIC, WIDE, OpenedImage, explained

TIFF_WHITE_IS_ZERO, TIFF_PREMULTIPLIED = 0, 1

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def verify(opened: OpenedImage) -> None:
    """Decode a picture without keeping its pixels; a JPEG at one eighth of its size.

    Raises:
        ContentError: If the picture is damaged or `decode` does not support it.
    """
    _check_white_point(opened)
    with explained(opened.kind, opened.cut):
        opened.image.draft(None, (opened.image.width // 8, opened.image.height // 8))
        opened.image.load()


def decode(opened: OpenedImage) -> NDArray[np.uint8]:
    """Decode a picture as 8-bit RGB.

    Returns:
        RGB [H, W, 3], uint8; not to be written to.

    Raises:
        ContentError: If the picture is damaged or has no fixed range.
    """
    pixels = decode_raw(opened)
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return pixels
    white = 255 if pixels.dtype == np.uint8 else 2**opened.bits - 1
    if pixels.shape[2] in (2, 4):
        pixels = composite(pixels, white)
    if white != 255:
        pixels = ((pixels.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def decode_raw(opened: OpenedImage) -> NDArray[Any]:
    """Decode a picture as it is: grey, grey with alpha, RGB or RGBA; a palette is looked up.

    Returns:
        [H, W, C] with C from 1 to 4, uint8 or, for more than 8 bits per channel, uint16.

    Raises:
        ContentError: As `decode`.
    """
    _check_white_point(opened)
    with explained(opened.kind, opened.cut):
        opened.image.load()
        pixels = _decode_wide(opened) if opened.bits > 8 else None
        return turn(_decode_narrow(opened) if pixels is None else pixels, opened.pending_orientation)


def _check_white_point(opened: OpenedImage) -> None:
    """Raise a ContentError for floats and 32-bit integers, whose white point is unknown, and for more than 16 bits."""
    mode = opened.image.mode
    if mode == "F" or (mode == "I" and opened.kind != "PNG"):
        values = "floating-point" if mode == "F" else "signed or 32-bit"
        raise ContentError(
            f"holds {values} values, whose white point is unknown: save it with 8 or 16 bits per channel."
        )
    if opened.bits > 16:
        raise ContentError(f"is a damaged {opened.kind} file ({opened.bits} bits): copy it again.")


def _decode_narrow(opened: OpenedImage) -> NDArray[np.uint8]:
    """Decode 8 bits per channel by Pillow, [H, W, C]."""
    image: Image.Image = opened.image
    grey = image.mode in ("1", "L", "LA")
    wanted = ("LA" if grey else "RGBA") if opened.has_alpha else ("L" if grey else "RGB")
    pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _decode_wide(opened: OpenedImage) -> NDArray[np.uint16] | None:
    """Decode 9 to 16 bits per channel, [H, W, C]; None where Pillow's upper 8 bits must do."""
    image, white = opened.image, 2**opened.bits - 1
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.uint16)[..., None]
        if opened.kind == "JPEG 2000":  # whose grey Pillow scales up to 16 bits
            grey = (grey >> (16 - opened.bits)).astype(np.uint16)
        alpha = [np.where(grey == image.info["transparency"], 0, white)] if "transparency" in image.info else []
        if tags.get(PHOTOMETRIC) == TIFF_WHITE_IS_ZERO:
            grey = white - grey
        return np.concatenate([grey, *alpha], axis=2).astype(np.uint16)
    premultiplied = TIFF_PREMULTIPLIED in tags.get(EXTRA_SAMPLES, ())
    if opened.kind not in WIDE or not image.mode.startswith(("RGB", "LA")) or premultiplied:
        return None
    pixels = cv2.imdecode(np.frombuffer(opened.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        return None
    has_alpha = opened.has_alpha and pixels.shape[2] == 4
    return np.concatenate([pixels[..., 2::-1], *([pixels[..., 3:]] if has_alpha else [])], axis=2)


def composite(pixels: NDArray[Any], white: int) -> NDArray[Any]:
    """Composite [H, W, C] with alpha, its last channel, over white, rounded to nearest: [H, W, C - 1], same type.

    Args:
        pixels: Values in [0, white], not premultiplied.
        white: At most 65535, for which the arithmetic below still fits into 32 bits.
    """
    colour, opacity = pixels[..., :-1].astype(np.uint32), pixels[..., -1:].astype(np.uint32)
    return ((colour * opacity + white * (white - opacity) + white // 2) // white).astype(pixels.dtype)


def turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation to [H, W, C]."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
