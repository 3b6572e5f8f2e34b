"""Decoding of one picture file to uint8 RGB, or to a sentence that says what is wrong with it.

Pillow decodes, because it reports a file that is cut off (OpenCV returns it half grey) and is silent about
harmless flaws (OpenCV's libjpeg and libpng print them). OpenCV reads only what Pillow cuts down to 8 bits:
colour with 16 bits per channel.
"""

import errno
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile, logger
from PIL.WebPImagePlugin import WebPImageFile

from gan_style.core.budget import check_pixels, too_large
from gan_style.core.errors import UserError
from gan_style.core.memory import raise_if_out
from gan_style.data.containers import (
    TruncatedError,
    damaged,
    exif_orientation,
    sniff,
    strip_jpeg,
    strip_png,
    tiff_is_cut,
)

READERS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
}
COLOUR_NAMES = {"1": "grey", "L": "grey", "LA": "grey", "I": "grey", "P": "palette", "PA": "palette"}
TIFF_WHITE_IS_ZERO, TIFF_PREMULTIPLIED = 0, 1
_BITS, _PHOTOMETRIC, _ORIENTATION, _EXTRA_SAMPLES = 258, 262, 274, 338

_warnings_lock = threading.Lock()
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
logging.getLogger("tifffile").setLevel("CRITICAL")  # whatever matters in its log is also raised
logger.setLevel("CRITICAL")  # Pillow's logger for TIFF: each error that it logs is also raised


@dataclass
class OpenedImage:
    """A picture whose header was read and whose pixels were not.

    Attributes:
        path: Where it came from, for messages.
        kind: Key of READERS, from the content and not from the name.
        data: The file without metadata.
        image: Pillow's lazy picture.
        bits: Bits per channel.
        orientation: EXIF orientation, 1 to 8.
    """

    path: Path
    kind: str
    data: bytes
    image: ImageFile
    bits: int
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height after the EXIF orientation is applied."""
        width, height = self.image.size
        return (height, width) if self.pending_orientation >= 5 else (width, height)

    @property
    def pending_orientation(self) -> int:
        """The orientation that the decoders leave to us; both turn TIFF by themselves."""
        return 1 if self.kind == "TIFF" else self.orientation

    @property
    def has_alpha(self) -> bool:
        """True if some pixels may be transparent."""
        return self.image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in self.image.info

    def conversions(self) -> list[str]:
        """List what `decode` does besides decoding; empty for plain RGB with 8 bits."""
        mode = self.image.mode.split(";")[0]
        steps = []
        if not mode.upper().startswith("RGB"):
            steps.append(f"{COLOUR_NAMES.get(mode, mode)} to RGB")
        if self.bits > 8:
            steps.append(f"{self.bits} bit to 8 bit")
        if self.has_alpha:
            steps.append("alpha composited over white")
        if self.orientation != 1:
            steps.append("EXIF orientation applied")
        return steps


@contextmanager
def _muted() -> Iterator[None]:
    """Suppress Python warnings; one thread at a time, since the filters belong to the process."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _explained(path: Path, kind: str, data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises into a UserError; TIFF's metadata warnings are dropped."""
    try:
        with _muted() if kind == "TIFF" else nullcontext():
            yield
    except Image.DecompressionBombError as error:
        raise too_large(path) from error
    except Exception as error:  # a broken file can raise nearly anything in a decoder
        raise_if_out(error, f"{path} was read")
        cut = isinstance(error, TruncatedError | EOFError) or "truncated" in str(error).lower()
        if cut or (kind == "TIFF" and tiff_is_cut(data)):
            raise UserError(
                f"{path} is cut off (its {kind} data ends too early): copy it again or remove it."
            ) from error
        raise damaged(path, kind, error) from error


def open_image(path: Path) -> OpenedImage:
    """Read a file and its header.

    Raises:
        UserError: If the file cannot be opened, and as `open_bytes`.
    """
    return open_bytes(path, read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """Read a file, or raise a UserError that says why it cannot be opened."""
    try:
        if not path.is_file() and path.exists() and not path.is_dir():  # reading a pipe may block for ever
            raise UserError(f"{path} is no regular file (it is a pipe, a socket or a device): remove it.")
        return path.read_bytes()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} is a link that leads back to itself: remove it.") from error
        if path.is_symlink() and not path.exists():
            raise UserError(f"{path} is a link to a missing file: mend the link or remove it.") from error
        raise UserError(f"{path} cannot be opened ({error.strerror}): check its name and rights.") from error


def open_bytes(path: Path, data: bytes) -> OpenedImage:
    """Read the header of a picture; `path` is for messages.

    Raises:
        UserError: If it is not a picture that we read, is damaged or too large.
    """
    kind = sniff(path, data)
    with _explained(path, kind, data):
        opened = _parse_header(path, kind, data)
    check_pixels(path, *opened.size)
    return opened


def _parse_header(path: Path, kind: str, data: bytes) -> OpenedImage:
    """Open with Pillow's reader directly: Image.open would warn about large pictures."""
    exif, bits = b"", 8
    if kind == "JPEG":
        data, exif = strip_jpeg(data)
    elif kind == "PNG":
        data, exif = strip_png(data)
        bits = data[24]
    image = READERS[kind](BytesIO(data))
    if kind == "WebP":
        exif = image.info.get("exif", b"")
    orientation = exif_orientation(exif)
    if isinstance(image, TiffImageFile):
        bits = max(image.tag_v2.get(_BITS, (8,)))
        orientation = image.tag_v2.get(_ORIENTATION, 1)
        orientation = orientation if orientation in range(1, 9) else 1
    return OpenedImage(path, kind, data, image, bits, orientation)


def verify(opened: OpenedImage) -> None:
    """Decode a picture without keeping its pixels; a JPEG at one eighth of its size.

    Raises:
        UserError: If the picture is damaged or `decode` does not support it.
    """
    _check_white_point(opened)
    with _explained(opened.path, opened.kind, opened.data):
        opened.image.draft(None, (opened.image.width // 8, opened.image.height // 8))
        opened.image.load()


def decode(opened: OpenedImage) -> NDArray[np.uint8]:
    """Decode a picture as 8-bit RGB.

    Returns:
        RGB [H, W, 3], uint8; not to be written to.

    Raises:
        UserError: If the picture is damaged or has no fixed range.
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
        UserError: As `decode`.
    """
    _check_white_point(opened)
    with _explained(opened.path, opened.kind, opened.data):
        opened.image.load()
        pixels = _decode_wide(opened) if opened.bits > 8 else None
        return turn(_decode_narrow(opened) if pixels is None else pixels, opened.pending_orientation)


def _check_white_point(opened: OpenedImage) -> None:
    """Raise a UserError for floats and 32-bit integers, whose white point is unknown, and for more than 16 bits."""
    mode = opened.image.mode
    if mode == "F" or (mode == "I" and opened.kind != "PNG"):
        values = "floating-point" if mode == "F" else "signed or 32-bit"
        raise UserError(
            f"{opened.path} holds {values} values, whose white point is unknown: save it with 8 or 16 bits per channel."
        )
    if opened.bits > 16:
        raise UserError(f"{opened.path} is a damaged {opened.kind} file ({opened.bits} bits): copy it again.")


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
        alpha = [np.where(grey == image.info["transparency"], 0, white)] if "transparency" in image.info else []
        if tags.get(_PHOTOMETRIC) == TIFF_WHITE_IS_ZERO:
            grey = white - grey
        return np.concatenate([grey, *alpha], axis=2).astype(np.uint16)
    if not image.mode.startswith(("RGB", "LA")) or TIFF_PREMULTIPLIED in tags.get(_EXTRA_SAMPLES, ()):
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
