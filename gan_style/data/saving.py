"""Saving of pictures: complete or not at all, and only in a format that can hold them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, slashed, why
from gan_style.data.ledger import Note
from gan_style.data.raw import Carried
from gan_style.data.values import Array

TIFF, JPEG = (".tif", ".tiff"), (".jpg", ".jpeg", ".jfif", ".jpe")
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    **{suffix: {"format": "JPEG", "quality": 95, "subsampling": 0} for suffix in JPEG},
    ".png": {
        "format": "PNG",
        "compress_level": 1,
    },  # 1% larger than level 6, in half the time
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
    ".bmp": {"format": "BMP"},
    ".gif": {"format": "GIF"},
}
# Types and numbers of channels that each format can hold (None: any number).
FORMATS: dict[str, tuple[tuple[str, ...], tuple[int, ...] | None]] = {
    ".png": (("uint8", "uint16"), (1, 3, 4)),
    **dict.fromkeys(JPEG, (("uint8",), (1, 3))),
    ".webp": (("uint8",), (3, 4)),
    ".bmp": (("uint8",), (1, 3)),
    ".gif": (("uint8",), (1, 3)),
    ".tif": (("uint8", "uint16", "float32"), None),
    ".tiff": (("uint8", "uint16", "float32"), None),
    ".npy": (("uint8", "uint16", "float32"), None),
}
WITH_RESOLUTION = (*JPEG, ".png")
CENTIMETRE, CENTIMETRES_PER_INCH = 3, 2.54
NO_DATA, ASCII = 42113, 2  # GDAL's tag and its type
PROFILED = (*JPEG, ".png", ".webp", *TIFF)  # formats that hold a colour profile


def save_image(array: Array, path: Path, carried: Carried | None = None) -> None:
    """Save a picture [H, W, C]; the suffix decides the format, the array its type and channels.

    Profile, resolution and georeference are saved as far as `kept` says. The file appears under its
    name only when it is complete; missing folders are created.

    Raises:
        UserError: If the format cannot hold such pictures, or the file cannot be written.
    """
    try:
        write_image(array, path, carried)
    except OSError as error:
        raise UserError(f"{path} cannot be saved ({why(error)}): check the disk and its rights.") from error


def write_image(array: Array, path: Path, carried: Carried | None = None) -> None:
    """Save a picture as `save_image` does, but raise the OSError of a file that cannot be written.

    Raises:
        UserError: If the format cannot hold such pictures.
        OSError: If the file cannot be written.
    """
    check_format(path, str(array.dtype), array.shape[2])
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(encode(array, path.suffix.lower(), carried))
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def check_format(path: Path, dtype: str, channels: int) -> None:
    """Check that a file's format can hold such pictures, before they are computed.

    Raises:
        UserError: If it cannot; names the formats that can.
    """
    fitting = [
        suffix for suffix, (types, counts) in FORMATS.items() if dtype in types and (not counts or channels in counts)
    ]
    if path.suffix.lower() not in fitting:
        what = f"{dtype} pictures of {channels} channel{'s' * (channels > 1)}"
        unknown = "" if path.suffix.lower() in FORMATS else ", and its suffix is of no format that is written here"
        raise UserError(f"{path} cannot hold {what}{unknown}: its name must end in one of {', '.join(fitting)}")


def holds(suffix: str, dtype: str, channels: int) -> bool:
    """Check whether a format can hold pictures of a type and a number of channels."""
    types, counts = FORMATS.get(suffix, ((), None))
    return dtype in types and (not counts or channels in counts)


def kept(carried: Carried, suffix: str, dtype: str, channels: int) -> tuple[Carried, list[Note]]:
    """Return what a file can hold of what belongs to a picture beside its pixels, and notes about the rest.

    Args:
        carried: Of the picture that was read.
        suffix: Of the file to write.
        dtype, channels: Of the pixels to write.
    """
    notes = [Note(f"{name} metadata, not carried over") for name in carried.metadata]
    fitting, tiff = carried, suffix in TIFF
    space = {3: b"RGB ", 4: b"RGB ", 1: b"GRAY", 2: b"GRAY"}.get(channels)
    profile = carried.profile
    if profile and not (profile[16:20] == space and (tiff or (suffix in PROFILED and dtype == "uint8"))):
        notes.append(Note("a colour profile that the result does not hold", "convert to sRGB first"))
        fitting = replace(fitting, profile=None)
    if carried.resolution and not (tiff or (suffix in WITH_RESOLUTION and dtype == "uint8")):
        notes.append(Note(f"a resolution, which {suffix} does not keep"))
        fitting = replace(fitting, resolution=None)
    if carried.tags and not tiff:
        notes.append(Note(f"a georeference, which {suffix} does not keep", "write .tif"))
        fitting = replace(fitting, tags=())
    return fitting, notes


def holding(path: Path, dtype: str, channels: int) -> Path:
    """Return the same path, with another suffix where its own format would lose something."""
    for suffix in (path.suffix.lower(), ".png", ".tif"):
        types, counts = FORMATS.get(suffix, ((), None))
        if dtype in types and (not counts or channels in counts):
            return path if suffix == path.suffix.lower() else path.with_suffix(suffix)
    raise AssertionError(".tif holds everything")


def encode(array: Array, suffix: str, carried: Carried | None = None) -> bytes:
    """Encode a picture [H, W, C] in the format of a suffix, which must be able to hold it (`check_format`)."""
    carried = carried or Carried()
    stream = BytesIO()
    if suffix == ".npy":
        np.save(stream, array)
    elif suffix in TIFF:
        _encode_tiff(stream, array, carried)
    elif array.dtype == np.uint16:
        order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[2]]
        stream.write(cv2.imencode(suffix, np.ascontiguousarray(array[..., order]))[1].tobytes())
    else:
        image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
        more: dict[str, Any] = {}
        if carried.profile and suffix in PROFILED:
            more["icc_profile"] = carried.profile
        if carried.resolution and suffix in WITH_RESOLUTION:
            x, y, unit = carried.resolution
            inches = CENTIMETRES_PER_INCH if unit == CENTIMETRE else 1
            more["dpi"] = (x * inches, y * inches)
        image.save(stream, **SAVE_OPTIONS[suffix], **more)
    return stream.getvalue()


def _encode_tiff(stream: BytesIO, array: Array, carried: Carried) -> None:
    """Write a TIFF with its georeference (GeoTIFF 1.1), resolution, profile and GDAL's number for no data."""
    channels = array.shape[2]
    colour = channels in (3, 4) and array.dtype != np.float32
    alpha = array.dtype != np.float32 and channels in (2, 4)
    tags = [(code, kind, count, value, True) for code, kind, count, value in carried.tags]
    if carried.no_data is not None:
        tags.append((NO_DATA, ASCII, len(carried.no_data) + 1, carried.no_data, True))
    x, y, unit = carried.resolution or (1.0, 1.0, 1)
    tifffile.imwrite(
        stream,
        array if channels > 1 else array[..., 0],
        photometric="rgb" if colour else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if alpha else None,
        iccprofile=carried.profile,
        resolution=(x, y) if carried.resolution else None,
        resolutionunit=unit if carried.resolution else None,
        extratags=tags,
        metadata=None,
    )


def check_output(path: Path) -> None:
    """Check that a path can be written, before anything is computed."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the picture to write, such as {path / 'out.png'}")
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path} cannot be saved: its name must end in one of {', '.join(FORMATS)}")


def check_not_overwriting(outputs: Iterable[Path], inputs: Iterable[str | Path]) -> None:
    """Raise a UserError if an output is one of the inputs, or lies in one that is a folder."""
    read = {Path(os.path.realpath(path)): given for given in inputs if (path := expanded(given)).exists()}
    folders = {path for path in read if path.is_dir()}
    files = set(read) - folders
    for output in outputs:
        if slashed(output) and not output.exists():
            raise UserError(f"{output} cannot be written{slashed(output)}: write it with /")
        target = Path(os.path.realpath(output))
        inside = next((path for path in (target, *target.parents) if path in folders), None)
        if target in files or inside:
            where = f"lies in {read[inside]}, which is read" if inside else "is read and would be overwritten"
            raise UserError(f"{output} {where}: write somewhere else")


def save(image: Any, path: Path, carried: Carried | None = None) -> None:
    array = np.asarray(image)
    save_image(array if array.ndim == 3 else array[..., None], path, carried)
