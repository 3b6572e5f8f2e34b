"""Sequences of pictures other than files: drawn ones, and the first pictures of another sequence."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_style.core.sizes import Size
from gan_style.data.scenes import DEFAULT_TASK, TASKS, Part, Scene, Task
from gan_style.data.unpaired import Images, StoredImages

FIRST_OTHER_SCENE = 3_000_000  # far from what training sees and what is scored
OTHERS = 40  # scenes that a judge of materials is fitted to


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
        size: side of a square in pixels, or height and width.
        domain: "A" or "B".
        task: which domains these are.
        part: the set that the scenes belong to, whichever domain they are shown in; see `Task.scene`.
    """

    def __init__(
        self,
        seed: int,
        first: int,
        count: int,
        size: Size,
        domain: str,
        *,
        task: Task = TASKS[DEFAULT_TASK],
        part: Part = "testA",
    ) -> None:
        self.seed, self.first, self.count, self.size, self.domain = seed, first, count, size, domain
        self.task, self.part = task, part
        self._draw = lru_cache(maxsize=None)(self._draw_now)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        return self._draw(self.number(i) - self.first)

    def number(self, i: int) -> int:
        """Return the index of a picture's scene."""
        if not 0 <= i < self.count:
            raise IndexError(i)
        return self.first + i

    def scene(self, i: int) -> Scene:
        """Draw a picture with its labels and objects."""
        return self.task.scene(self.seed, self.number(i), self.size, self.domain, part=self.part)

    def others(self, count: int) -> list[Scene]:
        """Draw other scenes of this domain, far from all that are trained on or scored."""
        indices, part = range(FIRST_OTHER_SCENE, FIRST_OTHER_SCENE + count), f"test{self.domain}"
        return [self.task.scene(self.seed, i, self.size, self.domain, part=part) for i in indices]  # type: ignore[arg-type]

    def samples(self, i: int, count: int, first: int = 0) -> NDArray[np.uint8]:
        """Draw further true pictures of a scene, [count, H, W, 3]; the first with number 0 is the picture."""
        return self.task.samples(self.seed, self.number(i), self.size, self.domain, count, first=first, part=self.part)

    def name(self, i: int) -> str:
        kind = "scene" if self.task.name == DEFAULT_TASK else self.task.key
        return f"{kind}-{self.seed}-{self.first + i}-{self.domain}"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k != "_draw"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._draw = lru_cache(maxsize=None)(self._draw_now)

    def _draw_now(self, i: int) -> NDArray[np.uint8]:
        return self.task.draw(self.seed, self.first + i, self.size, self.domain, part=self.part)
