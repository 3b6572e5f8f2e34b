"""Recording of all that a training computes, in order, as hashes: `gan-style audit` compares two of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten_with_path

from gan_style.training.engine.engine import method_of


class Recorder(pl.Callback):
    """Callback that hashes weights, batches, outputs of modules, loss terms and gradients when they appear.

    The tensors themselves are not kept. Training ends after some iterations.

    Args:
        iterations: after which training ends.
        earlier: the hashes of a training to compare this one with; what comes after the first difference is left out.
    """

    def __init__(self, iterations: int, earlier: Sequence[bytes] | None = None) -> None:
        self.hashes: list[bytes] = []  # 16 bytes a tensor, of its bits, type, shape and position in the training
        self.counts: dict[str, int] = {}  # by kind
        self.first_difference: dict[str, Any] | None = None
        self._iterations, self._earlier = iterations, earlier
        self._iteration, self._turn = 0, ""
        self._calls: Counter[str] = Counter()  # of each module in this iteration

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        method = method_of(pl_module)
        self._weights(method)
        for name, module in method.named_modules():
            if name:
                module.register_forward_hook(self._output_hook(name))
        for name, parameter in method.named_parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._gradient_hook(name))
        for turn, loss in (("G", "generator_loss"), ("D", "discriminator_loss")):
            # On the object: a loss has no hook, and some methods compute it outside `training_step`.
            setattr(method, loss, self._recorded_loss(turn, getattr(method, loss)))

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, *_: Any) -> None:
        self._iteration += 1
        self._turn = ""
        self._calls.clear()
        self._add("batch", "", batch)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self._turn = ""
        self._weights(method_of(pl_module))
        trainer.should_stop = self._iteration >= self._iterations

    def _weights(self, model: nn.Module) -> None:
        for name, tensor in model.state_dict().items():
            self._add("weight", name, tensor)

    def _output_hook(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            self._calls[name] += 1
            self._add("output", name, output)

        return hook

    def _gradient_hook(self, name: str) -> Callable[[Tensor], None]:
        def hook(parameter: Tensor) -> None:
            self._add("gradient", name, parameter.grad)

        return hook

    def _recorded_loss(self, turn: str, loss: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **named: Any) -> Any:
            self._turn = turn
            total, terms = loss(*arguments, **named)
            self._add("loss", "", {**terms, "total": total})
            return total, terms

        return recorded

    def _add(self, kind: str, path: str, value: Any) -> None:
        """Add every tensor of a value that may hold several, in order."""
        for keys, leaf in tree_flatten_with_path(value)[0]:
            if isinstance(leaf, Tensor):
                inner = ".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in keys)
                self._add_tensor(kind, ".".join(filter(None, (path, inner))), self._calls[path], leaf)

    def _add_tensor(self, kind: str, path: str, call: int, tensor: Tensor) -> None:
        if self.first_difference is not None:
            return
        position = {"iteration": self._iteration, "kind": kind, "path": path, "call": call, "turn": self._turn}
        found = digest(tensor, repr(position))
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.hashes.append(found)
        if self._earlier is None:
            return
        count = len(self.hashes)
        if count > len(self._earlier) or self._earlier[count - 1] != found:
            self.first_difference = position


def digest(tensor: Tensor, position: str) -> bytes:
    """Hash bits, shape, type and position in the training to 16 bytes."""
    plain = tensor.detach().cpu().contiguous().reshape(-1)
    summed = hashlib.blake2b(f"{position} {tensor.dtype} {tuple(tensor.shape)}".encode(), digest_size=16)
    if plain.numel():
        summed.update(plain.view(torch.uint8).numpy().data)
    return summed.digest()
