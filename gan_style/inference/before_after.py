"""A picture beside its translation, for a notebook."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from gan_style.data.images import to_uint8
from gan_style.inference.images import ImageLike, given_image

GAP_PIXELS = 8


@dataclass(frozen=True)
class BeforeAfter:
    """Picture and its translation.

    Attributes:
        before: as it was given.
        after: as `translate` returned it.
    """

    before: ImageLike
    after: Any

    def image(self) -> Image.Image:
        """Return both side by side, as 8-bit RGB; of a batch the first.

        Raises:
            UserError: a picture that cannot be shown as such, as arrays of other types.
        """
        shown = [Image.fromarray(to_uint8(given_image(one).images[0])) for one in (self.before, self.after)]
        width = sum(one.width for one in shown) + GAP_PIXELS
        both = Image.new("RGB", (width, max(one.height for one in shown)), "white")
        both.paste(shown[0], (0, 0))
        both.paste(shown[1], (width - shown[1].width, 0))
        return both

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.image().save(file, "PNG")
        return file.getvalue()
