"""Gradient descent on pictures, from a small size to the full one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.models.translator import Optimizers, Terms

Size = tuple[int, int]
Loss = tuple[Tensor, Terms]  # total and terms
Objective = Callable[[Tensor], Loss]
Method = Literal["lbfgs", "adam"]
LEARNING_RATES = {"lbfgs": 1.0, "adam": 0.02}
MIN_SIDE_PIXELS = 16  # no scale has a shorter side, unless the picture itself has
MAX_CHANGE_PER_STEP = 0.5  # largest change of a pixel value in one step; useful steps stay below it


class LBFGS(torch.optim.LBFGS):
    """L-BFGS without a line search, one evaluation a step; a step that is too large is shortened.

    A step is too large where the curvature is misjudged. torch's thresholds are off, because they are absolute and
    the gradients of means are small.
    """

    def __init__(self, parameters: list[nn.Parameter], *, lr: float, history: int) -> None:
        super().__init__(parameters, lr, 1, history_size=history, tolerance_grad=0.0, tolerance_change=0.0)

    def _add_grad(self, step_size: Any, direction: Tensor) -> None:
        # in place: L-BFGS keeps this tensor as the step that was taken
        direction.mul_((MAX_CHANGE_PER_STEP / (direction.abs().max() * step_size)).clamp(max=1.0))
        super()._add_grad(step_size, direction)


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(-1, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        outward = ((x > 1) & (gradient < 0)) | ((x < -1) & (gradient > 0))
        return gradient.masked_fill(outward, 0.0)


def bounded(images: Tensor) -> Tensor:
    """Clamp to [-1, 1] with a gradient that leads back in; that of `clamp` is 0 from the bound on, for good."""
    result: Tensor = _Bounded.apply(images)
    return result


def optimizer_of(method: Method, lr: float | None, history: int) -> Optimizers:
    """Return a factory, parameters -> optimiser; the rate None is the method's own."""
    lr = LEARNING_RATES[method] if lr is None else lr
    if method == "adam":
        return functools.partial(torch.optim.Adam, lr=lr)
    return functools.partial(LBFGS, lr=lr, history=history)


def step_by_closure(optimizer: Any, objective: Callable[[], Loss], backward: Callable[[Tensor], Any]) -> Terms:
    """Take one step by an optimiser that evaluates the loss itself, and return the terms before the step."""
    found: Terms = {}

    def closure() -> Tensor:
        optimizer.zero_grad()
        total, terms = objective()
        backward(total)
        found.update({name: value.detach() for name, value in terms.items()})
        return total

    optimizer.step(closure)
    return found


def descend(
    start: Tensor,
    scales: Sequence[Size],
    objective_at: Callable[[Size], Objective],
    make_optimizer: Optimizers,
    steps: int,
    report: Callable[[int, Terms, Tensor], bool | None],
) -> Tensor:
    """Optimise images [B, 3, H, W] from size to size, each starting from the result of the one before.

    Args:
        scales: sizes to go through.
        objective_at: makes the objective of a size.
        report: called after each step with the steps done, the terms before it, and the pictures; where it returns
            True no further one is taken.

    Returns: pictures in [-1, 1].
    """
    image, done = start, 0
    for size in scales:
        # a contiguous copy: L-BFGS flattens gradients by `view`, and the caller keeps its start unchanged
        image = nn.Parameter(resized(image, size).detach().clone(memory_format=torch.contiguous_format))
        objective, optimizer = objective_at(size), make_optimizer([image])
        for _ in range(steps):
            terms = step_by_closure(optimizer, functools.partial(objective, image), Tensor.backward)
            done += 1
            if report(done, terms, image.detach().clamp(-1, 1)):
                return resized(image.detach(), scales[-1]).clamp(-1, 1)
    return image.detach().clamp(-1, 1)


def size_of(images: Tensor) -> Size:
    return images.shape[-2], images.shape[-1]


def sizes(full: Size, scales: int) -> list[Size]:
    """Return heights and widths from the smallest scale to the full one, each half of the next."""
    height, width = full
    return [(_part(height, k), _part(width, k)) for k in reversed(range(scales))]


def resized(images: Tensor, size: Size) -> Tensor:
    """Resize images [B, C, H, W] in [-1, 1]; those that have the size already come back as they are."""
    if size_of(images) == size:
        return images
    return F.interpolate(images, size, mode="bicubic", antialias=True).clamp(-1, 1)


def _part(side: int, halvings: int) -> int:
    return max(side // 2**halvings, min(side, MIN_SIDE_PIXELS))


def only(i: int, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entry of image i, [1, ...], or the single one that is for all."""
    # one alone is not sliced, because the gradient of a slice is a copy
    return {name: value if len(value) == 1 else value[i : i + 1] for name, value in tensors.items()}
