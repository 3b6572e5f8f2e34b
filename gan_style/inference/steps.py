"""Progress of the optimisation of a picture, in words."""

from __future__ import annotations

import time

from gan_style.core.progress import duration

PIXELS_PER_SCALE = 4  # of a scale, times those of the one before: what its steps cost


class Steps:
    """Steps of the descent of one picture, from small scales to the full one, timed from the first.

    Args:
        per_scale: steps of each scale.
    """

    def __init__(self, per_scale: int) -> None:
        self.per_scale = per_scale
        self._first: tuple[float, int] | None = None  # time of the monotonic clock and step
        self._last = 0

    def left(self, done: int, total: int) -> float | None:
        """Return the seconds that are left after a step, as far as those before it tell; None after the first."""
        if self._first is None or done <= self._last:  # of the first region, or of the next one
            self._first, self._last = (time.monotonic(), done), done
            return None
        self._last = done
        (begun, first), cost = self._first, self._cost(done)
        return (time.monotonic() - begun) * (self._cost(total) - cost) / (cost - self._cost(first))

    def said(self, done: int, total: int) -> str:
        """Return a sentence such as "step 12 of 200, 40 s left"."""
        left = self.left(done, total)
        return f"step {done} of {total}" + ("" if left is None or done == total else f", {duration(left)} left")

    def _cost(self, done: int) -> float:
        """Return what so many steps cost, in steps of the first scale."""
        scales, rest = divmod(done, self.per_scale)
        whole = sum(PIXELS_PER_SCALE**scale for scale in range(scales)) * self.per_scale
        return float(whole + rest * PIXELS_PER_SCALE**scales)
