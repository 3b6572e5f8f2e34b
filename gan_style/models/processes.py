"""What the processes of a run do together: start alike, agree on what is learned without gradients, gather values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gan_style.core.errors import UserError

Gradients = Mapping[str, Tensor]  # parameter -> open gradient
_alone = False


class Player(nn.Module):
    """What one player trains, as the one model that DistributedDataParallel knows. What it gives out is its loss.

    It holds parameters and no networks, so that DistributedDataParallel finds no buffers to send.

    Args:
        trained: the parameters, in the order of the forward pass.
    """

    def __init__(self, trained: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.trained = nn.ParameterList(trained)

    def forward(self, loss: Tensor) -> Tensor:
        """The loss [], as it came."""
        return loss


def settle_buckets(wrapped: nn.parallel.DistributedDataParallel) -> None:
    """Have the buckets of gradients in their final order before the first iteration.

    After its first backward pass DistributedDataParallel sorts them anew, and from three processes on the order decides
    how a sum is rounded: the first iteration of a resumed run would not be the same number of an undisturbed one.
    """
    trained = list(wrapped.module.parameters())
    wrapped(0 * sum(parameter.sum() for parameter in trained)).backward()
    for parameter in trained:
        parameter.grad = None


def refuse_missing_gradients(wrapped: nn.parallel.DistributedDataParallel, model: nn.Module, player: str) -> None:
    """Look after a backward pass whether it reached all that the player trains.

    Raises:
        UserError: it did not, and nobody said that this may be: the others were not averaged.
    """
    missed = {id(parameter) for parameter in wrapped.module.parameters() if parameter.grad is None}
    if not missed or wrapped.find_unused_parameters:
        return
    names = [name for name, parameter in model.named_parameters() if id(parameter) in missed]
    raise UserError(
        f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''} had no gradient in a turn of {player}: train "
        "in one process, set trainer.strategy=ddp_find_unused_parameters_true, or find_unused_parameters = True in "
        f"{type(model).__name__}"
    )


def own_gradients(saved: Gradients | Sequence[Gradients], rank: int) -> dict[str, Tensor]:
    """A process's part of a step that was saved half accumulated; of another number of processes, their mean."""
    if isinstance(saved, Mapping):  # of a version in which all had the mean
        return dict(saved)
    if len(saved) == count():
        return dict(saved[rank])
    return {name: torch.stack([one[name] for one in saved]).mean(dim=0) for name in saved[0]}


def same_start(module: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    for tensor in (*module.parameters(), *module.buffers()):
        dist.broadcast(tensor.detach(), 0)


def count() -> int:
    """How many processes compute together; 1 inside `alone`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() and not _alone else 1


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process waits for no other: what is summed over all processes is its own part."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


@torch.no_grad()
def summed(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor's sum over all processes, the same bits on every one; in a single process the tensors themselves."""
    if count() == 1:
        return list(tensors)
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    parts = flat.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def averaged(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor's mean over all processes, the same bits on every one."""
    return [total / count() for total in summed(tensors)] if count() > 1 else list(tensors)


def gather(value: Any) -> list[Any]:
    """The value of every rank, in order, on every rank."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values
