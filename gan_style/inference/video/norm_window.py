"""Instance norms with the statistics of a window of frames instead of each frame's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Statistics = tuple[Tensor, Tensor]  # mean and biased variance of each channel of each picture, [B, C]


class NormWindow:
    """Memory of a network's instance norms over the last frames.

    In frame t an instance norm computes (x - m) / sqrt(v + eps) with the mean and the variance over all pixels of the
    last n frames together, this one included:

        m = mean_i(m_i),  v = mean_i(v_i) + mean_i((m_i - m)^2),  i = t - n + 1 ... t,

    where m_i and v_i are those of the layer's input in frame i. This is the instance norm of the n frames side by side,
    so that a single frame contributes only an n-th to it. A layer that is called several times in a frame has a window
    for each call. It works for every `nn.InstanceNorm2d` without running statistics.

    Args:
        network: any module.
        length: n, in frames.
    """

    def __init__(self, network: nn.Module, length: int) -> None:
        self.length = length
        self.layers = {
            name: layer
            for name, layer in network.named_modules()
            if isinstance(layer, nn.InstanceNorm2d) and not layer.track_running_stats
        }
        self._seen: dict[tuple[str, int], deque[Statistics]] = {}

    def clear(self) -> None:
        """Forget the frames; the next one is normalised by itself."""
        self._seen = {}

    def copy(self) -> NormWindow:
        """Return one of the same network with a copy of the memory."""
        other = object.__new__(NormWindow)
        other.length, other.layers = self.length, self.layers
        other._seen = {key: deque(frames, self.length) for key, frames in self._seen.items()}
        return other

    @contextmanager
    def frame(self) -> Iterator[dict[str, int]]:
        """Normalise one frame, which is remembered, inside a `with` block; gives the calls of each layer so far."""
        calls: dict[str, int] = {}
        try:
            for name, layer in self.layers.items():
                layer.forward = partial(self._normalise, name, layer, calls)  # type: ignore[method-assign]
            yield calls
        finally:
            for layer in self.layers.values():
                vars(layer).pop("forward", None)  # restores the class's own

    def _normalise(self, name: str, layer: nn.InstanceNorm2d, calls: dict[str, int], x: Tensor) -> Tensor:
        """Normalise [B, C, H, W] by the window's statistics; same shape."""
        call = calls[name] = calls.get(name, 0) + 1
        var, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0)
        frames = self._seen.setdefault((name, call), deque(maxlen=self.length))
        frames.append((mean, var))
        means, variances = (torch.stack(some) for some in zip(*frames, strict=True))
        mean = means.mean(dim=0)
        var = variances.mean(dim=0) + (means - mean).square().mean(dim=0)
        batch, channels = x.shape[:2]
        # As a batch norm of one picture with B C channels, which has one mean and variance for each.
        scale, shift = (p if p is None else p.repeat(batch) for p in (layer.weight, layer.bias))
        flat = x.reshape(1, batch * channels, *x.shape[2:])
        return F.batch_norm(flat, mean.flatten(), var.flatten(), scale, shift, eps=layer.eps).reshape(x.shape)
