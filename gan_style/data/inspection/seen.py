"""Picture files as people see them, with the numbers behind them: one read and one full decode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_style.core.errors import ContentError, UserError
from gan_style.data.containers import sniff
from gan_style.data.decoding import composite, decode
from gan_style.data.files import RAW, fit, notes_of, read_raw
from gan_style.data.ledger import Note
from gan_style.data.opened import OpenedImage, named_bytes, open_bytes
from gan_style.data.raw import filled
from gan_style.data.values import Array, ValueRange


@dataclass(frozen=True)
class Seen:
    """Content of a file.

    Attributes:
        bytes: of the file.
        opened: its header; None for numbers that no picture decoder reads.
        numbers: as stored, [H, W, C], in the machine's byte order; for a picture with 8 bits the same array as `shown`.
        shown: RGB uint8. More than 8 bits are scaled by the picture's own range, further channels are left out.
        low: smallest number, transparency aside.
        high: largest, likewise.
        kind: key of `facts.SUFFIXES_OF`, from the content.
        notes: what reading it does beside.
    """

    bytes: int
    opened: OpenedImage | None
    numbers: Array
    shown: NDArray[np.uint8]
    low: float
    high: float
    kind: str
    notes: tuple[Note, ...] = ()


def look_at(path: Path) -> Seen:
    """Read and decode a file once.

    Raises:
        UserError: If training would not read it, whatever the settings.
    """
    with named_bytes(path) as data:
        opened: OpenedImage | None = None
        try:
            opened = open_bytes(data)
            if opened.bits <= 8:
                pixels = decode(opened)
                if opened.kind not in RAW:
                    notes = tuple(opened.notes(ValueRange()))
                    low, high = int(pixels.min()), int(pixels.max())
                    return Seen(len(data), opened, pixels, pixels, low, high, opened.kind, notes)
        except UserError:
            if sniff(data) not in RAW:
                raise
        return _look_at_numbers(data, opened)


def _look_at_numbers(data: bytes, opened: OpenedImage | None) -> Seen:
    raw = read_raw(data)
    numbers = raw.array
    if numbers.dtype.kind not in "buif":
        raise ContentError(f"holds {numbers.dtype} values, but a picture holds numbers: save it as float32")
    if numbers.dtype.kind == "f":
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is refused
            fit(numbers, ValueRange("float32", 0, 1, numbers.shape[2]), missing=raw.missing)
    numbers = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    if numbers.dtype not in (np.uint8, np.uint16):
        opened = None
    colours = numbers
    if opened is not None and opened.has_alpha and numbers.shape[2] in (2, 4):
        colours = composite(numbers, 255 if numbers.dtype == np.uint8 else 2**opened.bits - 1)
    present = colours if raw.missing is None or raw.missing.all() else colours[~raw.missing]
    low, high = float(present.min()), float(present.max())
    seen = colours if raw.missing is None or raw.missing.all() else filled(colours, raw.missing)
    return Seen(len(data), opened, numbers, _show(seen), low, high, sniff(data), tuple(notes_of(raw)))


def _show(colours: Array) -> NDArray[np.uint8]:
    """Convert [H, W, C] to RGB: the first three channels, or the first one of fewer."""
    chosen = colours[..., :3] if colours.shape[2] > 2 else np.repeat(colours[..., :1], 3, axis=2)
    if chosen.dtype == np.bool_:
        chosen = chosen.astype(np.uint8) * np.uint8(255)
    if chosen.dtype != np.uint8:
        wide = chosen.astype(np.float64)
        low, high = wide.min(), wide.max()
        chosen = ((wide - low) / (high - low or 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(chosen)
