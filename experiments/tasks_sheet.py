"""Draw the tasks of `data=scenes` on one sheet: `python experiments/tasks_sheet.py docs/tasks.jpg [SIZE [ZOOM]]`.

A row is a task. Its pairs show test scenes in A and in B; of `unshared` and `shifted`, whose training sets differ in
more than the domain, the sheet shows training pictures instead: four of A, then four of B. `few` looks like `paint`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_style.core.terminal import Parser
from gan_style.data.scenes import TASKS, Task

PAIRS, FIRST_SCENE = 4, 800
OF_TRAINING = ("unshared", "shifted")
FIRST_TRAINING_SCENE = {"A": 1, "B": 403}


def row(task: Task, size: int) -> list[NDArray[np.uint8]]:
    """The eight pictures of a task."""
    if task.name in OF_TRAINING:
        return [
            task.draw(0, FIRST_TRAINING_SCENE[domain] + i, size, domain, part="trainA" if domain == "A" else "trainB")
            for domain in "AB"
            for i in range(PAIRS)
        ]
    return [task.draw(0, FIRST_SCENE + i, size, domain) for i in range(PAIRS) for domain in "AB"]


def draw(path: str, size: int, zoom: int) -> None:
    """Write the sheet.

    Args:
        path: of the picture.
        size: side of each scene.
        zoom: how often a pixel is repeated.
    """
    margin = np.full((size, max(2, size // 24), 3), 255, np.uint8)
    rows = []
    for task in (task for task in TASKS.values() if task.name != "few"):
        images = row(task, size)
        pairs = [np.concatenate([*images[i : i + 2], margin], axis=1) for i in range(0, len(images), 2)]
        rows += [np.concatenate(pairs, axis=1), np.full((margin.shape[1], pairs[0].shape[1] * PAIRS, 3), 255, np.uint8)]
    sheet = np.concatenate(rows)
    Image.fromarray(sheet.repeat(zoom, axis=0).repeat(zoom, axis=1)).save(path, quality=85)


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("path", metavar="PATH", help="the picture to write")
    parser.add_argument("size", type=int, nargs="?", default=96, metavar="SIZE", help="side of each scene; 96")
    parser.add_argument("zoom", type=int, nargs="?", default=1, metavar="ZOOM", help="how often a pixel is repeated; 1")
    given = parser.parse_args()
    draw(given.path, given.size, given.zoom)


if __name__ == "__main__":
    main()
