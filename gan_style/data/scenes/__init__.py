"""Built-in data set: procedural landscapes, as photos (domain A) and as paintings (domain B).

A scene is a pure function of (seed, index). Both domains show the same scene, pixel by pixel, so that the pairs can
score a translation although training never sees them together.
"""

import numpy as np
from numpy.typing import NDArray

from gan_style.core.errors import UserError
from gan_style.data.scenes.geometry import compose
from gan_style.data.scenes.painting import render_painting
from gan_style.data.scenes.photo import render_photo

__all__ = ["MAX_SIZE", "MIN_SIZE", "check_size", "draw_scene"]

MIN_SIZE = 16
MAX_SIZE = 1024


def check_size(name: str, size: int) -> None:
    """Raise a UserError unless scenes can be drawn in this size."""
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise UserError(
            f"{name}={size} must be from {MIN_SIZE} to {MAX_SIZE}, the pixels that a side of a drawn scene can have"
        )


def draw_scene(seed: int, index: int, size: int, domain: str, stroke_seed: int = 0) -> NDArray[np.uint8]:
    """Draw one scene.

    Args:
        seed: Seed of the dataset, not negative.
        index: Number of the scene in the dataset, not negative.
        size: Side of the square picture, from 16 to 1024.
        domain: "A" for the photo, "B" for the painting of the same scene.
        stroke_seed: Another value paints the same scene with other brush strokes; photos ignore it.

    Returns:
        RGB picture, [size, size, 3] uint8.
    """
    if domain not in ("A", "B"):
        raise ValueError(f'domain must be "A" or "B", got {domain!r}')
    check_size("size", size)
    rng = np.random.default_rng([seed, index])
    image = render_photo(compose(rng), rng, size)
    rgb = render_painting(image, np.random.default_rng([seed, index, stroke_seed])) if domain == "B" else image.rgb
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
