"""DICOM files, read by pydicom: physical values where the file defines them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from gan_style.core.budget import check_pixels
from gan_style.core.errors import ContentError, UserError
from gan_style.data.containers import damaged
from gan_style.data.ledger import FURTHER_PICTURES, Note
from gan_style.data.packed import dicom_unpacks_to_more
from gan_style.data.raw import Carried, Mask, Raw
from gan_style.data.values import Array


def read_dicom(data: bytes) -> Raw:
    """Read the first frame of a DICOM file, [H, W, C], in modality units where it defines them (PS3.3, C.11.1).

    MONOCHROME1, whose lowest value is white, is turned over only where its values have no unit: what has one, such as
    Hounsfield's, keeps it. Padding (PS3.3, C.7.5.1.1.2) is missing.

    Raises:
        ContentError: If it cannot be read.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ContentError("is a DICOM file: pip install 'gan-style[dicom]' to read such files") from error
    try:
        if dicom_unpacks_to_more(data):
            raise ValueError("it unpacks to far more than such a picture holds")
        dataset: Any = pydicom.dcmread(BytesIO(data), force=True)  # also without the preamble
        if "PixelData" not in dataset and "FloatPixelData" not in dataset and "DoubleFloatPixelData" not in dataset:
            raise ContentError("is a DICOM file without pixels: copy it again or remove it")
        frames = int(dataset.get("NumberOfFrames", 1) or 1)
        check_pixels(int(dataset.Columns), int(dataset.Rows), int(dataset.get("SamplesPerPixel", 1)))
        stored = np.asarray(pydicom.pixels.pixel_array(dataset, index=0))
        return _physical(pydicom, dataset, stored, frames)
    except UserError:
        raise
    except Exception as error:  # pydicom's own errors have no common class
        raise damaged("DICOM", error) from error


def _physical(pydicom: Any, dataset: Any, stored: Array, frames: int) -> Raw:
    """Apply the modality's steps to the stored values of one frame."""
    notes = [] if frames == 1 else [FURTHER_PICTURES]
    kind = str(dataset.PhotometricInterpretation)
    stored = _extended(dataset, stored)
    array, bits = stored, int(dataset.get("BitsStored", 8 * stored.dtype.itemsize))
    if kind == "PALETTE COLOR":
        array = pydicom.pixels.apply_color_lut(stored, dataset)
        bits = 8 * array.dtype.itemsize
        notes.append(Note("palette to RGB"))
    elif kind.startswith("YBR"):
        notes.append(Note(f"{kind} to RGB"))  # by pydicom
    if "ModalityLUTSequence" in dataset or _rescaled(dataset):
        if "ModalityLUTSequence" in dataset:
            array = pydicom.pixels.apply_modality_lut(stored, dataset)
        else:
            array = stored * float(dataset.get("RescaleSlope", 1) or 1) + float(dataset.get("RescaleIntercept", 0) or 0)
        bits = 8 * array.dtype.itemsize
        by = "its table" if "ModalityLUTSequence" in dataset else "slope and intercept"
        notes.append(Note(f"values brought to the modality's units by {by}"))
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        if kind == "MONOCHROME1":
            notes.append(Note("MONOCHROME1, whose low values are white; not turned over, for they have a unit"))
    elif kind == "MONOCHROME1" and stored.dtype.kind == "f":
        notes.append(Note("MONOCHROME1, whose low values are white; not turned over, for they have no largest one"))
    elif kind == "MONOCHROME1":
        array = (-1 if dataset.PixelRepresentation else 2 ** int(dataset.BitsStored) - 1) - stored
        array = array.astype(stored.dtype)
        notes.append(Note("MONOCHROME1, whose low values are white, turned over"))
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] > 4:
        raise ContentError(f"holds a picture of shape {list(array.shape)}: save each slice as a file of its own")
    missing, carried = _padding(dataset, stored), Carried(metadata=("DICOM",))
    return Raw(array, bits, alpha=False, notes=notes, missing=missing, carried=carried)


def _extended(dataset: Any, stored: Array) -> Array:
    """Drop bits above those that are stored, where old files keep overlays, and carry the sign up to them."""
    bits = int(dataset.get("BitsStored", 0) or 0)
    spare = 8 * stored.dtype.itemsize - bits
    if stored.dtype.kind not in "iu" or stored.ndim != 2 or not bits or spare <= 0 or dataset.HighBit != bits - 1:
        return stored
    return np.asarray((stored << spare) >> spare)


def _rescaled(dataset: Any) -> bool:
    """Check whether slope and intercept change the values, or give them a unit."""
    if str(dataset.get("RescaleType", "") or "US") != "US":  # unspecified
        return True
    return (float(dataset.get("RescaleSlope", 1) or 1), float(dataset.get("RescaleIntercept", 0) or 0)) != (1.0, 0.0)


def _padding(dataset: Any, stored: Array) -> Mask | None:
    """Return where the stored values are padding, [H, W]; None where none is."""
    if "PixelPaddingValue" not in dataset or stored.ndim != 2:
        return None
    signed = bool(dataset.PixelRepresentation)
    low = _as_stored(dataset.PixelPaddingValue, signed)
    high = _as_stored(dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue), signed)
    missing: Mask = (stored >= min(low, high)) & (stored <= max(low, high))
    return missing if missing.any() else None


def _as_stored(value: Any, signed: bool) -> int:
    """Return a padding value as the pixels hold it: some writers give it the other sign's representation."""
    number = int.from_bytes(value, "little") if isinstance(value, bytes) else int(value)
    if signed and number > 32767:
        return number - 65536
    return number + 65536 if not signed and number < 0 else number
