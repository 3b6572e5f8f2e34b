"""Detectors: for each failure, whether numbers of one check show it. `course.py` waits for several checks.

The thresholds and their reasons are in docs/troubleshooting.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from gan_style.training.doctor.statistics import MAX_GRID_TO_REAL

# Numbers beyond these bounds show a failure.
MIN_SPREAD = 0.05  # standard deviation of outputs by that of inputs or targets
MIN_CORRELATION = -0.5  # of the luminance of input and output
MAX_SATURATED_EXCESS = 0.5  # share of values at the limits, less that of real pictures
MAX_CERTAINTY = 0.95  # mean margin of a discriminator, of 1
MAX_SHARE_RIGHT = 0.995  # of patches that a discriminator classifies correctly
MIN_DIFFERENCE = 0.02  # mean absolute difference of output and input on [-1, 1]: 2.5 of 255 grey levels
MAX_GRID = 0.004  # standard deviation of a grid on [-1, 1]: half a grey level of 255
MIN_DETAIL = 0.25  # energy of fine detail by that of the target domain's pictures
MAX_GROWTH = 100.0  # ratio of a gradient's norm to the first ones
MIN_HONESTY = 0.5  # of 1; see callbacks/cycle_scores.py
MIN_RENDITION_DIFFERENCE = 0.004  # mean, on [-1, 1]: half a grey level of 255; see callbacks/noise_scores.py

Numbers = Mapping[str, float]
Look = dict[tuple[str, str], tuple[bool, str]]  # (code, where) -> whether the failure shows, and the numbers


def examine(numbers: Numbers) -> Look:
    """Apply every detector whose numbers are there.

    Args:
        numbers: as `statistics.measure` names them; `D_B/certainty` and `D_B/right`, `G/growth`, `G_gan_B/slope`,
            `A2B/honesty` and `A2B/renditions` in addition. Detectors whose numbers are missing or NaN are skipped.
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
    return spread < MIN_SPREAD, f"outputs vary {spread:.3f} times as much as inputs"


def inversion(correlation: float) -> tuple[bool, str]:
    return correlation < MIN_CORRELATION, f"luminance correlates by {correlation:.2f}"


def saturation(share: float, real: float) -> tuple[bool, str]:
    return share - real > MAX_SATURATED_EXCESS, f"{share:.0%} of the values, {real:.0%} in real pictures"


def strong_discriminator(certainty: float, right: float) -> tuple[bool, str]:
    strong = certainty > MAX_CERTAINTY and right >= MAX_SHARE_RIGHT
    return strong, f"{right:.1%} of patches right, margin {certainty:.3f} of 1"


def no_change(moved: float) -> tuple[bool, str]:
    return moved < MIN_DIFFERENCE, f"mean difference {moved:.4f} on [-1, 1]"


def checkerboard(grid: float, real: float, stride: float) -> tuple[bool, str]:
    shows = grid > MAX_GRID + MAX_GRID_TO_REAL * real
    return shows, f"every {stride:.0f} pixels, amplitude {grid:.3f} on [-1, 1], {real:.3f} in real pictures"


def blur(detail: float) -> tuple[bool, str]:
    return detail < MIN_DETAIL, f"{detail:.0%} of the fine detail of real pictures"


def exploding_gradients(growth: float) -> tuple[bool, str]:
    return growth > MAX_GROWTH, f"norm {growth:.3g} times the first ones"


def frozen_term(slope: float) -> tuple[bool, str]:
    return slope == 0, "no gradient to any picture or weight"


def hidden_cycle(honesty: float) -> tuple[bool, str]:
    return honesty < MIN_HONESTY, f"honesty {honesty:.2f} of 1"


def ignored_noise(difference: float) -> tuple[bool, str]:
    seen = f"renditions by other noise differ by {255 / 2 * difference:.2f} of 255"
    return difference < MIN_RENDITION_DIFFERENCE, seen


DETECTORS: dict[str, tuple[tuple[str, ...], Callable[..., tuple[bool, str]]]] = {
    "collapse": (("spread",), collapse),
    "inversion": (("correlation",), inversion),
    "saturation": (("saturated", "saturated_real"), saturation),
    "strong-discriminator": (("certainty", "right"), strong_discriminator),
    "no-change": (("moved",), no_change),
    "checkerboard": (("grid", "grid_real", "stride"), checkerboard),
    "blur": (("detail",), blur),
    "exploding-gradients": (("growth",), exploding_gradients),
    "frozen-term": (("slope",), frozen_term),
    "hidden-cycle": (("honesty",), hidden_cycle),
    "ignored-noise": (("renditions",), ignored_noise),
}
