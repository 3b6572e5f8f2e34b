"""Size of the picture that a model is tried on before it begins to serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_style.core.sizes import height_width, parsed
from gan_style.inference.translator import LoadedTranslator
from gan_style.networks.contract import TRIED_SIDE

SIDE = 64  # pixels; small, as it only shows that everything fits


def trial_size(translator: LoadedTranslator, wrap: str | None) -> tuple[int, int]:
    """Return height and width in pixels of a picture that the model takes.

    Where pictures go round, their sides are to be multiples of the network's stride, which a checkpoint does not say.
    It says on which size it was trained: where those pictures went round, too, that size fits; else it is enlarged to
    multiples of `TRIED_SIDE`.

    Args:
        translator: the model.
        wrap: directions in which pictures go round, as of `LoadedTranslator.translate_all`.

    Raises:
        UserError: no such directions, or what the model cannot do.
    """
    around = translator.around(wrap)
    if not around:
        return SIDE, SIDE
    preprocessing: Mapping[str, Any] = (translator.about or {}).get("preprocessing") or {}
    size = parsed(preprocessing.get("image_size"))
    cropped = str(preprocessing.get("preprocess", "crop")).endswith("crop")
    if size is None or not cropped:  # pictures of sizes of their own: the training, too, has tried TRIED_SIDE
        return TRIED_SIDE, TRIED_SIDE
    height, width = height_width(size)
    if set(around) <= set(translator.wrap or ""):
        return height, width
    return -(-height // TRIED_SIDE) * TRIED_SIDE, -(-width // TRIED_SIDE) * TRIED_SIDE
