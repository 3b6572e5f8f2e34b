"""Numbers of a file, before they are brought to the type and channels of a domain."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gan_style.data.ledger import Note
from gan_style.data.values import Array

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Carried:
    """Belongings of a picture beside its pixels, which are written again with its translation where the format can.

    Attributes:
        profile: ICC profile.
        resolution: Pixels per unit, horizontal and vertical, and the unit as in TIFF: 1 none, 2 inch, 3 centimetre.
        tags: Georeference of a TIFF: code, type and number of values, values.
        no_data: The number that stands for no data, as the file writes it; None where it names none.
        metadata: Names of what is not carried over, such as "EXIF".
    """

    profile: bytes | None = None
    resolution: tuple[float, float, int] | None = None
    tags: tuple[tuple[int, int, int, object], ...] = ()
    no_data: str | None = None
    metadata: tuple[str, ...] = ()


@dataclass
class Raw:
    """Numbers of a file as they are.

    Attributes:
        array: [H, W, C], of the file's own type; a palette is looked up, the orientation applied.
        bits: Per channel, of the file.
        alpha: Whether the last of two or four channels is transparency.
        notes: What was done to get there.
        missing: [H, W], true where the file says that it holds no data; None where it does so nowhere.
        carried: What belongs to it beside its pixels.
    """

    array: Array
    bits: int
    alpha: bool = False
    notes: list[Note] = field(default_factory=list)
    missing: Mask | None = None
    carried: Carried = field(default_factory=Carried)


def largest_valid(missing: Mask) -> tuple[slice, slice]:
    """Find the largest rectangle without a missing place, the first of several in the order of rows.

    Args:
        missing: [H, W].

    Returns:
        Rows and columns; empty where every place is missing.
    """
    heights = np.zeros(missing.shape[1], np.int64)
    best, found = 0, (slice(0, 0), slice(0, 0))
    for row, absent in enumerate(missing):
        heights = np.where(absent, 0, heights + 1)
        if heights.max(initial=0) * missing.shape[1] <= best:
            continue
        stack: list[tuple[int, int]] = []  # begin and height of rectangles that are still open, rising
        for column, height in enumerate([*heights.tolist(), 0]):
            begin = column
            while stack and stack[-1][1] >= height:
                begin, tall = stack.pop()
                if tall * (column - begin) > best:
                    best = tall * (column - begin)
                    found = (slice(row + 1 - tall, row + 1), slice(begin, column))
            stack.append((begin, height))
    return found


def with_no_data(array: Array, missing: Mask, number: float = np.nan) -> Array:
    """Mark the missing places of a result: by a number in float32, else by an alpha channel that is 0 there.

    Args:
        array: [H, W, C].
        missing: of any size; brought to that of the array by the nearest place.
        number: that stands for no data.
    """
    import cv2

    height, width = array.shape[:2]
    if missing.shape != (height, width):
        small = cv2.resize(missing.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        missing = small.astype(np.bool_)
    if array.dtype.kind == "f":
        return np.where(missing[..., None], np.array(number, array.dtype), array)
    opaque = np.where(missing, 0, np.iinfo(array.dtype).max).astype(array.dtype)
    return np.concatenate([array, opaque[..., None]], axis=2)


def filled(array: Array, missing: Mask) -> Array:
    """Replace each missing place by the nearest one that holds data, so that networks see no edge that is not there.

    Args:
        array: [H, W, C].
        missing: [H, W]; at least one place is not.
    """
    from scipy.ndimage import distance_transform_edt  # takes a while

    rows, columns = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return np.asarray(array[rows, columns])
