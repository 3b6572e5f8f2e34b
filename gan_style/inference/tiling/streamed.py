"""Streamed feature maps: they go through a network in place of tensors, and are computed window by window.

The network's own code runs on them. Each operation is only recorded (`functions.py`). Where a convolution's output is
needed it is computed tile by tile from the feature maps before it, with the halo that its kernel needs, and kept on
disk. A norm takes its statistics over all tiles of the feature map, so that nothing of the result depends on the tiles.
The cost is that of one pass, plus the halos and the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_style.inference.tiling.known_functions import call, method
from gan_style.inference.tiling.steps import Pointwise, Step, Window
from gan_style.inference.tiling.store import FLOAT32_BYTES, Stored
from gan_style.networks.wrap import wrapping

Statistics = tuple[Tensor, Tensor]  # mean and biased variance of each channel, float64 [1, C]


class Work:
    """State that the feature maps of one pass share, with its costs.

    Args:
        tile: side of a tile, in positions of the feature map that is computed; None takes each feature map as one tile.
        device: of the computation.
        folder: for feature maps; None computes nothing and only counts.
        progress: called after each tile.
    """

    def __init__(
        self,
        tile: int | None,
        device: torch.device,
        folder: Path | None = None,
        progress: Callable[[], None] | None = None,
    ) -> None:
        self.tile, self.device, self.folder, self.progress = tile, device, folder, progress
        self.tiles = 0  # computed so far
        self.kept = self.disk = 0  # bytes of the stored feature maps, now and at most
        self.memory = 0  # bytes of the largest tile with all that it is computed from
        self.together = 0  # maximum of the tile's bytes and those stored at the time

    def windows(self, height: int, width: int) -> Iterator[Window]:
        tile = self.tile or max(height, width)
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                yield Window((top, min(top + tile, height)), (left, min(left + tile, width)))

    def keep(self, bytes_: int) -> None:
        self.kept += bytes_
        self.disk = max(self.disk, self.kept)

    def count(self, memory: int) -> None:
        self.tiles += 1
        self.memory = max(self.memory, memory)
        self.together = max(self.together, self.kept + memory)
        if self.progress is not None:
            self.progress()


class Streamed:
    """Feature map [1, C, H, W]: the recorded operation that computes it, or its file.

    Args:
        work: shared by all feature maps of a pass.
        shape: C, H, W.
        step: the operation that computes a window of it from windows of `inputs`.
        heavy: whether to store it, rather than compute it again for every use.
        source: the picture itself, [1, C, H, W] in memory, where there is no step.
    """

    def __init__(
        self,
        work: Work,
        shape: tuple[int, int, int],
        step: Step | None = None,
        inputs: Sequence[Streamed] = (),
        *,
        heavy: bool = False,
        source: Tensor | None = None,
    ) -> None:
        self.work, self.channels, self.sides, self.heavy = work, shape[0], shape[1:], heavy
        self._step, self._inputs, self._source = step, tuple(inputs), source
        self._stored: Stored | None = None
        self._bytes = 0  # kept on disk
        self._statistics: Statistics | None = None

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return call(function, args, kwargs or {})

    def __del__(self) -> None:
        self.work.kept -= self._bytes
        if self._stored is not None:
            self._stored.close()

    # Computation

    def result(self) -> Tensor:
        """Compute all of it, in memory, [1, C, H, W] in float32."""
        self._prepare()
        whole = torch.empty((1, self.channels, *self.sides) if self.work.folder else 0)
        for window in self.work.windows(*self.sides):
            if self.work.folder:
                whole[(..., slice(*window.rows), slice(*window.columns))] = self._computed(window).to(whole)
            self.work.count(self._cost(window))
        return whole

    def statistics(self) -> Statistics:
        """Compute mean and biased variance of each channel over all tiles, merged as by Chan et al. 1979."""
        if self._statistics is None:
            self._store(gather=True)
        assert self._statistics is not None
        return self._statistics

    def tiles(self) -> Iterator[tuple[Window, Tensor]]:
        """Yield each window of it, stored first, with its tile; nothing where a pass is only counted."""
        self._store()
        for window in self.work.windows(*self.sides):
            if self.work.folder:
                yield window, self._computed(window)
            self.work.count(self._cost(window))

    def _prepare(self) -> None:
        """Store the heavy feature maps that this one is computed from."""
        for one in self._inputs:
            one._store() if one.heavy else one._prepare()

    def _store(self, gather: bool = False) -> None:
        """Compute it into a file, and its statistics in the same pass where they are asked for."""
        stored_before = self._bytes > 0
        if stored_before and not gather:
            return
        if not stored_before:
            self._prepare()
            self._bytes = FLOAT32_BYTES * self.channels * self.sides[0] * self.sides[1]
            self.work.keep(self._bytes)
        stored = self._stored
        if self.work.folder and not stored_before:
            stored = Stored(self.work.folder, (self.channels, *self.sides))
        moments = Moments(self.channels)
        for window in self.work.windows(*self.sides):
            if stored is not None:
                tile = self._computed(window)
                if not stored_before:
                    stored.write(tile, window)
                if gather:
                    moments.add(tile.float())
            self.work.count(self._cost(window))
        self._stored, self._step, self._inputs = stored, None, ()
        if gather:
            self._statistics = moments.result()

    def _computed(self, window: Window) -> Tensor:
        """Compute a window, [1, C, h, w] on the device, which the caller may overwrite."""
        if self._stored is not None:
            return self._stored.read(window).to(self.device)
        if self._step is None:
            assert self._source is not None
            part = self._source[(..., slice(*window.rows), slice(*window.columns))]
            return part.to(self.device, torch.float32).clone(memory_format=torch.channels_last)
        with wrapping(None):  # what goes round was recorded as steps; the borders of a tile do not
            return self._step.computed(window, [one._computed for one in self._inputs])

    def _cost(self, window: Window) -> int:
        """Return the bytes of a window and of all windows that it is computed from."""
        own = FLOAT32_BYTES * self.channels * window.height * window.width
        if self._step is None:
            return own
        return own + self._step.cost(window, [one._cost for one in self._inputs])

    # Interface of a tensor

    @property
    def shape(self) -> torch.Size:
        return torch.Size((1, self.channels, *self.sides))

    @property
    def device(self) -> torch.device:
        return self.work.device

    dtype = torch.float32

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def size(self, dim: int | None = None) -> torch.Size | int:
        """Return the shape, as a tensor does: torch's own norms ask for it."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return 4

    def __len__(self) -> int:
        return 1

    def contiguous(self) -> Streamed:
        return self

    def to(self, *_: Any) -> Streamed:
        """Ignore types and devices, which the pass decides."""
        return self

    float = to

    def __getattr__(self, name: str) -> Any:
        """Look up a tensor's method."""
        return method(self, name)

    def __getitem__(self, key: Any) -> Streamed:
        part: Streamed = method(self, "__getitem__")(key)
        return part

    def __add__(self, other: Any) -> Any:
        return self.__torch_function__(torch.add, (), (self, other))

    def __sub__(self, other: Any) -> Any:
        return self.__torch_function__(torch.sub, (), (self, other))

    def __mul__(self, other: Any) -> Any:
        return self.__torch_function__(torch.mul, (), (self, other))

    def __truediv__(self, other: Any) -> Any:
        return self.__torch_function__(torch.div, (), (self, other))

    __radd__, __rmul__ = __add__, __mul__


class Moments:
    """Mean and variance over tiles: in float32 about the mean of each tile, merged in float64.

    Args:
        channels: of the feature map.
    """

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._mean = torch.zeros(1, channels, dtype=torch.float64)
        self._squares = torch.zeros(1, channels, dtype=torch.float64)  # summed deviations from the mean

    def add(self, tile: Tensor) -> None:
        """Add [1, C, h, w], which is overwritten."""
        count = tile.shape[-2] * tile.shape[-1]
        mean = tile.mean(dim=(-2, -1), keepdim=True)
        squares = tile.sub_(mean).square_().sum(dim=(-2, -1)).to("cpu", torch.float64)
        distance = mean[..., 0, 0].to("cpu", torch.float64) - self._mean
        total = self._count + count
        self._mean += distance * (count / total)
        self._squares += squares + distance.square() * (self._count * count / total)
        self._count = total

    def result(self) -> Statistics:
        return self._mean, self._squares / max(self._count, 1)


def pointwise(function: Callable[..., Tensor], *maps: Streamed, channels: int, heavy: bool = False) -> Streamed:
    """Return a feature map computed elementwise from others."""
    return Streamed(maps[0].work, (channels, *maps[0].sides), Pointwise(function), maps, heavy=heavy)
