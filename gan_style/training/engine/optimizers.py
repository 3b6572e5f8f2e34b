"""Steps of an optimiser, and its state in a resumed run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn


def take_step(optimizer: LightningOptimizer, clip: float | None, scaler: torch.amp.GradScaler | None) -> None:
    """Clip the gradients and take a step; a scaled one is left out where a gradient is not finite.

    Args:
        clip: largest norm of all gradients together; None does not clip.
        scaler: of the loss that the gradients are of.
    """
    plain = optimizer.optimizer
    weights = [p for group in plain.param_groups for p in group["params"]]
    if scaler:
        scaler.unscale_(plain)
    if clip is not None:
        nn.utils.clip_grad_norm_(weights, clip)
    if scaler:  # it talks to the optimiser itself, not to Lightning's wrapper
        scaler.step(plain)
        scaler.update()
    else:
        optimizer.step()
    # Fused steps leave the versions of the weights as they were, by which `networks.stages` knows them from older ones.
    torch.autograd.graph.increment_version(weights)


def goes_on(
    optimizer: torch.optim.Optimizer,
    make: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
    saved: Mapping[str, Any],
) -> bool:
    """Check whether an optimiser can go on from the saved state of another.

    Args:
        optimizer: of the same parameters.
        make: makes one of its kind.
        saved: a state dict.
    """
    states = optimizer.state_dict(), saved
    sizes = [[len(group["params"]) for group in state["param_groups"]] for state in states]
    if sizes[0] != sizes[1]:
        return False
    own, other = ([_switches(group) for group in state["param_groups"]] for state in states)
    if own == other:
        return True
    parameter = nn.Parameter(torch.zeros(1, 1))
    parameter.grad = torch.zeros(1, 1)
    trial = make([parameter])
    trial.step(lambda: 0.0)  # optimisers that need no closure ignore it
    needed = set(trial.state[parameter])
    return all(needed <= set(kept) for kept in saved["state"].values() if kept)


def _switches(group: Mapping[str, Any]) -> dict[str, bool]:
    """Return the settings of a group and whether each is on: they decide what state a parameter has."""
    return {name: bool(value) for name, value in group.items() if name not in ("params", "lr", "initial_lr")}


def restore(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load an optimiser's moments; rates and betas of the command win over the checkpoint's."""
    configured = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(dict(state))
    _lay_out_alike(optimizer)
    for group, own in zip(optimizer.param_groups, configured, strict=True):
        group.pop("initial_lr", None)
        group.update(own)


def _lay_out_alike(optimizer: torch.optim.Optimizer) -> None:
    """Lay moments out as their parameters are: fused optimisers walk both in the order of memory."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
