"""Built-in data: procedural landscapes, each shown in two domains, such as photo and painting.

A scene is a pure function of (seed, index). Both domains show the same scene, pixel by pixel, so that the pairs can
score a translation although training never sees them together. `TASKS` names the pairs of domains.
"""

import numpy as np
from numpy.typing import NDArray

from gan_style.core.sizes import Size
from gan_style.data.scenes.frame import MAX_SIZE, MIN_SIZE, check_size
from gan_style.data.scenes.photo import MATERIALS
from gan_style.data.scenes.tasks import DEFAULT_TASK, PARTS, TASKS, Part, Scene, Task, TreeBox, find_task, starts_of

__all__ = [
    "DEFAULT_TASK",
    "MATERIALS",
    "MAX_SIZE",
    "MIN_SIZE",
    "PARTS",
    "TASKS",
    "Part",
    "Scene",
    "Task",
    "TreeBox",
    "check_size",
    "draw_scene",
    "find_task",
    "starts_of",
]


def draw_scene(seed: int, index: int, size: Size, domain: str, stroke_seed: int = 0) -> NDArray[np.uint8]:
    """Draw one scene of the task `paint`.

    Args:
        seed: Seed of the dataset, not negative.
        index: Number of the scene in the dataset, not negative.
        size: Side of a square picture, or height and width, from 16 to 1024; see `frame.framed`.
        domain: "A" for the photo, "B" for the painting of the same scene.
        stroke_seed: Another value paints the same scene with other brush strokes; photos ignore it.

    Returns:
        RGB picture, [H, W, 3] uint8.
    """
    return TASKS["paint"].draw(seed, index, size, domain, stroke_seed)
