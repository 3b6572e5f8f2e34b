"""What a resumed run gives back to an optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def restore(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load an optimiser's moments; what the command says of rates and betas wins over what the checkpoint had."""
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
