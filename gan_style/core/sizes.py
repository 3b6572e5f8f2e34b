"""Sizes of pictures in pixels: N is a square of side N, [H, W] is height and width."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from gan_style.core.errors import UserError
from gan_style.core.quoting import shortened

WANTED = "give N, the side of a square, or [H,W], height and width, in whole pixels of 1 or more"


def parsed(value: Any) -> int | tuple[int, int] | None:
    """Parse a size that a user or a file gave: N, two numbers, or a text such as "[64,96]".

    Returns: the side where it is a square, else (height, width); None where it is no size.
    """
    if isinstance(value, str) and "," in value:
        value = value.strip("[] ").split(",")
    parts = [*value] if isinstance(value, list | tuple) else [value, value]
    sides = [side for side in map(_side, parts) if side is not None]
    if len(sides) != 2 or len(parts) != 2:
        return None
    return sides[0] if sides[0] == sides[1] else (sides[0], sides[1])


def _side(value: Any) -> int | None:
    """Return a whole number of 1 or more; None for any other value."""
    if isinstance(value, str):
        value = int(value) if value.strip().isdecimal() and len(value) < 10 else None
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = int(value)
        return value if value >= 1 else None
    return int(value) if isinstance(value, float) and value >= 1 and value.is_integer() else None


def _validated(value: Any) -> int | tuple[int, int]:
    found = parsed(value)
    if found is None:
        raise PydanticCustomError("size", WANTED)
    return found


Size = Annotated[int | tuple[int, int], BeforeValidator(_validated)]


def sized(name: str, value: Any) -> Size:
    """Return a size as one number where it is a square, else as (height, width).

    Args:
        name: of the key or argument, for the message.
        value: see `parsed`.

    Raises:
        UserError: it is no size.
    """
    found = parsed(value)
    if found is None:
        raise UserError(f"{name}={shortened(value)} is not valid: {WANTED}")
    return found


def height_width(size: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width of a size, which may come from a file."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def pixels_of(size: int | Sequence[int]) -> int:
    """Return the area of a size in pixels."""
    height, width = height_width(size)
    return height * width


def stored(size: Size) -> int | list[int]:
    """Return a size as files hold it: the side of a square, as ever, or a list of height and width."""
    return size if isinstance(size, int) else [*size]


def as_given(size: Size) -> str:
    """Format a size as a command takes it: 64, or [64,96]."""
    return str(size) if isinstance(size, int) else f"[{size[0]},{size[1]}]"


def in_pixels(size: int | Sequence[int]) -> str:
    """Format a size for a reader: "64 px", or "64x96 px (height x width)"."""
    height, width = height_width(size)
    return f"{height} px" if height == width else f"{height}x{width} px (height x width)"
