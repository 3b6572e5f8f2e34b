"""Reading of pictures of any type and number of channels, with an error in place of any silent loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from gan_style.core.budget import check_pixels
from gan_style.core.errors import UserError
from gan_style.data.containers import damaged, tiff_goes_round
from gan_style.data.decoding import composite, decode, decode_raw, open_bytes, read_bytes, turn, verify
from gan_style.data.dicom import read_dicom
from gan_style.data.packed import tiff_unpacks_to_more
from gan_style.data.values import Array, ValueRange

LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
TIFF = (".tif", ".tiff")
ALPHA = ((1,), (2,))  # TIFF's extra samples of premultiplied and plain transparency
RAW = (".npy", ".dcm", *TIFF)  # suffixes of files that may hold more than Pillow reads


def read_picture(path: Path, values: ValueRange) -> Array:
    """Read a picture with the type and channels of a domain.

    Returns:
        [H, W, C] with the type and the channels of `values`.

    Raises:
        UserError: If the file cannot be read, or the conversion would lose something.
    """
    return decode_image(path, read_bytes(path), values)


def decode_image(path: Path, data: bytes, values: ValueRange) -> Array:
    """Decode a file's bytes as `read_picture` does; the path tells the format and is for messages."""
    if values.plain and path.suffix.lower() not in RAW:
        image = open_bytes(path, data)
        _check_narrowing(path, image.bits, values)
        return decode(image)
    return fit(path, read_raw(path, data), values, alpha=_has_alpha(path, data))


def image_size(path: Path, data: bytes) -> tuple[int, int]:
    """Return width and height; of most formats only the header is read.

    Raises:
        UserError: If it is no picture, or one without pixels.
    """
    if path.suffix.lower() not in RAW:
        return open_bytes(path, data).size
    height, width = read_raw(path, data).shape[:2]
    return width, height


def check_image(path: Path, values: ValueRange, data: bytes | None = None) -> tuple[tuple[int, int], list[str]]:
    """Read a picture once, from `data` if given, and list the conversions that `read_picture` makes.

    Returns:
        Width and height, and conversions such as "grey to RGB"; a JPEG is only decoded at an eighth of its size.

    Raises:
        UserError: As `read_picture`.
    """
    data = read_bytes(path) if data is None else data
    if values.plain and path.suffix.lower() not in RAW:
        image = open_bytes(path, data)
        _check_narrowing(path, image.bits, values)
        size = image.size  # a JPEG shrinks when it is verified
        verify(image)
        return size, image.conversions()
    raw = read_raw(path, data)
    array = fit(path, raw, values, alpha=_has_alpha(path, data))
    steps = []
    if raw.shape[2] != values.channels:
        steps.append(f"{raw.shape[2]} channels to {values.channels}")
    if raw.dtype != values.dtype:
        steps.append(f"{raw.dtype} to {values.dtype}")
    if array.min() < values.low or array.max() > values.high:
        steps.append(f"values outside {values.low:g} to {values.high:g}, clamped")
    return (array.shape[1], array.shape[0]), steps


def read_raw(path: Path, data: bytes | None = None) -> Array:
    """Read the numbers of a file as they are.

    Args:
        path: Its suffix tells the format.
        data: The file's bytes, where they were read already.

    Returns:
        [H, W, C], of the file's own type; a palette is looked up, the EXIF orientation applied.

    Raises:
        UserError: If the file cannot be read.
    """
    readers: dict[str, Callable[[Path, bytes], Array]] = {".npy": _read_npy, ".dcm": read_dicom}
    readers |= dict.fromkeys(TIFF, _read_tiff)
    read = readers.get(path.suffix.lower(), lambda path, data: decode_raw(open_bytes(path, data)))
    array = read(path, read_bytes(path) if data is None else data)
    if 0 in array.shape:
        raise UserError(f"{path} holds a picture of no pixels: copy it again or remove it.")
    return array


def _has_alpha(path: Path, data: bytes) -> bool:
    """Check whether the last of two or four channels is transparency."""
    if path.suffix.lower() not in RAW:
        return True
    if path.suffix.lower() not in TIFF:
        return False
    with suppress(Exception), tifffile.TiffFile(BytesIO(data)) as file:  # any other file was read by Pillow
        return tuple(file.pages[0].extrasamples) in ALPHA  # type: ignore[union-attr]
    return True


def fit(path: Path, raw: Array, values: ValueRange, *, alpha: bool = False) -> Array:
    """Convert an array to the type and channels of a domain, if that loses nothing.

    Args:
        path: For messages.
        raw: [H, W, C].
        values: Of the domain.
        alpha: Whether the last of two or four channels is transparency, which is laid over white where not wanted.

    Raises:
        UserError: If it would lose something; the sentence names the setting that keeps it.
    """
    native = raw.astype(raw.dtype.newbyteorder("="), copy=False)
    return _fit_type(path, _fit_channels(path, native, values.channels, alpha), values)


def _fit_type(path: Path, array: Array, values: ValueRange) -> Array:
    wanted, found = values.dtype, array.dtype
    if found.kind == "b" and wanted != "float32":
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype == wanted:
        pass
    elif wanted == "float32":
        if found.kind in "iu" and max(abs(int(array.min())), abs(int(array.max()))) > 2**24:
            raise UserError(
                f"{path} holds {found} values beyond 2^24, which float32 cannot tell apart: scale them down"
            )
        array = array.astype(np.float32)
    elif wanted == "uint16" and array.dtype == np.uint8:
        array = array.astype(np.uint16) * np.uint16(257)  # 255 becomes 65535
    elif array.dtype == np.uint16:
        _check_narrowing(path, 16, values)
    else:
        raise UserError(
            f"{path} holds {found} values from {array.min():g} to {array.max():g}, which data.dtype={wanted} would "
            f"lose: train with data.dtype=float32 data.low={array.min():g} data.high={array.max():g}, or another range"
        )
    if wanted == "float32" and not np.isfinite(array).all():
        raise UserError(f"{path} holds values that are not finite: replace them before training")
    return array


def _check_narrowing(path: Path, bits: int, values: ValueRange) -> None:
    if bits > 8 and values.dtype == "uint8":
        raise UserError(
            f"{path} has {bits} bits per channel, of which data.dtype=uint8 would lose {bits - 8}: train with "
            "data.dtype=uint16, which also reads 8-bit files, or save it with 8 bits"
        )


def _fit_channels(path: Path, array: Array, wanted: int, alpha: bool) -> Array:
    raw, found = array, array.shape[2]
    if alpha and found in (2, 4) and wanted in (1, 3) and array.dtype.kind == "u":
        array = composite(array, int(np.iinfo(array.dtype).max))
        found -= 1
    if (found, wanted) == (1, 3):
        return np.repeat(array, 3, axis=2)
    if (found, wanted) == (3, 1):
        grey = array @ LUMINANCE
        return np.asarray((grey.round() if array.dtype.kind == "u" else grey)[..., None].astype(array.dtype))
    if found == wanted:
        return array
    if raw.shape[0] == wanted and raw.shape[0] < raw.shape[2]:
        raise UserError(f"{path} is {list(raw.shape)}, its channels first: save it as [height, width, channels]")
    raise UserError(
        f"{path} has {raw.shape[2]} channels, but data.channels is {wanted}: train with data.channels="
        f"{raw.shape[2]}, or convert it"
    )


def _read_tiff(path: Path, data: bytes) -> Array:
    """Read grey, palette, RGB, RGBA or CMYK of at most 16 bits by Pillow, everything else by tifffile."""
    if tiff_goes_round(data):
        raise damaged(path, "TIFF", ValueError("its directories go round in a circle"))
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            page: Any = file.pages[0]
            several, numbers = (len(file.series[0].pages) > 1, file.series[0].size) if file.series else (False, 1)
            pixels = page.imagewidth * page.imagelength
            check_pixels(path, page.imagewidth, page.imagelength, numbers // max(1, pixels))
            if any(tiff_unpacks_to_more(page, data) for page in file.series[0].pages if page is not None):
                raise damaged(path, "TIFF", ValueError("it unpacks to more than its pixels"))
            array = None if _pillow_reads(page) and not several else np.asarray(file.series[0].asarray())
            separate = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
            inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
            orientation = page.tags.valueof(274, 1)
    except UserError:
        raise
    except Exception as error:  # a broken file can raise nearly anything
        open_bytes(path, data)  # raises the error of an empty, cut off or foreign file
        if "imagecodecs" in str(error):
            raise UserError(f"{path} is compressed in a way that needs a package: pip install imagecodecs") from error
        raise damaged(path, "TIFF", error) from error
    if array is None:
        image = open_bytes(path, data)
        array = decode_raw(image)
        if image.bits > 8 and array.dtype == np.uint8:  # OpenCV could not read it, and Pillow drops the lower 8 bits
            raise UserError(f"{path} has {image.bits} bits and premultiplied alpha: save it without alpha")
        return array
    if array.ndim not in (2, 3):
        raise UserError(f"{path} holds {array.shape[0]} pictures of several channels: save each as a file of its own")
    # many programs save each channel as a page of its own
    array = array[..., None] if array.ndim == 2 else array.transpose(1, 2, 0) if separate or several else array
    if inverted and array.dtype.kind == "u":
        array = np.iinfo(array.dtype).max - array
    return turn(array, orientation if orientation in range(1, 9) else 1)


def _pillow_reads(page: Any) -> bool:
    """Check whether Pillow keeps all channels and bits of a TIFF's page."""
    samples, separate = page.samplesperpixel, page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
    if page.bitspersample > 16 or page.dtype is None or page.dtype.kind not in "bu" or (separate and samples > 1):
        return False
    alpha = tuple(page.extrasamples) in ALPHA
    coloured = page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE)
    cmyk = page.photometric == tifffile.PHOTOMETRIC.SEPARATED
    if samples == 2:
        return alpha and page.bitspersample <= 8
    return samples == 1 or (samples == 3 and coloured) or (samples == 4 and coloured and (alpha or cmyk))


def _read_npy(path: Path, data: bytes) -> Array:
    try:
        _check_header(path, data)
        array = np.load(BytesIO(data), allow_pickle=False)
    except UserError:
        raise
    except Exception as error:  # cut off, empty, an array of objects, or not NumPy's at all
        raise damaged(path, "NumPy", error) from error
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3) or 0 in array.shape:
        shape = getattr(array, "shape", "several arrays")
        raise UserError(f"{path} has the shape {shape}, but a picture is [height, width] or [height, width, channels]")
    if array.dtype.kind not in "buif":
        raise UserError(f"{path} holds {array.dtype} values, but a picture holds numbers: save it as float32")
    return array[..., None] if array.ndim == 2 else array


def _check_header(path: Path, data: bytes) -> None:
    """Check the size that a .npy header claims: NumPy allocates it before it looks how much data there is."""
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        return
    file = BytesIO(data)
    readers = {(1, 0): np.lib.format.read_array_header_1_0}
    shape, _, dtype = readers.get(np.lib.format.read_magic(file), np.lib.format.read_array_header_2_0)(file)
    numbers = math.prod(shape)
    if len(shape) > 1:
        check_pixels(path, shape[1], shape[0], numbers // max(1, shape[0] * shape[1]))
    if not dtype.hasobject and numbers * dtype.itemsize > len(data) - file.tell():
        raise ValueError(f"it ends too early for the shape {shape}")
