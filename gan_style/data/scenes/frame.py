"""Frame of a picture of any shape around a scene, whose coordinates are those of a square."""

from __future__ import annotations

from gan_style.core.errors import UserError
from gan_style.core.sizes import Size, as_given, height_width

MIN_SIZE = 16  # pixels of a side
MAX_SIZE = 1024


def check_size(name: str, size: Size) -> None:
    """Raise a UserError unless scenes can be drawn in this size."""
    if not all(MIN_SIZE <= side <= MAX_SIZE for side in height_width(size)):
        raise UserError(
            f"{name}={as_given(size)} must be from {MIN_SIZE} to {MAX_SIZE}, the pixels that a side of a drawn scene "
            "can have"
        )


def framed(size: Size) -> tuple[int, tuple[slice, slice]]:
    """Return where a picture of any shape lies in the square of its longer side: in the middle, and not stretched.

    A scene is drawn as that square. Pictures of other domains, labels and trees, cut alike, stay aligned.

    Returns: the side of the square, and the rows and columns of the picture in it.
    """
    height, width = height_width(size)
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return side, (slice(top, top + height), slice(left, left + width))
