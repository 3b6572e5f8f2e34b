"""What a look shows: numbers in, for each failure whether it is there. One look; `course.py` wants several.

The thresholds and their reasons are in docs/troubleshooting.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

ALIKE = 0.05  # of the spread
NEGATIVE = -0.5  # correlation
AT_LIMITS = 0.5  # share of the values, above that of real pictures
CERTAIN = 0.95  # mean certainty of a discriminator
RIGHT = 0.995  # share of patches told right
UNCHANGED = 0.02  # of [0, 2], 2.5 of 255 grey levels
VISIBLE = 0.05  # deviation of a grid, 6 of 255 grey levels
ABOVE_REAL = 3.0  # times that of real pictures
EXPLODED = 100.0  # times the first norms
HONEST = 0.5

Numbers = Mapping[str, float]
Look = dict[tuple[str, str], tuple[bool, str]]  # (code, where) -> whether it is there, and the numbers


def examine(numbers: Numbers) -> Look:
    """Everything that these numbers say.

    Args:
        numbers: as `statistics.measure` names them; `D_B/certainty` and `D_B/right`, `G/growth`, `G_gan_B/slope`,
            `A2B/honesty` beside them. What is missing or NaN is not judged.
    """
    found: Look = {}
    for name in sorted({key.rsplit("/", 1)[0] for key in numbers}):
        own = {key.rsplit("/", 1)[1]: value for key, value in numbers.items() if key.rsplit("/", 1)[0] == name}
        for code, (needed, detector) in DETECTORS.items():
            values = [own.get(key, math.nan) for key in needed]
            if not any(math.isnan(value) for value in values):
                found[code, name] = detector(*values)
    return found


def collapse(spread: float) -> tuple[bool, str]:
    return spread < ALIKE, f"outputs vary {spread:.3f} times as much as inputs"


def inversion(correlation: float) -> tuple[bool, str]:
    return correlation < NEGATIVE, f"luminance correlates by {correlation:.2f}"


def saturation(share: float, real: float) -> tuple[bool, str]:
    return share - real > AT_LIMITS, f"{share:.0%} of the values, {real:.0%} in real pictures"


def strong_discriminator(certainty: float, right: float) -> tuple[bool, str]:
    strong = certainty > CERTAIN and right >= RIGHT
    return strong, f"{right:.1%} of patches right, margin {certainty:.3f} of 1"


def no_change(moved: float) -> tuple[bool, str]:
    return moved < UNCHANGED, f"mean difference {moved:.4f} on [-1, 1]"


def checkerboard(grid: float, real: float) -> tuple[bool, str]:
    return grid > max(VISIBLE, ABOVE_REAL * real), f"amplitude {grid:.3f}, {real:.3f} in real pictures"


def exploding_gradients(growth: float) -> tuple[bool, str]:
    return growth > EXPLODED, f"norm {growth:.3g} times the first ones"


def frozen_term(slope: float) -> tuple[bool, str]:
    return slope == 0, "no gradient to any picture or weight"


def hidden_cycle(honesty: float) -> tuple[bool, str]:
    return honesty < HONEST, f"honesty {honesty:.2f} of 1"


DETECTORS: dict[str, tuple[tuple[str, ...], Callable[..., tuple[bool, str]]]] = {
    "collapse": (("spread",), collapse),
    "inversion": (("correlation",), inversion),
    "saturation": (("saturated", "saturated_real"), saturation),
    "strong-discriminator": (("certainty", "right"), strong_discriminator),
    "no-change": (("moved",), no_change),
    "checkerboard": (("grid", "grid_real"), checkerboard),
    "exploding-gradients": (("growth",), exploding_gradients),
    "frozen-term": (("slope",), frozen_term),
    "hidden-cycle": (("honesty",), hidden_cycle),
}
