"""Instance norms that remember: the statistics of a window of frames instead of each frame's own."""

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
    """What the instance norms of a network have seen of the last frames.

    In frame t an instance norm gives (x - m) / sqrt(v + eps) with the mean and the variance over all pixels of the
    last n frames together, this one included:

        m = mean_i(m_i),  v = mean_i(v_i) + mean_i((m_i - m)^2),  i = t - n + 1 ... t,

    m_i and v_i being those of the layer's input in frame i. So one layer does what it would do to the n frames laid
    side by side, and one frame alone changes it by an n-th only. A layer that is called several times in a frame has
    a window for each call. Works for whatever normalises by `nn.InstanceNorm2d` without running statistics.

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
        """The same network with a memory of its own, which begins as this one."""
        other = object.__new__(NormWindow)
        other.length, other.layers = self.length, self.layers
        other._seen = {key: deque(frames, self.length) for key, frames in self._seen.items()}
        return other

    @contextmanager
    def frame(self) -> Iterator[dict[str, int]]:
        """Inside, the network normalises one frame, which is remembered; gives the calls of each layer so far."""
        calls: dict[str, int] = {}
        try:
            for name, layer in self.layers.items():
                layer.forward = partial(self._normalise, name, layer, calls)  # type: ignore[method-assign]
            yield calls
        finally:
            for layer in self.layers.values():
                vars(layer).pop("forward", None)  # the class's own again

    def _normalise(self, name: str, layer: nn.InstanceNorm2d, calls: dict[str, int], x: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        call = calls[name] = calls.get(name, 0) + 1
        var, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0)
        frames = self._seen.setdefault((name, call), deque(maxlen=self.length))
        frames.append((mean, var))
        means, variances = (torch.stack(some) for some in zip(*frames, strict=True))
        mean = means.mean(dim=0)
        var = variances.mean(dim=0) + (means - mean).square().mean(dim=0)
        batch, channels = x.shape[:2]
        # A batch norm of one picture of B C channels has statistics of its own for each of them.
        scale, shift = (p if p is None else p.repeat(batch) for p in (layer.weight, layer.bias))
        flat = x.reshape(1, batch * channels, *x.shape[2:])
        return F.batch_norm(flat, mean.flatten(), var.flatten(), scale, shift, eps=layer.eps).reshape(x.shape)
