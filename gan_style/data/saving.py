"""Saving of pictures: complete or not at all, and only in a format that can hold them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, why
from gan_style.data.images import SUFFIXES
from gan_style.data.values import Array

TIFF = (".tif", ".tiff")
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".png": {
        "format": "PNG",
        "compress_level": 1,
    },  # 1% larger than level 6, in half the time
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
    ".bmp": {"format": "BMP"},
    ".tif": {"format": "TIFF"},
    ".tiff": {"format": "TIFF"},
}
# Types and numbers of channels that each format can hold (None: any number).
FORMATS: dict[str, tuple[tuple[str, ...], tuple[int, ...] | None]] = {
    ".png": (("uint8", "uint16"), (1, 3, 4)),
    ".jpg": (("uint8",), (1, 3)),
    ".jpeg": (("uint8",), (1, 3)),
    ".webp": (("uint8",), (3, 4)),
    ".bmp": (("uint8",), (1, 3)),
    ".tif": (("uint8", "uint16", "float32"), None),
    ".tiff": (("uint8", "uint16", "float32"), None),
    ".npy": (("uint8", "uint16", "float32"), None),
}
PROFILED = (".jpg", ".jpeg", ".png", ".webp", *TIFF)  # formats that hold a colour profile


def save_image(array: Array, path: Path, profile: bytes | None = None) -> None:
    """Save a picture [H, W, C]; the suffix decides the format, the array its type and channels.

    The ICC profile is saved in 8-bit JPEG, PNG, WebP and TIFF files, and left out of others. The file appears under its
    name only when it is complete; missing folders are created.

    Raises:
        UserError: If the format cannot hold such pictures, or the file cannot be written.
    """
    try:
        write_image(array, path, profile)
    except OSError as error:
        raise UserError(f"{path} cannot be saved ({why(error)}): check the disk and its rights.") from error


def write_image(array: Array, path: Path, profile: bytes | None = None) -> None:
    """Save a picture as `save_image` does, but raise the OSError of a file that cannot be written.

    Raises:
        UserError: If the format cannot hold such pictures.
        OSError: If the file cannot be written.
    """
    check_format(path, str(array.dtype), array.shape[2])
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(encode(array, path.suffix.lower(), profile))
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


def holding(path: Path, dtype: str, channels: int) -> Path:
    """Return the same path, with another suffix where its own format would lose something."""
    for suffix in (path.suffix.lower(), ".png", ".tif"):
        types, counts = FORMATS.get(suffix, ((), None))
        if dtype in types and (not counts or channels in counts):
            return path if suffix == path.suffix.lower() else path.with_suffix(suffix)
    raise AssertionError(".tif holds everything")


def encode(array: Array, suffix: str, profile: bytes | None = None) -> bytes:
    """Encode a picture [H, W, C] in the format of a suffix, which must be able to hold it (`check_format`)."""
    stream = BytesIO()
    if suffix == ".npy":
        np.save(stream, array)
    elif suffix in TIFF and (array.dtype != np.uint8 or array.shape[2] not in (1, 3, 4)):
        colour = array.shape[2] in (3, 4) and array.dtype != np.float32
        tifffile.imwrite(
            stream,
            array if array.shape[2] > 1 else array[..., 0],
            photometric="rgb" if colour else "minisblack",
            planarconfig="contig" if array.shape[2] > 1 else None,
            extrasamples=["unassalpha"] if colour and array.shape[2] == 4 else None,
            metadata=None,
        )
    elif array.dtype == np.uint16:
        order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[2]]
        stream.write(cv2.imencode(suffix, np.ascontiguousarray(array[..., order]))[1].tobytes())
    else:
        image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
        kept: dict[str, Any] = {"icc_profile": profile} if profile and suffix in PROFILED else {}
        image.save(stream, **SAVE_OPTIONS[suffix], **kept)
    return stream.getvalue()


def check_output(path: Path) -> None:
    """Check that a path can be written, before anything is computed."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the picture to write, such as {path / 'out.png'}")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} cannot be saved: its name must end in one of {', '.join(SUFFIXES)}")


def check_not_overwriting(outputs: Iterable[Path], inputs: Iterable[str | Path]) -> None:
    """Raise a UserError if an output is one of the inputs, or lies in one that is a folder."""
    read = {Path(os.path.realpath(path)): given for given in inputs if (path := expanded(given)).exists()}
    folders = {path for path in read if path.is_dir()}
    files = set(read) - folders
    for output in outputs:
        target = Path(os.path.realpath(output))
        inside = next((path for path in (target, *target.parents) if path in folders), None)
        if target in files or inside:
            where = f"lies in {read[inside]}, which is read" if inside else "is read and would be overwritten"
            raise UserError(f"{output} {where}: write somewhere else")


def save(image: Any, path: Path, profile: bytes | None = None) -> None:
    array = np.asarray(image)
    save_image(array if array.ndim == 3 else array[..., None], path, profile)
