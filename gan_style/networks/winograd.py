"""Winograd convolutions: 3x3 on a CPU with a quarter of the multiplications, forward and backward.

F(4x4, 3x3) of Lavin and Gray 2016 (arXiv:1509.09308): a tile of 4x4 outputs takes 36 multiplications per pair of
channels, the plain convolution 144. Input, kernel and output are transformed by constant matrices, so that the
gradients are the same computations with these matrices transposed. Feature maps are channels-last.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_TILES_AT_ONCE = 128  # so that their transforms stay in the processor's cache
# The transforms of input, kernel and output, for the points 0, 1, -1, 2, -2 and infinity (section 4.2).
INPUT = (
    *((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0)),
    *((0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1)),
)
KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # times 24
OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
# Tiles of 6x6 overlap their neighbours by two rows and columns. The first parts of all tiles do not overlap one
# another, nor do the second ones, ...: each kind can be added into the gradient at once.
PARTS = ((slice(0, 4), slice(0, 4)), (slice(4, 6), slice(0, 4)), (slice(0, 4), slice(4, 6)), (slice(4, 6), slice(4, 6)))


def winograd(x: Tensor, weight: Tensor, bias: Tensor | None, kernel: Tensor | None = None) -> Tensor:
    """Compute `F.conv2d(x, weight, bias)` for 3x3 kernels, with gradients; sums are in another order.

    Args:
        x: [B, I, H, W], H, W >= 3.
        weight: [O, I, 3, 3].
        bias: [O].
        kernel: `kernel_of(weight)`, where it is kept and nothing needs a gradient.

    Returns: channels-last [B, O, H - 2, W - 2].
    """
    height, width = x.shape[2] - 2, x.shape[3] - 2
    x = F.pad(x, (0, -width % 4, 0, -height % 4)) if (height % 4 or width % 4) else x
    x = x.contiguous(memory_format=torch.channels_last)
    if kernel is None:
        output: Tensor = _Winograd.apply(x, weight, bias)
    else:
        output = _forward(x, kernel, bias)
    if output.shape[-2:] != (height, width):
        output = output[..., :height, :width].contiguous(memory_format=torch.channels_last)
    return output


def winograd_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, of_input: bool, of_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of `winograd`'s x and weight that are wanted, from that of its output."""
    below, right = -gradient.shape[2] % 4, -gradient.shape[3] % 4
    if below or right:
        x, gradient = (F.pad(one, (0, right, 0, below)) for one in (x, gradient))
    into_x, into_weight = _backward(
        x.contiguous(memory_format=torch.channels_last), weight, gradient, of_input, of_weight
    )
    if into_x is not None and (below or right):
        into_x = into_x[..., : x.shape[2] - below, : x.shape[3] - right].contiguous(memory_format=torch.channels_last)
    return into_x, into_weight


def kernel_of(weight: Tensor) -> Tensor:
    """Transform a kernel [O, I, 3, 3] to [36, I, O]; sums are in float64."""
    return _transformed(weight.detach().double().transpose(0, 1)).to(weight.dtype)


class _Winograd(torch.autograd.Function):
    """Autograd function: [B, I, 4 h + 2, 4 w + 2] convolved with [O, I, 3, 3] plus [O] gives [B, O, 4 h, 4 w]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _forward(x, _transformed(weight.transpose(0, 1)), bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        return *_backward(x, weight, gradient, *ctx.needs_input_grad[:2]), of_bias


def _forward(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    forth, back = _matrix(INPUT, x.dtype), _matrix(OUTPUT, x.dtype)
    shape = _tile_counts(x)
    output = x.new_empty(shape[0], shape[1], 4, shape[2], 4, kernel.shape[2])
    for first, last in _strips(shape):
        seen = (forth @ _tiles_of(x, first, last).reshape(36, -1)).view(36, -1, x.shape[1])
        made = (back @ torch.bmm(seen, kernel).view(36, -1)).view(4, 4, shape[0], last - first, shape[2], -1)
        made = made if bias is None else made.add_(bias)
        output[:, first:last] = made.permute(2, 3, 0, 4, 1, 5)
    return output.view(shape[0], 4 * shape[1], 4 * shape[2], -1).permute(0, 3, 1, 2)


def _backward(
    x: Tensor, weight: Tensor, gradient: Tensor, of_input: bool, of_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of `_forward` that are asked for."""
    forth, back = _matrix(INPUT, x.dtype), _matrix(OUTPUT, x.dtype).T
    shape, (outputs, inputs) = _tile_counts(x), weight.shape[:2]
    given = gradient.permute(0, 2, 3, 1).contiguous().view(shape[0], shape[1], 4, shape[2], 4, outputs)
    kernel = _transformed(weight) if of_input else None
    of_x = torch.zeros_like(x) if of_input else None
    of_kernel = None
    for first, last in _strips(shape):
        wide = (back @ given[:, first:last].permute(2, 4, 0, 1, 3, 5).reshape(16, -1)).view(36, -1, outputs)
        if of_weight:
            seen = (forth @ _tiles_of(x, first, last).reshape(36, -1)).view(36, -1, inputs)
            given_back = wide.transpose(1, 2), seen
            of_kernel = torch.bmm(*given_back) if of_kernel is None else of_kernel.baddbmm_(*given_back)
        if of_x is not None and kernel is not None:
            tiles = (forth.T @ torch.bmm(wide, kernel).view(36, -1)).view(
                6, 6, shape[0], last - first, shape[2], inputs
            )
            into = _tiles_of(of_x, first, last)
            for part in PARTS:
                into[part].add_(tiles[part])
    of_w = None if of_kernel is None else (_matrix(KERNEL, x.dtype).T / 24**2) @ of_kernel.view(36, -1)
    return of_x, None if of_w is None else of_w.view(3, 3, outputs, inputs).permute(2, 3, 0, 1)


def _transformed(weight: Tensor) -> Tensor:
    """Transform [N, M, 3, 3] to [36, N, M] in the precision of the weight; a training step does so each time."""
    matrix = _matrix(KERNEL, weight.dtype) / 24**2
    return (matrix @ weight.permute(2, 3, 0, 1).reshape(9, -1)).view(36, *weight.shape[:2])


@functools.cache
def _matrix(rows: tuple[tuple[int, ...], ...], dtype: torch.dtype) -> Tensor:
    """Return the transform of both dimensions as one matrix; shared, so not to be changed."""
    with torch.inference_mode(False):  # training reads it, too
        one = torch.tensor(rows, dtype=dtype)
        return torch.kron(one, one)


def _tile_counts(x: Tensor) -> tuple[int, int, int]:
    """Return the number of pictures, of rows and of columns of tiles."""
    return x.shape[0], (x.shape[2] - 2) // 4, (x.shape[3] - 2) // 4


def _strips(shape: tuple[int, int, int]) -> Iterator[tuple[int, int]]:
    """Yield the rows of tiles that are computed at once, as the first one and the one after the last."""
    several = max(1, MAX_TILES_AT_ONCE // (shape[0] * shape[2]))
    for first in range(0, shape[1], several):
        yield first, min(first + several, shape[1])


def _tiles_of(x: Tensor, first: int, last: int) -> Tensor:
    """View a channels-last feature map as its overlapping tiles [6, 6, B, rows, columns, C] of some rows."""
    part = x.permute(0, 2, 3, 1)[:, 4 * first : 4 * last + 2]
    b, h, w, c = part.stride()
    shape = (6, 6, x.shape[0], last - first, (x.shape[3] - 2) // 4, x.shape[1])
    return part.as_strided(shape, (h, w, b, 4 * h, 4 * w, c))
