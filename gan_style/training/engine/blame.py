"""Search for the source of a number that is not finite, by recomputing the iteration layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.models.processes import alone
from gan_style.training.engine.engine import Engine


def first_broken_layer(engine: Engine, batch: Mapping[str, Any]) -> str:
    """Return a short description of the first layer that gives NaN or infinity.

    Only for a model that has already failed, because its buffers and pools change. It does not wait for other
    processes, which may not have failed.

    Args:
        engine: after the iteration that failed.
        batch: of that iteration.
    """
    for name, value in batch.items():
        if isinstance(value, Tensor) and not _finite(value):
            return f"the pictures of the batch are not finite ({name})"
    model = engine.method
    found: list[str] = []
    handles = [module.register_forward_hook(_watch(name, found)) for name, module in model.named_modules() if name]
    model.iteration -= 1  # so that it repeats the random draws of the failed iteration
    try:
        engine.begin_iteration()
        with alone(), torch.enable_grad(), engine.compute_modes():
            images = model.generate(batch)
            for turn in (turn for turn in model.turns if turn in model.players()):
                if not found:
                    engine.loss_of(turn, images)
    finally:
        model.iteration += 1
        for handle in handles:
            handle.remove()
    if not found:
        return "every layer's output is finite, so the loss itself overflows"
    broken = [name for name, p in model.get_submodule(found[0]).named_parameters() if not _finite(p)]
    why = ", whose weights are no longer finite" if broken else ""
    return f"the first layer whose output is not finite is {found[0]}{why}"


def _watch(name: str, found: list[str]) -> Callable[..., None]:
    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if not found and any(not _finite(value) for value in _tensors(output)):
            found.append(name)

    return look


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())
