"""DICOM files, read by pydicom."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from gan_style.core.budget import check_pixels
from gan_style.core.errors import ContentError, UserError
from gan_style.data.containers import damaged
from gan_style.data.packed import dicom_unpacks_to_more
from gan_style.data.values import Array


def read_dicom(data: bytes) -> Array:
    """Read the numbers of a DICOM file, [H, W, C], in modality units where it defines them.

    Raises:
        ContentError: If it cannot be read, or holds several slices.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ContentError("is a DICOM file: pip install 'gan-style[dicom]' to read such files") from error
    try:
        if dicom_unpacks_to_more(data):
            raise ValueError("it unpacks to far more than such a picture holds")
        dataset = pydicom.dcmread(BytesIO(data))
        slices = int(dataset.get("NumberOfFrames", 1) or 1) * int(dataset.get("SamplesPerPixel", 1))
        check_pixels(int(dataset.Columns), int(dataset.Rows), slices)
        array, kind = np.asarray(dataset.pixel_array), dataset.PhotometricInterpretation
        if kind == "PALETTE COLOR":
            array = pydicom.pixels.apply_color_lut(array, dataset)
        elif kind == "MONOCHROME1":  # its lowest value is white
            array = (-1 if dataset.PixelRepresentation else 2**dataset.BitsStored - 1) - array
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    except UserError:
        raise
    except Exception as error:  # pydicom's own errors have no common class
        raise damaged("DICOM", error) from error
    if (slope, intercept) != (1.0, 0.0):
        array = (array * slope + intercept).astype(np.float32)  # modality units, such as Hounsfield's
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] > 4):
        raise ContentError(f"holds {array.shape[0]} slices: save each slice as a file of its own")
    return array[..., None] if array.ndim == 2 else array
