"""Turns, optimisers, processes and the state of a training, around a method that knows nothing of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.core.terminal import say
from gan_style.models.image_pool import ImagePool
from gan_style.models.passes import compile_networks, ways
from gan_style.models.picture_descent import step_by_closure
from gan_style.models.processes import gather
from gan_style.models.translator import Images, Terms, Translator
from gan_style.training.engine.optimizers import restore, take_step
from gan_style.training.engine.players import own_gradients, refuse_missing_gradients


class Engine(pl.LightningModule):
    """What Lightning trains: a method, one batch at a time, every player in its turn.

    Args:
        method: writes the equations; its weights are the only ones here.
        iterations_per_epoch: for schedules that count in epochs; need not be whole.
    """

    def __init__(self, method: Translator, iterations_per_epoch: float = 1.0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.method = method
        self.iterations_per_epoch = iterations_per_epoch
        self.quick = False  # whether what G trains computes by the ways of `networks.quick`, on a CPU in float32
        self.checkpointing = False  # whether residual blocks of what G trains are computed again in the backward pass
        self.compiled: Literal["off", "default", "max"] = "off"
        self.wrapped: dict[str, DistributedDataParallel] = {}  # players; none in a single process
        self._restored_gradients: dict[str, Tensor] = {}
        self.scalers: dict[str, torch.amp.GradScaler] = {}  # in float16

    @property
    def iteration(self) -> int:
        """Batches done; Lightning's global_step counts optimiser steps instead."""
        return self.method.iteration

    @property
    def position(self) -> int:
        """Where the stream of pictures and draws stands; batches that a rollback undid are not seen again."""
        return self.method.position

    # An iteration

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """One iteration: every player's turn on one batch. Returns detached pictures and loss terms."""
        self.begin_iteration()
        method = self.method
        losses: Terms = {}
        with self.quick_ways():
            images = method.generate(batch)
            for turn in method.turns:
                if turn in method.players():
                    terms = self._take_turn(turn, images)
                    losses |= {f"{turn}_{name}": value.detach() for name, value in terms.items()}
        method.iteration += 1
        method.after_iteration(self.optimizer_of())
        return {"images": {name: image.detach() for name, image in images.items()}, "losses": losses}

    def begin_iteration(self) -> None:
        """Draws and rates of an iteration follow from its number, so that nothing about them has to be saved."""
        torch.manual_seed(derive_seed(self.method.seed, "iteration", self.position, self.global_rank))
        self._set_learning_rates()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> Images:
        if self.method.optimizes_images and batch_idx > 0:  # they are the same in every batch
            return {}
        with self.quick_ways():
            return dict(self.method.generate(batch))

    def quick_ways(self) -> AbstractContextManager[object]:
        """Inside, what G trains computes as `quick` and `checkpointing` say."""
        return ways(self.method.networks("G"), self.quick and self.device.type == "cpu", self.checkpointing)

    def on_validation_model_zero_grad(self) -> None:
        """Keep them: Lightning would clear the gradients of an accumulated step that a validation interrupts."""

    def on_validation_start(self) -> None:
        self._say(self.method.before_validation())

    def _take_turn(self, turn: str, images: Images) -> Terms:
        loss = self.method.generator_loss if turn == "G" else self.method.discriminator_loss
        optimizer = _listed(self.optimizers())[self.method.players().index(turn)]
        if self.method.optimizes_images:
            return step_by_closure(optimizer, lambda: loss(images), lambda total: self.backward_of(turn, total))
        with self.toggled_optimizer(optimizer):
            total, terms = loss(images)
            if total.device.type == "cpu" and self.trainer.world_size == 1 and not bool(torch.isfinite(total)):
                # Asking costs nothing on a CPU, and the weights that led here can be looked at. Each term may be
                # finite by itself, so the total is one of them here.
                return terms | {"total": total}
            accumulate = self.method.accumulate
            if self.iteration % accumulate == 0:
                optimizer.zero_grad()
            scaler = self.scalers.get(turn)
            total, steps = total / accumulate, (self.iteration + 1) % accumulate == 0
            self.backward_of(turn, scaler.scale(total) if scaler else total, steps)
            if steps:
                take_step(optimizer, self.method.clip_grad_norm, scaler)
        return terms

    def backward_of(self, player: str, loss: Tensor, steps: bool = True) -> None:
        """The gradients of one player's loss; where a step follows, their mean over all processes."""
        wrapped = self.wrapped.get(player)
        with nullcontext() if wrapped is None or steps else wrapped.no_sync():
            self.manual_backward(loss if wrapped is None else wrapped(loss))
        if wrapped is not None:
            refuse_missing_gradients(wrapped, self.method, player)

    # Optimisers and rates

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        made = []
        for player in self.method.players():
            try:
                made.append(self.method.make_optimizer[player](self.method.parameters_of(player)))
            except (ValueError, TypeError) as error:
                raise UserError(f"model.optimizer_{player}: {' '.join(str(error).split())}") from error
        if self._trainer is not None and self._trainer.precision == "16-mixed":
            self.scalers = {player: torch.amp.GradScaler(self.device.type) for player in self.method.players()}
        return made

    def optimizer_of(self) -> dict[str, torch.optim.Optimizer]:
        """Each player's own optimiser, to read or restore; Lightning's wrapper of it, to step, is out of date."""
        return dict(zip(self.method.players(), _listed(self.optimizers(use_pl_optimizer=False)), strict=True))

    def learning_rates(self) -> dict[str, float]:
        return {player: o.param_groups[0]["lr"] for player, o in self.optimizer_of().items()}

    def rate_factor(self, iteration: int) -> float:
        """What the schedule makes of the learning rates in an iteration."""
        return self.method.schedule(iteration, self.iterations_per_epoch)

    def _set_learning_rates(self) -> None:
        factor = self.rate_factor(self.iteration)
        for optimizer in self.optimizer_of().values():
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    # State: everything that a resumed run needs beside the weights, which are the method's `state_dict`

    def training_state(self) -> dict[str, Any]:
        """Collective: every rank must call it, because pools and gradients of an open step differ between ranks."""
        return {
            "iteration": self.iteration,
            "skipped": self.method.skipped,
            "optimizers": {p: o.state_dict() for p, o in self.optimizer_of().items()},
            "pools": gather({name: pool.state_dict() for name, pool in self.pools().items()}),
            "gradients": gather(self.open_gradients()),
            "scalers": {player: scaler.state_dict() for player, scaler in self.scalers.items()},
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        self.method.iteration, self.method.skipped = state["iteration"], state.get("skipped", 0)
        for player, optimizer in self.optimizer_of().items():
            restore(optimizer, state["optimizers"][player])
        for name, pool in self.pools().items():
            pool.load_state_dict(state["pools"][self.global_rank % len(state["pools"])][name])
        self._restored_gradients = own_gradients(state["gradients"], self.global_rank)
        for player, scaler in self.scalers.items():
            if player in state.get("scalers", {}):  # a checkpoint of another precision has none
                scaler.load_state_dict(state["scalers"][player])

    def on_fit_start(self) -> None:
        self._say(self.method.before_training())

    def on_train_start(self) -> None:
        if self.compiled != "off":
            networks = [network for player in self.method.players() for network in self.method.networks(player)]
            said = compile_networks(networks, self.compiled)
            self._say(f"note: {said}" if said else None)
        self.restore_gradients()

    def restore_gradients(self) -> None:
        """Not in load_training_state: Lightning clears all gradients between the two."""
        parameters = dict(self.method.named_parameters())
        for name, gradient in self._restored_gradients.items():
            parameters[name].grad = gradient.to(parameters[name].device)
        self._restored_gradients = {}

    def open_gradients(self) -> dict[str, Tensor]:
        """Gradients are state only between the first and the last iteration of an accumulated step."""
        if self.iteration % self.method.accumulate == 0:
            return {}
        return {name: p.grad.cpu() for name, p in self.method.named_parameters() if p.grad is not None}

    def pools(self) -> dict[str, ImagePool]:
        """Past fakes of the method, by the name of its attribute."""
        return {name: value for name, value in vars(self.method).items() if isinstance(value, ImagePool)}

    def _say(self, text: str | None) -> None:
        if text and self.global_rank == 0:
            say(text, flush=True)


def engine_of(module: pl.LightningModule) -> Engine:
    """What Lightning hands to callbacks and strategies, by its type."""
    assert isinstance(module, Engine), f"a {type(module).__name__} is no Engine"
    return module


def method_of(module: pl.LightningModule) -> Translator:
    """The method of what Lightning hands to callbacks."""
    return engine_of(module).method


def _listed(one_or_many: Any) -> list[Any]:
    return list(one_or_many) if isinstance(one_or_many, (list, tuple)) else [one_or_many]
