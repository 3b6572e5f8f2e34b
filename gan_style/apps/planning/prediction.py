"""From trials at small crops to what the full ones cost. Plain numbers: no torch, no config."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gan_style.core.errors import UserError

LARGEST_TRIAL = 160  # pixels of a side; up to here the crop itself is tried
SMALLER_TRIAL = 96  # the second crop where the target is larger; both are multiples of 32, as U-nets want
UNITS = {"MB": 1e6, "GB": 1e9, "TB": 1e12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class Line:
    """y = start + slope * x, with x the pixels of a batch: side * side * pictures. Never falls."""

    start: float
    slope: float

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> Line:
        """The line through the first and the last of some (x, y), or a flat one where that would fall.

        Args:
            points: at least one; the last is met exactly.
        """
        (x1, y1), (x2, y2) = min(points), max(points)
        slope = max(0.0, (y2 - y1) / (x2 - x1)) if x2 > x1 else 0.0
        return cls(y2 - slope * x2, slope)

    def at(self, pixels: float) -> float:
        return self.start + self.slope * pixels


@dataclass(frozen=True)
class Cost:
    """What an iteration costs as a function of the pixels of a batch.

    Args:
        memory: peak in bytes.
        seconds: of an iteration.
        flops: of an iteration, a multiplication and an addition being two.
    """

    memory: Line
    seconds: Line
    flops: Line


def trial_sizes(image_size: int, smallest: int, step: int = 4) -> tuple[int, int]:
    """The two crops that are tried: the target and its half, or two smaller ones where it is large.

    Args:
        image_size: side of the target's crops.
        smallest: side that the networks need.
        step: of which the sides are multiples.

    Returns: two different sides, the smaller one first.
    """
    if image_size > LARGEST_TRIAL and smallest <= SMALLER_TRIAL:
        return SMALLER_TRIAL, LARGEST_TRIAL
    half = max(-(-smallest // step) * step, image_size // 2 // step * step, step)
    return (half, image_size) if half < image_size else (image_size, 2 * image_size)


def trial_batch(image_size: int, batch_size: int) -> int:
    """Pictures of a trial's batch: the target's, or 1 where they are more than a trial should take."""
    return batch_size if batch_size * image_size**2 <= LARGEST_TRIAL**2 else 1


def bytes_of(text: str, word: str = "--memory") -> float:
    """`8GB`, `800MB`, `7.5GiB` in bytes; GB are 1e9, as in metrics.csv.

    Raises:
        UserError: not a positive number with a unit.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]i?B)", text.strip(), re.IGNORECASE)
    if not found or found[2].upper() not in UNITS or float(found[1]) == 0:
        raise UserError(f"{word} {text} is not an amount of memory: write a number and a unit, such as {word} 8GB")
    return float(found[1]) * UNITS[found[2].upper()]


def hours_of(text: str) -> float:
    """A positive number of hours.

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
