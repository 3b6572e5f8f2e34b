"""TIFF files: everything that tifffile reads, with imagecodecs where it is installed, and what only Pillow does."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import tifffile
from PIL.TiffImagePlugin import COMPRESSION_INFO

from gan_style.core.budget import check_pixels
from gan_style.core.errors import ContentError, UserError
from gan_style.data.containers import damaged, tiff_goes_round
from gan_style.data.decoding import decode_raw, turn
from gan_style.data.ledger import FURTHER_PICTURES, Note
from gan_style.data.opened import open_bytes
from gan_style.data.packed import tiff_unpacks_to_more
from gan_style.data.raw import Carried, Mask, Raw
from gan_style.data.values import Array, ValueRange

PREMULTIPLIED, PLAIN_ALPHA = (1,), (2,)  # TIFF's extra samples
GEOREFERENCE = (33550, 33922, 34264, 34735, 34736, 34737, 42112)  # of GeoTIFF, and GDAL's own description
NO_DATA, PROFILE, EXIF, XMP = 42113, 34675, 34665, 700
REDUCED, MASK, DNG_VERSION = 1, 4, 50706  # kinds of further pages, and the tag of a camera's raw data
JPEG_COMPRESSIONS = (6, 7, 33007, 34892)  # whose codec gives RGB
RESOLUTION, RESOLUTION_Y, UNIT = 282, 283, 296
PHOTOMETRIC = tifffile.PHOTOMETRIC

logging.getLogger("tifffile").setLevel("CRITICAL")  # whatever matters in its log is also raised


def read_tiff(data: bytes) -> Raw:
    """Read a TIFF, [H, W, C]; grey pages of one size are its channels, and of other pages the first is used.

    Raises:
        ContentError: If it is damaged, or of a form that is not read; names the package that reads its compression.
    """
    if tiff_goes_round(data):
        raise damaged("TIFF", ValueError("its directories go round in a circle"))
    page: Any = None
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            page = file.pages[0]
            if page.subfiletype & REDUCED or DNG_VERSION in page.tags:
                raise ContentError(
                    "holds a camera's raw data, of which only a small preview would be read: export it as TIFF or JPEG"
                )
            every: list[Any] = [file.pages.get(number, validate=False) for number in range(len(file.pages))]
            count = sum(not int(one.keyframe.subfiletype) & (REDUCED | MASK) for one in every)
            pages = file.series[0].pages if file.series else [page]
            # many programs save each channel as a page of its own
            stacked = len(pages) > 1 and page.samplesperpixel == 1 and len(file.series[0].shape) == 3
            layers = len(pages) if stacked else 1
            check_pixels(page.imagewidth, page.imagelength, layers * page.samplesperpixel * page.imagedepth)
            used = [one for one in (pages if stacked else pages[:1]) if one is not None]
            if any(tiff_unpacks_to_more(one, data) for one in used):
                raise damaged("TIFF", ValueError("it unpacks to more than its pixels"))
            raw = _numbers(file, page, data, stacked)
            raw.carried = _carried(page)
            raw.missing = _missing_of(file, page, stacked, raw)
            if stacked:
                raw.notes.append(Note("pages taken as channels", "save each as a file of its own if it is a picture"))
            if count > layers:
                raw.notes.append(FURTHER_PICTURES)
    except UserError:
        raise
    except Exception as error:  # a broken file can raise nearly anything
        if page is not None:
            _check_codec(page)
        open_bytes(data)  # raises the error of an empty or cut off file
        raise damaged("TIFF", error) from error
    return raw


def _missing_of(file: tifffile.TiffFile, page: Any, stacked: bool, raw: Raw) -> Mask | None:
    """Return where the numbers that are stored say that there is no data, whatever colours they stand for."""
    if raw.carried.no_data is None:
        return None
    stored = raw.array
    with suppress(Exception):  # a codec that only Pillow has
        stored = _turned(page, _stored(file, page, stacked))
    return _missing(stored, raw.carried.no_data)


def _stored(file: tifffile.TiffFile, page: Any, stacked: bool) -> Array:
    """Decode the numbers of a page, or of all pages, as they are stored: [H, W, C]."""
    array = np.asarray(file.series[0].asarray() if stacked else page.asarray())
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim not in (2, 3):
        raise ContentError(f"holds a picture of shape {list(array.shape)}: save it as [height, width, channels]")
    separate = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    return array[..., None] if array.ndim == 2 else array.transpose(1, 2, 0) if separate or stacked else array


def _turned(page: Any, array: Array) -> Array:
    orientation = page.tags.valueof(274, 1)
    return turn(array, orientation if orientation in range(1, 9) else 1)


def _numbers(file: tifffile.TiffFile, page: Any, data: bytes, stacked: bool) -> Raw:
    """Decode the pixels: by Pillow what it keeps whole, everything else by tifffile."""
    if not stacked and _pillow_reads(page) and (page.bitspersample <= 8 or page.samplesperpixel == 1):
        try:
            return _by_pillow(data)
        except UserError as error:
            if "cut off" in str(error):
                raise
    try:
        array = _stored(file, page, stacked)
    except UserError:
        raise
    except Exception:  # a codec that is not installed, or damage
        if stacked or not _pillow_reads(page) or _of_newer_codec(page):
            raise
        return _by_pillow(data)  # OpenCV decodes some of the usual compressions
    notes: list[Note] = []
    bits = page.bitspersample
    if page.photometric == PHOTOMETRIC.MINISWHITE and array.dtype.kind == "u":
        array = ((2**bits - 1) - array).astype(array.dtype)
        notes.append(Note("white stored as the lowest value, turned over"))
    if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None and array.shape[2] == 1:
        array = (page.colormap[:, array[..., 0]] >> 8).astype(np.uint8).transpose(1, 2, 0)
        bits = 8
        notes.append(Note("palette to RGB"))
    if page.photometric == PHOTOMETRIC.YCBCR and int(page.compression) not in JPEG_COMPRESSIONS:
        raise ContentError("holds YCbCr colours in a form that is not read: save it as RGB")
    if page.photometric in (PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB, PHOTOMETRIC.ITULAB):
        raise ContentError(f"holds CIELab colours of {page.bitspersample} bits, which are not read: convert it to RGB")
    if page.photometric == PHOTOMETRIC.SEPARATED and array.shape[2] == 4 and array.dtype.kind == "u":
        array = _from_cmyk(array)
        notes.append(Note("CMYK to RGB"))
    if tuple(page.extrasamples) == PREMULTIPLIED and array.shape[2] in (2, 4) and array.dtype.kind == "u":
        array = _divided_by_alpha(array)
    if page.tags.valueof(274, 1) in range(2, 9):
        notes.append(Note("EXIF orientation applied"))
    return Raw(_turned(page, array), bits, _has_alpha(page), notes)


def _by_pillow(data: bytes) -> Raw:
    image = open_bytes(data)
    array = decode_raw(image)
    if image.bits > 8 and array.dtype == np.uint8:  # Pillow drops the lower 8 bits
        raise ValueError("no decoder keeps all its bits")
    # What is done for a domain of as many channels and bits as the file has, is done by reading alone.
    as_stored = ValueRange("uint16", 0, 65535, array.shape[2])
    return Raw(array, image.bits, image.has_alpha, image.notes(as_stored))


def _check_codec(page: Any) -> None:
    """Raise a ContentError where the compression of a page, or the way it predicts, needs a package."""
    if not isinstance(page.compression, int):  # a damaged tag
        return
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
        tifffile.TIFF.UNPREDICTORS[page.predictor]
    except (KeyError, ImportError) as error:
        name = getattr(page.compression, "name", page.compression)
        raise ContentError(
            f"is compressed as {name} (number {int(page.compression)}), which is not read without imagecodecs: "
            "pip install 'gan-style[tiff]', or save it without compression"
        ) from error


def _of_newer_codec(page: Any) -> bool:
    """Check whether Pillow has no codec for the compression of a page."""
    return int(page.compression) not in COMPRESSION_INFO


def _pillow_reads(page: Any) -> bool:
    """Check whether Pillow keeps all channels of a TIFF's page."""
    samples, separate = page.samplesperpixel, page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
    if page.bitspersample > 16 or page.dtype is None or page.dtype.kind not in "bu" or (separate and samples > 1):
        return False
    alpha = _has_alpha(page)
    coloured = page.photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
    cmyk = page.photometric == PHOTOMETRIC.SEPARATED
    if samples == 2:
        return alpha and page.bitspersample <= 8
    return samples == 1 or (samples == 3 and coloured) or (samples == 4 and coloured and (alpha or cmyk))


def _has_alpha(page: Any) -> bool:
    """Check whether the last sample is transparency: said, or the fourth of a colour of which nothing is said."""
    extra = tuple(page.extrasamples)
    unsaid = not extra and page.samplesperpixel == 4 and page.photometric == PHOTOMETRIC.RGB
    return extra in (PREMULTIPLIED, PLAIN_ALPHA) or unsaid


def _from_cmyk(array: Array) -> Array:
    """Convert [H, W, 4] of ink, 0 for none, to RGB without a profile, as Pillow does at 8 bits."""
    white = int(np.iinfo(array.dtype).max)
    light = white - array.astype(np.uint64)
    return ((light[..., :3] * light[..., 3:] + white // 2) // white).astype(array.dtype)


def _divided_by_alpha(array: Array) -> Array:
    """Undo the product of colour and opacity, the last channel."""
    white = int(np.iinfo(array.dtype).max)
    colour, opacity = array[..., :-1].astype(np.uint64), array[..., -1:].astype(np.uint64)
    plain = np.minimum((colour * white + opacity // 2) // np.maximum(opacity, 1), white).astype(array.dtype)
    return np.concatenate([plain, array[..., -1:]], axis=2)


def _missing(array: Array, no_data: str | None) -> Mask | None:
    """Return where all channels hold the number that stands for no data, [H, W]; None where none does."""
    if no_data is None:
        return None
    value = math.nan
    with suppress(ValueError):
        value = float(no_data)
    if math.isnan(value):
        absent = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    else:
        with np.errstate(over="ignore"):
            absent = array == (np.array(value).astype(array.dtype) if array.dtype.kind == "f" else value)
    missing: Mask = np.all(absent, axis=2, keepdims=False)
    return missing if missing.any() else None


def _carried(page: Any) -> Carried:
    tags = {tag.code: tag for tag in page.tags}
    geo = tuple((tag.code, int(tag.dtype), tag.count, tag.value) for code in GEOREFERENCE if (tag := tags.get(code)))
    resolution = None
    if RESOLUTION in tags and RESOLUTION_Y in tags:
        x, y = (_ratio(tags[code].value) for code in (RESOLUTION, RESOLUTION_Y))
        unit = int(tags[UNIT].value) if UNIT in tags else 2
        resolution = (x, y, unit) if x and y and (x, y, unit) != (1.0, 1.0, 1) else None
    profile = tags[PROFILE].value if PROFILE in tags and isinstance(tags[PROFILE].value, bytes) else None
    text = str(tags[NO_DATA].value).strip("\0 ") if NO_DATA in tags else None
    try:
        text = "nan" if text and math.isnan(float(text)) else text
    except ValueError:  # such as 1.#QNAN
        text = "nan"
    metadata = tuple(name for code, name in ((EXIF, "EXIF"), (XMP, "XMP")) if code in tags)
    return Carried(profile, resolution, geo, text or None, metadata)


def _ratio(value: Any) -> float:
    with suppress(TypeError, ValueError, ZeroDivisionError):
        return float(value[0]) / float(value[1])
    return 0.0
