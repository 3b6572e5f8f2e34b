"""What other readers make of a picture file, and whether ours agrees or says why not."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from gan_style.core.errors import UserError
from gan_style.data.files import decode_image, notes_as_rgb


def by_pillow(data: bytes) -> np.ndarray:
    """The first picture of a file as 8-bit RGB: upright, over white, by Pillow's own steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata
        image: Image.Image = Image.open(BytesIO(data))
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        if image.mode.startswith("I;16"):
            return np.repeat(np.rint(np.asarray(image) / 257)[..., None], 3, axis=2)
        return np.asarray(image.convert("RGB"))


def agreement(data: bytes) -> str:
    """How a file is read beside its reference: `equal`, or the entries that say why it is not.

    Raises:
        AssertionError: it differs, and nothing says so.
    """
    try:
        mine = np.asarray(decode_image(data, None)).astype(float)
    except UserError:
        return "refused with a sentence"
    try:
        reference = by_pillow(data).astype(float)
    except Exception as error:  # a broken file can raise nearly anything
        return f"not read by Pillow: {type(error).__name__}"
    if mine.shape == reference.shape and np.abs(mine - reference).max(initial=0) <= 1:  # of rounding
        return "equal"
    notes = [note.kind for note in notes_as_rgb(data)]
    assert notes, f"read in another way than by Pillow, without a word: {mine.shape} and {reference.shape}"
    return "; ".join(notes)
