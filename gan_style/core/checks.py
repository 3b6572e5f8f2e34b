"""Checks of numbers and pictures that a user gave."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from gan_style.core.errors import UserError
from gan_style.core.quoting import shortened

if TYPE_CHECKING:  # verbs that only check what was typed do without the import
    from torch import Tensor


def is_number(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Check whether a value is a finite number from `low` to `high`; booleans and texts are not."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value) and low <= float(value) <= high
    except OverflowError:  # a whole number that no float holds
        return False


def shown(value: Any) -> str:
    """Format a value that a caller gave for a message: a text in quotes, a number with six digits."""
    if isinstance(value, Real) and not isinstance(value, (bool, Integral)):
        return f"{float(value):g}"
    return shortened(repr(value))


def require_whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise a UserError unless a value is a whole number from `low` to `high`."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        most = "" if high is None else f" and at most {high}"
        raise UserError(f"{name}={shown(value)} is not valid: give a whole number of at least {low}{most}")


def require_finite(images: Tensor, sentence: str) -> None:
    """Raise a UserError with this sentence if a value is NaN or infinite; a file would show it as black."""
    if not bool(images.isfinite().all()):
        raise UserError(sentence)
