"""Translations of test pictures by generators that draw noise: each picture by noise of its own, and renditions of one.

With the same noise in all pictures a stroke stands at the same place of each, which distances of sets take for a grid
and for a texture that has fewer strokes: of the demo 0.63 in place of 0.52, of a true painter 0.40.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_style.evaluation.drawn import DrawnJudge
from gan_style.inference.translator import LoadedTranslator

RENDITIONS = 4  # of each test picture
Images = NDArray[np.uint8]


def own_noise(translator: LoadedTranslator, direction: str, index: int) -> dict[str, int]:
    """Return the option of `translate` that gives a test picture its own noise; none where no noise is drawn."""
    draws = not translator.model.takes_style and translator.model.noised(direction)
    return {"seed": index} if draws else {}


def translations(translator: LoadedTranslator, judge: DrawnJudge) -> Images:
    """Translate the test pictures, [N, H, W, 3]; methods of styles are given true pictures of the target in turn."""
    made = []
    for index, image in enumerate(judge.inputs):
        how: dict[str, Any] = {"direction": judge.direction, **own_noise(translator, judge.direction, index)}
        if translator.model.takes_style:
            how = {"style": judge.styles[index % len(judge.styles)]}
        made.append(translator.translate(image, **how))
    return np.stack(made)


def renditions(translator: LoadedTranslator, judge: DrawnJudge, first: Images) -> Images | None:
    """Add to the translations those by other noise, [N, RENDITIONS, H, W, 3]; None where no noise is drawn."""
    if not own_noise(translator, judge.direction, 0):
        return None
    others = [
        np.stack([translator.translate(x, judge.direction, seed=i) for i, x in enumerate(judge.inputs, k * len(first))])
        for k in range(1, RENDITIONS)
    ]
    return np.stack([first, *others], axis=1)
