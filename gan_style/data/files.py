"""Reading of pictures of any type and number of channels, with an error in place of any silent loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from gan_style.core.budget import check_pixels
from gan_style.core.errors import ContentError, UserError
from gan_style.data.containers import damaged, sniff
from gan_style.data.decoding import WIDE, composite, decode, decode_raw, verify
from gan_style.data.dicom import read_dicom
from gan_style.data.ledger import Note
from gan_style.data.opened import OpenedImage, named_bytes, open_bytes
from gan_style.data.raw import Carried, Mask, Raw, filled, largest_valid
from gan_style.data.tiff import read_tiff
from gan_style.data.values import Array, ValueRange

LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
NO_DATA = Note("places without data", "training and scores use the largest rectangle of each that has none")
RAW = ("NumPy", "DICOM", "TIFF")  # formats that may hold more than Pillow reads


@dataclass
class Picture:
    """Picture with the type and channels of a domain.

    Attributes:
        array: [H, W, C].
        notes: What was done beside reading it.
        missing: [H, W], true where the file says that it holds no data; None where it does so nowhere.
        carried: What belongs to it beside its pixels.
    """

    array: Array
    notes: list[Note]
    missing: Mask | None
    carried: Carried

    def valid(self) -> Array:
        """Return the largest rectangle without missing places, [H, W, C].

        Raises:
            ContentError: If there is none.
        """
        if self.missing is None:
            return self.array
        if self.missing.all():
            raise ContentError("holds no data anywhere: remove it")
        return self.array[largest_valid(self.missing)]


def read_picture(path: Path, values: ValueRange) -> Array:
    """Read a picture with the type and channels of a domain, without its places without data.

    Returns:
        [H, W, C] with the type and the channels of `values`.

    Raises:
        UserError: If the file cannot be read, or the conversion would lose something.
    """
    with named_bytes(path) as data:
        return decode_image(data, values)


def decode_image(data: bytes, values: ValueRange | None) -> Array:
    """Decode a file's bytes to the type and channels of a domain; of a picture with no-data, the part without.

    Args:
        data: The bytes.
        values: Of the domain; None is 8-bit RGB, even if that loses something.

    Raises:
        ContentError: If it is no picture, or the conversion would lose something.
    """
    if (values is None or values.plain) and sniff(data) not in RAW:
        image = open_bytes(data)
        if values is not None:
            _check_narrowing(image, values)
        return decode(image)
    return whole(data, values).valid()


def whole(data: bytes, values: ValueRange | None) -> Picture:
    """Decode a file's bytes to the type and channels of a domain, with all that was done on the way.

    Args:
        data: The bytes.
        values: Of the domain; None is 8-bit RGB, even if that loses something.

    Raises:
        ContentError: If it is no picture, or the conversion would lose something.
    """
    wanted = values or ValueRange()
    if sniff(data) not in RAW:
        image = open_bytes(data)
        carried, notes = carried_by(image), image.notes(wanted)
        if values is None or values.plain:
            if values is not None:
                _check_narrowing(image, values)
            return Picture(decode(image), notes, None, carried)
        array = decode_raw(image)
        fitted = fit(array, wanted, alpha=True, white=_white(array, image.bits))
        return Picture(fitted, notes + _type_notes(array, wanted), None, carried)
    raw = read_raw(data)
    if values is None and raw.array.dtype not in (np.uint8, np.uint16, np.bool_):
        raise ContentError(
            f"holds {raw.array.dtype} values, whose white point is unknown: save it with 8 or 16 bits per channel."
        )
    if values is None and raw.array.dtype == np.uint16:
        fitted = fit(_narrowed(raw), wanted, missing=raw.missing)
    else:
        white = _white(raw.array, raw.bits)
        fitted = fit(raw.array, wanted, alpha=raw.alpha, missing=raw.missing, white=white)
    notes = raw.notes + _channel_notes(raw, wanted) + _type_notes(raw.array, wanted, raw.missing)
    return Picture(fitted, notes, raw.missing, raw.carried)


def carried_by(image: OpenedImage) -> Carried:
    """Return what belongs to a picture that Pillow reads, beside its pixels."""
    info = image.image.info
    dpi = info.get("dpi")
    resolution = (float(dpi[0]), float(dpi[1]), 2) if isinstance(dpi, tuple) and all(dpi) else None
    found = {"EXIF": image.exif or info.get("exif"), "XMP": image.xmp}
    return Carried(image.profile or None, resolution, metadata=tuple(name for name, data in found.items() if data))


def image_size(data: bytes, *, entire: bool = False) -> tuple[int, int]:
    """Return width and height; of most formats only the header is read.

    Args:
        data: The file.
        entire: Of all of it, not of the part without no-data.

    Raises:
        ContentError: If it is no picture, or one without pixels.
    """
    if sniff(data) not in RAW:
        return open_bytes(data).size
    raw = read_raw(data)
    cut = raw.missing is not None and not entire
    height, width = (raw.array[largest_valid(raw.missing)] if cut and raw.missing is not None else raw.array).shape[:2]
    return width, height


def check_image(data: bytes, values: ValueRange) -> tuple[tuple[int, int], list[Note]]:
    """Decode a picture once, and list what `decode_image` does with it.

    Returns:
        Width and height, and notes such as "grey to RGB"; a JPEG is only decoded at an eighth of its size.

    Raises:
        ContentError: As `decode_image`.
    """
    if values.plain and sniff(data) not in RAW:
        image = open_bytes(data)
        _check_narrowing(image, values)
        size, notes = image.size, image.notes(values)  # a JPEG shrinks when it is verified
        verify(image)
        return size, notes
    found = whole(data, values)
    array = found.valid()
    return (array.shape[1], array.shape[0]), found.notes + ([] if found.missing is None else [NO_DATA])


def notes_as_rgb(data: bytes) -> list[Note]:
    """Return what reading a file as 8-bit RGB does beside; of most formats only the header is read.

    Raises:
        ContentError: If it is no picture.
    """
    if sniff(data) not in RAW:
        return open_bytes(data).notes(ValueRange())
    found = whole(data, None)
    return found.notes + ([] if found.missing is None else [NO_DATA])


def notes_of_file(data: bytes) -> list[Note]:
    """Return what reading a file of any type and number of channels does beside, whatever the domain's are.

    Raises:
        ContentError: If it is no picture.
    """
    return notes_of(read_raw(data)) if sniff(data) in RAW else open_bytes(data).notes(ValueRange())


def notes_of(raw: Raw) -> list[Note]:
    """Return what reading a file as it is does beside."""
    channels = _channel_notes(raw, ValueRange()) if raw.array.dtype == np.uint8 and raw.array.shape[2] <= 4 else []
    return raw.notes + channels + ([] if raw.missing is None else [NO_DATA])


def read_raw(data: bytes) -> Raw:
    """Read the numbers of a file as they are.

    Raises:
        ContentError: If it is no picture, is damaged, or has no pixels.
    """
    readers = {"NumPy": _read_npy, "DICOM": read_dicom, "TIFF": read_tiff}
    kind = sniff(data)
    if kind in readers:
        raw = readers[kind](data)
    else:
        image = open_bytes(data)
        array = decode_raw(image)
        raw = Raw(array, image.bits, True, image.notes(ValueRange("uint16", 0, 65535, array.shape[2])))
    if raw.array.dtype.kind == "c":
        raise ContentError(
            f"holds {raw.array.dtype} values, of which half would be lost: save their size or their angle"
        )
    if 0 in raw.array.shape:
        raise ContentError("holds a picture of no pixels: copy it again or remove it.")
    return raw


def _narrowed(raw: Raw) -> Array:
    """Scale uint16 to 8 bits, rounded to the nearest, after transparency is laid over white."""
    white = 2 ** min(raw.bits, 16) - 1
    array = composite(raw.array, white) if raw.alpha and raw.array.shape[2] in (2, 4) else raw.array
    return np.asarray(((array.astype(np.uint32) * 255 + white // 2) // white).clip(0, 255).astype(np.uint8))


def _channel_notes(raw: Raw, values: ValueRange) -> list[Note]:
    found, notes = raw.array.shape[2], []
    if raw.alpha and found in (2, 4) and values.channels in (1, 3):
        notes.append(Note("alpha composited over white", "give them the background you want"))
        found -= 1
    if found != values.channels:
        names = {1: "grey", 3: "RGB"}
        notes.append(Note(f"{names.get(found, found)} to {names.get(values.channels, values.channels)}"))
    return notes


def _type_notes(array: Array, values: ValueRange, missing: Mask | None = None) -> list[Note]:
    notes = []
    if array.dtype != values.dtype:
        notes.append(Note(f"{array.dtype} to {values.dtype}"))
    present = array if missing is None else array[~missing]
    same_scale = array.dtype == values.dtype or values.dtype == "float32"
    if same_scale and present.size and (present.min() < values.low or present.max() > values.high):
        notes.append(
            Note(f"values outside {values.low:g} to {values.high:g}, clamped", "data.low and data.high set the range")
        )
    return notes


def _white(array: Array, bits: int) -> int | None:
    """Return the largest value of so many bits, of an integer type."""
    return 2 ** min(bits, 8 * array.dtype.itemsize) - 1 if array.dtype.kind == "u" else None


def fit(
    raw: Array, values: ValueRange, *, alpha: bool = False, missing: Mask | None = None, white: int | None = None
) -> Array:
    """Convert an array to the type and channels of a domain, if that loses nothing.

    Args:
        raw: [H, W, C].
        values: Of the domain.
        alpha: Whether the last of two or four channels is transparency, which is laid over white where not wanted.
        missing: [H, W], true where the numbers mean nothing; None where all count.
        white: Value of white and of full opacity; that of the type where it is not given.

    Raises:
        ContentError: If it would lose something; the sentence names the setting that keeps it.
    """
    native = raw.astype(raw.dtype.newbyteorder("="), copy=False)
    if missing is not None and not missing.all():
        native = filled(native, missing)  # so that a number such as -9999 counts nowhere below
    return _fit_type(_fit_channels(native, values.channels, alpha, white), values)


def _fit_type(array: Array, values: ValueRange) -> Array:
    wanted, found = values.dtype, array.dtype
    if found.kind == "f" and not np.isfinite(array).all():
        raise ContentError(
            "holds values that are not finite: replace them before training, or name NaN as no-data in a TIFF (GDAL)"
        )
    if found.kind == "b" and wanted != "float32":
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype == wanted:
        pass
    elif wanted == "float32":
        if found.kind in "iu" and max(abs(int(array.min())), abs(int(array.max()))) > 2**24:
            raise ContentError(f"holds {found} values beyond 2^24, which float32 cannot tell apart: scale them down")
        array = array.astype(np.float32)
    elif wanted == "uint16" and array.dtype == np.uint8:
        array = array.astype(np.uint16) * np.uint16(257)  # 255 becomes 65535
    elif array.dtype == np.uint16:
        raise _narrowing(16)
    else:
        raise ContentError(
            f"holds {found} values from {array.min():g} to {array.max():g}, which data.dtype={wanted} would "
            f"lose: train with data.dtype=float32 data.low={array.min():g} data.high={array.max():g}, or another range"
        )
    if wanted == "float32" and not np.isfinite(array).all():
        raise ContentError("holds values that are not finite as float32, which ends at 3.4e38: scale them down")
    return array


def _check_narrowing(image: OpenedImage, values: ValueRange) -> None:
    """Raise a ContentError where bits would be lost that another type keeps; of other formats a note speaks."""
    if image.narrowed(values) and image.kind in WIDE:
        raise _narrowing(image.bits)


def _narrowing(bits: int) -> ContentError:
    return ContentError(
        f"has {bits} bits per channel, of which data.dtype=uint8 would lose {bits - 8}: train with "
        "data.dtype=uint16, which also reads 8-bit files, or save it with 8 bits"
    )


def _fit_channels(array: Array, wanted: int, alpha: bool, white: int | None) -> Array:
    raw, found = array, array.shape[2]
    if alpha and found in (2, 4) and wanted in (1, 3) and array.dtype.kind == "u":
        array = composite(array, white or int(np.iinfo(array.dtype).max))
        found -= 1
    if (found, wanted) == (1, 3):
        return np.repeat(array, 3, axis=2)
    if (found, wanted) == (3, 1):
        grey = array @ LUMINANCE
        return np.asarray((grey.round() if array.dtype.kind == "u" else grey)[..., None].astype(array.dtype))
    if found == wanted:
        return array
    if raw.shape[0] == wanted and raw.shape[0] < raw.shape[2]:
        raise ContentError(f"is {list(raw.shape)}, its channels first: save it as [height, width, channels]")
    raise ContentError(
        f"has {raw.shape[2]} channels, but data.channels is {wanted}: train with data.channels="
        f"{raw.shape[2]}, or convert it"
    )


def _read_npy(data: bytes) -> Raw:
    try:
        _check_header(data)
        array = np.load(BytesIO(data), allow_pickle=False)
    except UserError:
        raise
    except Exception as error:  # cut off, empty, an array of objects, or not NumPy's at all
        raise damaged("NumPy", error) from error
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3) or 0 in array.shape:
        shape = getattr(array, "shape", "several arrays")
        raise ContentError(f"has the shape {shape}, but a picture is [height, width] or [height, width, channels]")
    if array.dtype.kind not in "buif":
        raise ContentError(f"holds {array.dtype} values, but a picture holds numbers: save it as float32")
    array = array[..., None] if array.ndim == 2 else array
    return Raw(array, 8 * array.dtype.itemsize)


def _check_header(data: bytes) -> None:
    """Check the size that a .npy header claims: NumPy allocates it before it looks how much data there is."""
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        return
    file = BytesIO(data)
    readers = {(1, 0): np.lib.format.read_array_header_1_0}
    shape, _, dtype = readers.get(np.lib.format.read_magic(file), np.lib.format.read_array_header_2_0)(file)
    numbers = math.prod(shape)
    if len(shape) > 1:
        check_pixels(shape[1], shape[0], numbers // max(1, shape[0] * shape[1]))
    if not dtype.hasobject and numbers * dtype.itemsize > len(data) - file.tell():
        raise ValueError(f"it ends too early for the shape {shape}")
