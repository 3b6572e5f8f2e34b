"""What the processes of a run do together: average gradients, start alike, gather values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET_BYTES = 25 * 2**20  # what DistributedDataParallel sends at once


class GradientAverage:
    """The mean of one player's gradients over all processes, taken while its backward pass still runs.

    Data-parallel training (Li et al. 2020, arXiv:2006.15704) of one of two players.

    DistributedDataParallel knows one model: in either turn it sends the other player's gradients too, walks the graph
    to find which parameters have none, and sends that list. Here a turn sends its own player's gradients, bucket by
    bucket, the last layers first, each as soon as it is whole; afterwards the gradients are views of the buckets.

    Args:
        parameters: of the player, in order of the forward pass; the same on every process.
        bucket_bytes: of one message.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], bucket_bytes: int = BUCKET_BYTES) -> None:
        self._buckets: list[_Bucket] = []
        self._launched = 0
        self._listening = False
        for group in _groups([p for p in reversed(parameters) if p.requires_grad], bucket_bytes):
            bucket = _Bucket(group)
            self._buckets.append(bucket)
            for parameter in group:
                parameter.register_post_accumulate_grad_hook(lambda _, bucket=bucket: self._one_more(bucket))

    @contextmanager
    def during_backward(self) -> Iterator[None]:
        """Around one backward pass; afterwards every gradient is the mean over the processes.

        A parameter without a gradient on any process has none afterwards, as in a single process.
        """
        self._listening, self._launched = True, 0
        for bucket in self._buckets:
            bucket.missing = len(bucket.parameters)
        try:
            yield
        finally:
            self._listening = False
        self._launch(len(self._buckets))
        for bucket in self._buckets:
            bucket.finish()

    def _one_more(self, bucket: _Bucket) -> None:
        if not self._listening:
            return
        bucket.missing -= 1
        whole = self._launched
        while whole < len(self._buckets) and self._buckets[whole].missing <= 0:
            whole += 1
        self._launch(whole)

    def _launch(self, until: int) -> None:
        """Send the buckets before this one, in order: every process must send the same one next."""
        for bucket in self._buckets[self._launched : until]:
            bucket.launch()
        self._launched = max(self._launched, until)


class _Bucket:
    """Parameters whose gradients travel as one tensor, and a flag for each that has one."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = parameters
        self.missing = 0
        self._values = sum(p.numel() for p in parameters)
        self._flat: Tensor | None = None
        self._absent: list[int] = []
        self._work: dist.Work | None = None

    def launch(self) -> None:
        first = self.parameters[0]
        if self._flat is None:
            self._flat = torch.empty(self._values + len(self.parameters), dtype=first.dtype, device=first.device)
        flags = self._flat[self._values :].fill_(1)
        self._absent = [i for i, p in enumerate(self.parameters) if p.grad is None]
        for i, (parameter, view) in enumerate(zip(self.parameters, self._views(), strict=True)):
            if parameter.grad is None:
                view.zero_()
                flags[i] = 0
            elif parameter.grad.data_ptr() != view.data_ptr():
                view.copy_(parameter.grad)
                parameter.grad = view
        self._flat.div_(dist.get_world_size())
        self._work = dist.all_reduce(self._flat, async_op=True)

    def finish(self) -> None:
        assert self._work is not None
        assert self._flat is not None
        self._work.wait()
        if self._absent:  # another process may have had a gradient; rare, so it may wait for the device
            had = self._flat[self._values :].tolist()
            views = self._views()
            for i in self._absent:
                if had[i] > 0:
                    self.parameters[i].grad = views[i]

    def _views(self) -> list[Tensor]:
        """Laid out as the parameters are: fused optimisers walk both alike."""
        assert self._flat is not None
        views, start = [], 0
        for parameter in self.parameters:
            views.append(self._flat.as_strided(parameter.shape, parameter.stride(), start))
            start += parameter.numel()
        return views


def _groups(parameters: Sequence[nn.Parameter], bucket_bytes: int) -> Iterator[list[nn.Parameter]]:
    group: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        alike = not group or (group[0].dtype, group[0].device) == (parameter.dtype, parameter.device)
        if group and (not alike or size + parameter.nbytes > bucket_bytes):
            yield group
            group, size = [], 0
        group.append(parameter)
        size += parameter.nbytes
    if group:
        yield group


def same_start(module: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    for tensor in (*module.parameters(), *module.buffers()):
        dist.broadcast(tensor.detach(), 0)


def gather(value: Any) -> list[Any]:
    """The value of every rank, in order, on every rank."""
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
