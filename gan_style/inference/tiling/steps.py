"""Local operations: the input window that an output window needs, and the computation of the one from the other.

Each axis is mapped by itself. Windows are in coordinates of the whole feature map, so that padding is added only at its
borders, never at those of a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Span = tuple[int, int]  # start and end (exclusive) along one axis


class Window(NamedTuple):
    """Rectangle of a feature map."""

    rows: Span
    columns: Span

    @property
    def height(self) -> int:
        return self.rows[1] - self.rows[0]

    @property
    def width(self) -> int:
        return self.columns[1] - self.columns[0]


class Step:
    """Operation whose outputs each depend on few input positions nearby."""

    def needs(self, window: Window) -> Window:
        """Return the window of every input that a window of the output needs."""
        return Window(self.along(window.rows, 0), self.along(window.columns, 1))

    def along(self, span: Span, axis: int) -> Span:
        """Return the same along one axis, 0 for rows and 1 for columns."""
        return span

    def __call__(self, tiles: Sequence[Tensor], window: Window, had: Window) -> Tensor:
        """Compute a window of the output.

        Args:
            tiles: [1, C, h, w] each, the window `had` of each input; may be written to.
            window: of the output.
            had: the result of `needs(window)`.
        """
        raise NotImplementedError

    def computed(self, window: Window, inputs: Sequence[Callable[[Window], Tensor]]) -> Tensor:
        """Compute a window of the output from functions that compute windows of the inputs."""
        had = self.needs(window)
        return self([one(had) for one in inputs], window, had)

    def cost(self, window: Window, inputs: Sequence[Callable[[Window], int]]) -> int:
        """Sum up what a window of the output needs of the inputs, from functions that tell the cost of a window."""
        had = self.needs(window)
        return sum(one(had) for one in inputs)


@dataclass(frozen=True)
class Pointwise(Step):
    """Elementwise operation: activations, scales and shifts, sums, joined channels."""

    function: Callable[..., Tensor]

    def __call__(self, tiles: Sequence[Tensor], window: Window, had: Window) -> Tensor:
        return self.function(*tiles)


@dataclass(frozen=True)
class ByPlace(Step):
    """Operation that looks at each place by itself, and at its row and column."""

    function: Callable[[Tensor, int, int], Tensor]

    def __call__(self, tiles: Sequence[Tensor], window: Window, had: Window) -> Tensor:
        return self.function(tiles[0], window.rows[0], window.columns[0])


@dataclass(frozen=True)
class Crop(Step):
    """Crop that begins at `start`."""

    start: tuple[int, int]

    def along(self, span: Span, axis: int) -> Span:
        return span[0] + self.start[axis], span[1] + self.start[axis]

    def __call__(self, tiles: Sequence[Tensor], window: Window, had: Window) -> Tensor:
        return tiles[0]


@dataclass(frozen=True)
class Pad(Step):
    """Padding as `F.pad`: reflected, replicated or constant.

    Args:
        before: rows added above and columns added on the left.
        size: height and width of the input.
        mode: `reflect`, `replicate` or `constant`.
        value: the constant.
    """

    before: tuple[int, int]
    size: tuple[int, int]
    mode: str
    value: float = 0.0

    def along(self, span: Span, axis: int) -> Span:
        positions = self._source(span, axis)
        return int(positions.min()), int(positions.max()) + 1

    def _source(self, span: Span, axis: int) -> Tensor:
        """Return the input position of each output position; constants are filled in afterwards."""
        last = self.size[axis] - 1
        positions = torch.arange(span[0], span[1]) - self.before[axis]
        if self.mode == "reflect":
            positions = positions.abs()
            return torch.where(positions > last, 2 * last - positions, positions)
        return positions.clamp(0, last)

    def __call__(self, tiles: Sequence[Tensor], window: Window, had: Window) -> Tensor:
        tile = tiles[0]
        missing = [self._missing(window[axis], axis) for axis in (0, 1)]
        inner = [window[axis][1] - window[axis][0] - sum(missing[axis]) for axis in (0, 1)]
        if inner == [had.height, had.width]:  # padding alone: every position of the tile occurs once, in order
            amounts = (*missing[1], *missing[0])
            return F.pad(tile, amounts, self.mode, self.value if self.mode == "constant" else None)
        for axis in (0, 1):
            positions = self._source(window[axis], axis) - had[axis][0]
            tile = tile.index_select(axis + 2, positions.to(tile.device))
            if self.mode == "constant":
                before, after = missing[axis]
                tile.narrow(axis + 2, 0, before).fill_(self.value)
                tile.narrow(axis + 2, tile.shape[axis + 2] - after, after).fill_(self.value)
        return tile

    def _missing(self, span: Span, axis: int) -> tuple[int, int]:
        """Return how many positions of a span lie before the input and after it."""
        first, last = span[0] - self.before[axis], span[1] - self.before[axis]
        length = span[1] - span[0]
        return min(length, max(0, -first)), min(length, max(0, last - self.size[axis]))


@dataclass(frozen=True)
class Around(Step):
    """Padding by what stands at the opposite border, of which a tile reads no more than it needs.

    Args:
        before: rows added above and columns added on the left.
        size: height and width of the input.
    """

    before: tuple[int, int]
    size: tuple[int, int]

    def _pieces(self, span: Span, axis: int) -> list[Span]:
        """Return the spans of the input, one after the other, that a span of the output is made of."""
        first, left, size = span[0] - self.before[axis], span[1] - span[0], self.size[axis]
        pieces = []
        while left:
            start = first % size
            length = min(left, size - start)
            pieces.append((start, start + length))
            first, left = first + length, left - length
        return pieces

    def computed(self, window: Window, inputs: Sequence[Callable[[Window], Tensor]]) -> Tensor:
        columns = self._pieces(window.columns, 1)
        rows = [
            torch.cat([inputs[0](Window(row, column)) for column in columns], 3) for row in self._pieces(window.rows, 0)
        ]
        return torch.cat(rows, 2)

    def cost(self, window: Window, inputs: Sequence[Callable[[Window], int]]) -> int:
        rows, columns = self._pieces(window.rows, 0), self._pieces(window.columns, 1)
        return sum(inputs[0](Window(row, column)) for row in rows for column in columns)


@dataclass(frozen=True)
class Convolution(Step):
    """Convolution without padding, or pooling: windows of `kernel` at every `stride`-th position.

    Args:
        function: tile -> result.
        kernel: height and width, dilation included.
        stride: along both axes.
        size: height and width of the input; a pooling's last window may reach beyond.
    """

    function: Callable[[Tensor], Tensor]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    size: tuple[int, int]

    def along(self, span: Span, axis: int) -> Span:
        stride = self.stride[axis]
        return span[0] * stride, min((span[1] - 1) * stride + self.kernel[axis], self.size[axis])

    def __call__(self, tiles: Sequence[Tensor], window: Window, had: Window) -> Tensor:
        return self.function(tiles[0])


@dataclass(frozen=True)
class Enlargement(Step):
    """Operation that makes `factor` positions of one, and needs `halo` further input positions around it.

    Args:
        function: tile -> result, whose first position is `offset` before `factor` times the tile's first position.
        factor: along both axes.
        halo: positions of the input needed before and after.
        size: height and width of the input.
        offset: the padding of a transposed convolution.
    """

    function: Callable[[Tensor], Tensor]
    factor: tuple[int, int]
    halo: tuple[int, int]
    size: tuple[int, int]
    offset: tuple[int, int] = (0, 0)

    def along(self, span: Span, axis: int) -> Span:
        factor, halo = self.factor[axis], self.halo[axis]
        return max(0, span[0] // factor - halo), min(self.size[axis], -(-span[1] // factor) + halo)

    def __call__(self, tiles: Sequence[Tensor], window: Window, had: Window) -> Tensor:
        tile = self.function(tiles[0])
        for axis in (0, 1):
            first = window[axis][0] - had[axis][0] * self.factor[axis] + self.offset[axis]
            tile = tile.narrow(axis + 2, first, window[axis][1] - window[axis][0])
        return tile
