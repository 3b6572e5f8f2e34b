"""The players of a run of several processes: each in a DistributedDataParallel of its own, all start alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.models.processes import count

Gradients = Mapping[str, Tensor]  # parameter -> open gradient


class Player(nn.Module):
    """The parameters of one player, as a module for DistributedDataParallel. Its output is its input, a loss.

    It holds parameters and no networks, so that DistributedDataParallel finds no buffers to send.

    Args:
        trained: the parameters, in the order of the forward pass.
    """

    def __init__(self, trained: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.trained = nn.ParameterList(trained)

    def forward(self, loss: Tensor) -> Tensor:
        """Return the loss [], unchanged."""
        return loss


def settle_buckets(wrapped: nn.parallel.DistributedDataParallel) -> None:
    """Have the buckets of gradients in their final order before the first iteration.

    After its first backward pass DistributedDataParallel reorders them, and with three or more processes the order
    affects rounding: the first iteration after a resume would differ from that of an uninterrupted run.
    """
    trained = list(wrapped.module.parameters())
    wrapped(0 * sum(parameter.sum() for parameter in trained)).backward()
    for parameter in trained:
        parameter.grad = None


def refuse_missing_gradients(wrapped: nn.parallel.DistributedDataParallel, model: nn.Module, player: str) -> None:
    """Check after a backward pass that it reached all that the player trains.

    Raises:
        UserError: it did not, and `find_unused_parameters` is off: the other gradients were not averaged.
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
    """Select this process's part of a step that was saved half accumulated; of other numbers of processes, the mean."""
    if isinstance(saved, Mapping):  # an older version saved the mean
        return dict(saved)
    if len(saved) == count():
        return dict(saved[rank])
    return {name: torch.stack([one[name] for one in saved]).mean(dim=0) for name in saved[0]}


def same_start(module: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    for tensor in (*module.parameters(), *module.buffers()):
        dist.broadcast(tensor.detach(), 0)
