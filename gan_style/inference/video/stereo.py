"""Left and right eye translated so that they agree: the right one takes what the left one shows, moved by the shift."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from gan_style.core.errors import UserError
from gan_style.data.images import to_tensor, to_uint8
from gan_style.data.values import Array
from gan_style.inference.translator import LoadedTranslator
from gan_style.inference.video.flicker import steps
from gan_style.inference.video.flow import flow_between
from gan_style.inference.video.smoothing import fitted
from gan_style.metrics.flicker import warp, warped_error


class Agreement(NamedTuple):
    """Mean squared differences of right eyes from left ones along the shift of the input; NaN where none is trusted.

    Attributes:
        before: of both translated each for itself.
        after: of what is kept.
        input: of the input; the floor, for noise and errors of the shift.
    """

    before: float
    after: float
    input: float


class Stereo(NamedTuple):
    """Translated pair.

    Attributes:
        image: uint8 [H, 2 W, C], left beside right.
        agreement: of its eyes.
    """

    image: Array
    agreement: Agreement


@torch.no_grad()
def translate_stereo(
    translator: LoadedTranslator, image: Array, direction: str | None = None, **options: Any
) -> Stereo:
    """Translate a pair of eyes that lie side by side in one picture.

    out_R = y_R + w (warp(y_L) - y_R), where y are the translations of both and w, in [0, 1], is how far the shift
    between the eyes, estimated in both directions, can be trusted (`flow_between`): what only one eye sees stays
    its own.

    Args:
        translator: of 8-bit RGB pictures.
        image: uint8 [H, 2 W, 3], the left eye's picture beside the right one's.
        direction: "A2B" or "B2A"; None is the model's first.
        **options: of `LoadedTranslator.translate_all`; a size is of each eye.

    Raises:
        UserError: the width is odd, or as `translate_all`.
    """
    width = image.shape[1]
    if width % 2:
        raise UserError(
            f"a stereo pair is two pictures side by side, and a width of {width} pixels has no two halves: make both "
            "eyes of one width"
        )
    eyes = [np.ascontiguousarray(image[:, : width // 2]), np.ascontiguousarray(image[:, width // 2 :])]
    left, right = (to_tensor(np.asarray(one))[None] for one in translator.translate_all(eyes, direction, **options))
    own_left, own_right = (fitted(to_tensor(eye)[None], left) for eye in eyes)
    shift, trust = flow_between(own_right, own_left)
    agreeing = torch.lerp(right, warp(left, shift), trust)
    differences = (
        warped_error(*pair, shift, trust) for pair in ((right, left), (agreeing, left), (own_right, own_left))
    )
    joined = torch.cat([left, agreeing], dim=-1)
    return Stereo(to_uint8(joined)[0], Agreement(*(float(one) for one in differences)))


def agreement_sentences(found: list[Agreement]) -> list[str]:
    """Return lines for the user about pairs; empty where no pair could be compared."""
    before, after, floor = (steps([getattr(one, name) for one in found]) for name in Agreement._fields)
    if not math.isfinite(before):
        return []
    pairs = f"{len(found)} pair{'s' * (len(found) != 1)}"
    return [
        f"right eyes against left ones, moved by the shift of the input, in {pairs}, root mean square in steps of 255:",
        f"  {before:.2f} each for itself, {after:.2f} as written, {floor:.2f} the input itself",
    ]
