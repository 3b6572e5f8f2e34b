"""Prediction of the cost of large crops from trials with small ones. Plain numbers: no torch, no config."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gan_style.core.errors import UserError
from gan_style.core.sizes import Size, height_width, pixels_of, sized

MAX_TRIAL_SIDE = 160  # pixels; up to here the crop itself is tried
SECOND_TRIAL_SIDE = 96  # pixels, where the target is larger; both are multiples of 32, for U-Nets
MIN_TRIAL_SIDE = 16  # pixels, the least that drawn data can have
UNITS = {"MB": 1e6, "GB": 1e9, "TB": 1e12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class Line:
    """Line y = start + slope * x that never falls; x is the pixels of a batch, height * width * pictures."""

    start: float
    slope: float

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> Line:
        """Fit the line through the first and the last of some (x, y), or a flat one where that would fall.

        Args:
            points: at least one; the line passes exactly through the last.
        """
        (x1, y1), (x2, y2) = min(points), max(points)
        slope = max(0.0, (y2 - y1) / (x2 - x1)) if x2 > x1 else 0.0
        return cls(y2 - slope * x2, slope)

    def at(self, pixels: float) -> float:
        return self.start + self.slope * pixels


@dataclass(frozen=True)
class Cost:
    """Cost of an iteration as a function of the pixels of a batch.

    Args:
        memory: peak in bytes.
        seconds: of an iteration.
        flops: of an iteration, a multiplication and an addition being two.
    """

    memory: Line
    seconds: Line
    flops: Line


def trial_sizes(image_size: Size, smallest: int, step: int = 4) -> tuple[Size, Size]:
    """Choose the two crops that are tried: the target and its half, or two smaller squares where it is large.

    Args:
        image_size: of the target's crops.
        smallest: of a side that the networks need.
        step: the sides are multiples of it.

    Returns: two different sizes, the smaller one first.
    """
    if pixels_of(image_size) > MAX_TRIAL_SIDE**2 and smallest <= SECOND_TRIAL_SIDE:
        return SECOND_TRIAL_SIDE, MAX_TRIAL_SIDE
    sides = height_width(image_size)
    half = sized("half", [max(-(-smallest // step) * step, side // 2 // step * step, MIN_TRIAL_SIDE) for side in sides])
    if pixels_of(half) < pixels_of(image_size):
        return half, image_size
    return image_size, sized("double", [2 * side for side in sides])


def trial_batch(image_size: Size, batch_size: int) -> int:
    """Return the batch size of a trial: the target's, or 1 where that would take too many pixels."""
    return batch_size if batch_size * pixels_of(image_size) <= MAX_TRIAL_SIDE**2 else 1


def bytes_of(text: str, word: str = "--memory") -> float:
    """Parse `8GB`, `800MB`, `7.5GiB` to bytes; GB are 1e9, as in metrics.csv.

    Raises:
        UserError: not a positive number with a unit.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]i?B)", text.strip(), re.IGNORECASE)
    if not found or found[2].upper() not in UNITS or float(found[1]) == 0:
        raise UserError(f"{word} {text} is not an amount of memory: write a number and a unit, such as {word} 8GB")
    return float(found[1]) * UNITS[found[2].upper()]


def hours_of(text: str) -> float:
    """Parse a positive number of hours.

    Raises:
        UserError: it is not one.
    """
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours < float("inf"):
        raise UserError(f"--hours {text} is not a number of hours: write one above 0, such as --hours 24")
    return hours
