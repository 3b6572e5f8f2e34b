"""Flicker of a run, with and without smoothing, measured on a few of its frames."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle

from torch import Tensor

from gan_style.inference.video.flow import flow_between
from gan_style.inference.video.smoothing import Smoother, fitted, is_cut
from gan_style.metrics.flicker import SHIFTS, moved, shift_error, warped_error

MAX_PAIRS = 8  # of frames, that are measured in a run
MIN_FRAMES_PER_PAIR = 30  # because a pair costs four translations
MARGIN_PIXELS = 8  # at the border, that are left out when a shift is measured


class Flicker:
    """Mean squared differences of pairs of frames, by name.

    Attributes:
        warped: `before`, `after` and `input` (the floor): between consecutive frames along the motion of the input.
        shifted: `before` and `after`: between the translation of a shifted frame and the shifted translation.
    """

    def __init__(self) -> None:
        self.warped: dict[str, list[float]] = defaultdict(list)
        self.shifted: dict[str, list[float]] = defaultdict(list)

    def sentences(self, smooth: str) -> list[str]:
        """Return lines for the user; empty where no pair was measured."""
        pairs = len(self.warped["input"])
        if not pairs:
            return []
        lines = [f"flicker in {pairs} pair{'s' * (pairs > 1)} of frames, root mean square in steps of 255:"]
        for label, found in (("along the motion", self.warped), ("moved by some pixels", self.shifted)):
            before, after = (steps(found[name]) for name in ("before", "after"))
            if math.isfinite(before + after):  # a tiny frame has nothing inside the margin
                lines.append(f"  {label:21} {before:6.2f} frame by frame, {after:6.2f} with --smooth {smooth}")
        return [*lines, f"  {'the input itself':21} {steps(self.warped['input']):6.2f}"]


def steps(squares: Sequence[float]) -> float:
    """Return the root of the mean of squares in [-1, 1], in steps of eight bits; NaN without finite values."""
    finite = [x for x in squares if math.isfinite(x)]
    return 127.5 * math.sqrt(sum(finite) / len(finite)) if finite else math.nan


class FlickerSample:
    """Smoother that measures some pairs of consecutive frames on the way.

    "Before" is each frame translated by itself, "after" the smoother's output. For the shift, "after" is the output of
    a smoother whose memory and frame are both shifted.

    Args:
        smoother: of the run.
        expected: frames of the run, 0 where it is not known.
        every: frames from one measured pair to the next; None spreads at most `MAX_PAIRS` over the run.
    """

    def __init__(self, smoother: Smoother, expected: int, every: int | None = None) -> None:
        self.smoother, self.found = smoother, Flicker()
        expected = expected or MAX_PAIRS * MIN_FRAMES_PER_PAIR
        pairs = min(MAX_PAIRS, max(1, expected // MIN_FRAMES_PER_PAIR))
        self._step = every or max(1, expected // pairs)
        self._most = math.inf if every else pairs
        self._wait = self._step // 2  # frames
        self._last: tuple[Tensor, Tensor] | None = None  # frame and output
        self._shifts = cycle(SHIFTS)

    def __call__(self, frame: Tensor) -> Tensor:
        """Smooth the next frame."""
        due = self._wait <= 0 and len(self.found.warped["input"]) < self._most
        if due and self._last is not None and not is_cut(frame, self._last[0]):
            output = self._measured(frame, *self._last)
            self._wait = self._step
        else:
            output = self.smoother(frame)
        self._wait -= 1
        self._last = frame, output
        return output

    def _measured(self, frame: Tensor, previous: Tensor, last: Tensor) -> Tensor:
        """Smooth the next frame, and measure it against the previous one."""
        alone, shift = self.smoother.translate, next(self._shifts)
        of_moved = self.smoother.moved(shift)(moved(frame, shift))  # before `smoother(frame)` changes its memory
        output, by_itself = self.smoother(frame), alone(frame)
        source, before = fitted(frame, output), fitted(previous, output)
        flow, steady = flow_between(source, before)
        pairs = {"input": (source, before), "before": (by_itself, alone(previous)), "after": (output, last)}
        for name, (now, then) in pairs.items():
            self.found.warped[name].append(float(warped_error(now, then, flow.to(now), steady.to(now))))
        if output.shape[-2:] == frame.shape[-2:]:  # else the output does not shift by whole pixels
            translations = {"before": (by_itself, alone(moved(frame, shift))), "after": (output, of_moved)}
            for name, (one, other) in translations.items():
                self.found.shifted[name].append(float(shift_error(one, other, shift, margin=MARGIN_PIXELS)))
        return output
