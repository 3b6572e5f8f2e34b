"""Smoothers: frame by frame through a translation, with or without a memory against flicker."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.checks import require_whole
from gan_style.core.errors import UserError, did_you_mean
from gan_style.inference.video.flow import flow_between
from gan_style.inference.video.norm_window import NormWindow
from gan_style.metrics.edges import LUMA
from gan_style.metrics.flicker import Shift, moved, warp

Translate = Callable[[Tensor], Tensor]  # [1, C, H, W] in [-1, 1] to the same, maybe smaller
MIN_CUT_DIFFERENCE = 0.15  # mean absolute difference of thumbnails in [-1, 1]; see is_cut
THUMBNAIL = 16  # pixels a side


class Smoother:
    """Smoother `off`: every frame by itself. Its subclasses remember frames, and forget them at a cut.

    Args:
        translate: the translation of one frame.
        network: the one that `translate` uses.
        window: frames that the memory covers; None is the default of the class.

    Raises:
        UserError: the window is not a whole number of at least 2.
    """

    usual = 2

    def __init__(self, translate: Translate, network: nn.Module, window: int | None = None) -> None:
        self.translate, self.window = translate, self.usual if window is None else window
        require_whole("window", self.window, 2)
        self.previous: Tensor | None = None  # the frame before

    def __call__(self, frame: Tensor) -> Tensor:
        """Translate and smooth the next frame, [1, C, H, W] in [-1, 1]."""
        if self.previous is not None and is_cut(frame, self.previous):
            self.forget()
        output = self._next(frame)
        self.previous = frame
        return output

    def forget(self) -> None:
        """Start over: the next frame is not related to those before it."""
        self.previous = None

    def moved(self, shift: Shift) -> Smoother:
        """Return a copy whose memory is shifted by some pixels."""
        other = copy.copy(self)
        other.previous = None if self.previous is None else moved(self.previous, shift)
        return other

    def _next(self, frame: Tensor) -> Tensor:
        return self.translate(frame)


class NormSmoother(Smoother):
    """Smoother `norm`: instance norms use the statistics of the last `window` frames (see `NormWindow`).

    It stabilises brightness, contrast and colours, and does not blur.

    Raises:
        UserError: the network has no instance norm.
    """

    usual = 12

    def __init__(self, translate: Translate, network: nn.Module, window: int | None = None) -> None:
        super().__init__(translate, network, window)
        self.norms = NormWindow(network, self.window)

    def forget(self) -> None:
        super().forget()
        self.norms.clear()

    def moved(self, shift: Shift) -> NormSmoother:
        other = super().moved(shift)
        assert isinstance(other, NormSmoother)
        other.norms = self.norms.copy()
        return other

    def _next(self, frame: Tensor) -> Tensor:
        with self.norms.frame() as calls:
            output = self.translate(frame)
        if not calls:
            raise UserError("--smooth norm is for instance norms, and this model has none: take flow")
        return output


class FlowSmoother(Smoother):
    """Smoother `flow`: the last output, moved by the optical flow of the input, is mixed into this one.

    out_t = y_t + w (warp(out_{t-1}) - y_t) where the flow can be trusted (see `flow_between`), else out_t = y_t; y_t
    is the frame's own translation and w = 1 - 2 / (n + 1). Where nothing moves this is an exponential moving average,
    whose mean age is that of the plain mean over n = `window` frames.
    """

    usual = 4

    def __init__(self, translate: Translate, network: nn.Module, window: int | None = None) -> None:
        super().__init__(translate, network, window)
        self.last: Tensor | None = None  # output

    def forget(self) -> None:
        super().forget()
        self.last = None

    def moved(self, shift: Shift) -> FlowSmoother:
        other = super().moved(shift)
        assert isinstance(other, FlowSmoother)
        other.last = None if self.last is None else moved(self.last, shift)
        return other

    def _next(self, frame: Tensor) -> Tensor:
        output = self.translate(frame)
        if self.previous is not None and self.last is not None:
            flow, steady = flow_between(fitted(frame, output), fitted(self.previous, output))
            weight = (1 - 2 / (self.window + 1)) * steady
            output = torch.lerp(output, warp(self.last, flow.to(output)), weight.to(output))
        self.last = output
        return output


SMOOTHERS: dict[str, type[Smoother]] = {"off": Smoother, "norm": NormSmoother, "flow": FlowSmoother}


def smoother(name: str, translate: Translate, network: nn.Module, window: int | None = None) -> Smoother:
    """Build one of `SMOOTHERS` by its name.

    Raises:
        UserError: an unknown name, or an invalid window.
    """
    if name not in SMOOTHERS:
        raise UserError(f"smooth={name} is not known{did_you_mean(name, SMOOTHERS)}")
    return SMOOTHERS[name](translate, network, window)


def fitted(frame: Tensor, output: Tensor) -> Tensor:
    """Resize a frame to the size of its translation, which may be smaller."""
    same = frame.shape[-2:] == output.shape[-2:]
    return frame if same else F.interpolate(frame, output.shape[-2:], mode="area")


def is_cut(frame: Tensor, previous: Tensor) -> bool:
    """Check for a new scene: another size, or thumbnails whose mean difference exceeds `MIN_CUT_DIFFERENCE`.

    Thumbnails are the luma of both, averaged to 16x16 cells, so that motion within a cell does not count.
    """
    if frame.shape != previous.shape:
        return True
    weights = frame.new_tensor(LUMA if frame.shape[1] == 3 else [1 / frame.shape[1]] * frame.shape[1])
    a, b = (
        F.adaptive_avg_pool2d(torch.einsum("c,bchw->bhw", weights, x)[:, None], THUMBNAIL) for x in (frame, previous)
    )
    return bool((a - b).abs().mean() > MIN_CUT_DIFFERENCE)
