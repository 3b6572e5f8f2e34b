"""Sequences of pictures other than files: drawn ones, and the first pictures of another sequence."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_style.data.scenes import draw_scene
from gan_style.data.unpaired import Images, StoredImages


def first(images: Images, limit: int | None) -> Images:
    """Return the first `limit` pictures; all of them for None."""
    return images.first(limit) if isinstance(images, StoredImages) else First(images, limit)


def content_of(images: Images) -> str | None:
    """Return a hash of the content of these pictures' files; None where it is not known, or there are none."""
    content = getattr(images, "content", None)
    return None if content is None else content()


class First:
    """View of the first `limit` pictures of a sequence; of all for None."""

    def __init__(self, images: Images, limit: int | None) -> None:
        self.images = images
        self.count = len(images) if limit is None else min(limit, len(images))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int, /) -> NDArray[np.uint8]:
        return self.images[i]

    def name(self, i: int, /) -> str:
        return self.images.name(i)


class SceneImages:
    """Drawn landscapes, cached once drawn.

    Args:
        seed, first, count: scene indices `first` to `first + count` of this seed.
        size: side in pixels.
        domain: "A" a photo, "B" a painting.
    """

    def __init__(self, seed: int, first: int, count: int, size: int, domain: str) -> None:
        self.seed, self.first, self.count, self.size, self.domain = seed, first, count, size, domain
        self._draw = lru_cache(maxsize=None)(self._draw_now)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        if not 0 <= i < self.count:
            raise IndexError(i)
        return self._draw(i)

    def name(self, i: int) -> str:
        return f"scene-{self.seed}-{self.first + i}-{self.domain}"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k != "_draw"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._draw = lru_cache(maxsize=None)(self._draw_now)

    def _draw_now(self, i: int) -> NDArray[np.uint8]:
        return draw_scene(self.seed, self.first + i, self.size, self.domain)
