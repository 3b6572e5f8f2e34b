"""Turns, optimisers, processes and the state of a training, around a method that knows nothing of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.core.terminal import say
from gan_style.models.diffaug import show_augmented
from gan_style.models.image_descent import step_by_closure
from gan_style.models.image_pool import ImagePool
from gan_style.models.passes import compile_networks, compute_modes
from gan_style.models.processes import gather
from gan_style.models.pseudo import PseudoAugmentation
from gan_style.models.translator import Images, Terms, Translator
from gan_style.training.engine.optimizers import restore, take_step
from gan_style.training.engine.players import own_gradients, refuse_missing_gradients


class Engine(pl.LightningModule):
    """The LightningModule of a run: a method, trained one batch at a time, every player in its turn.

    Args:
        method: writes the equations; its weights are the only ones here.
        iterations_per_epoch: for schedules that count in epochs; need not be whole.
        wrap: directions in which pictures go round, see `gan_style.networks.wrap`.
    """

    def __init__(self, method: Translator, iterations_per_epoch: float = 1.0, wrap: str | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.method = method
        self.iterations_per_epoch, self.wrap = iterations_per_epoch, wrap
        self.first_weights = first_weights(method)  # of the lambdas that have a schedule
        self.fast_convolutions = False  # whether the networks compute by `networks.stages`, on a CPU
        self.checkpointing = False  # whether what G trains recomputes residual blocks in the backward pass
        self.compiled: Literal["off", "default", "max"] = "off"
        self.wrapped: dict[str, DistributedDataParallel] = {}  # players; none in a single process
        self._restored_gradients: dict[str, Tensor] = {}
        self.scalers: dict[str, torch.amp.GradScaler] = {}  # in float16
        if method.augment == "diffaug":
            show_augmented([getattr(method, name) for name in method.discriminators])
        self.pseudo = PseudoAugmentation(method) if method.augment == "apa" else None

    @property
    def iteration(self) -> int:
        """Batches done; Lightning's global_step counts optimiser steps instead."""
        return self.method.iteration

    @property
    def position(self) -> int:
        """Position in the stream of batches and random draws; batches that a rollback undid are not seen again."""
        return self.method.position

    # An iteration

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Make one iteration, every player's turn on one batch. Returns: detached images and loss terms."""
        self.begin_iteration()
        method = self.method
        losses: Terms = {}
        with self.compute_modes():
            images = method.generate(batch)
            for turn in method.turns:
                if turn in method.players():
                    terms = self._take_turn(turn, images)
                    losses |= {f"{turn}_{name}": value.detach() for name, value in terms.items()}
        method.iteration += 1
        if self.pseudo is not None:
            for domain, p in self.pseudo.p.items():
                losses[f"D_pseudo_{domain}"] = torch.full((), p, device=self.device)
            self.pseudo.adapt(batch, images)
        method.after_iteration(self.optimizer_of())
        return {"images": {name: image.detach() for name, image in images.items()}, "losses": losses}

    def loss_of(self, turn: str, images: Images) -> tuple[Tensor, Terms]:
        """Return a player's total loss and its unweighted terms, of the pictures of an iteration."""
        if turn == "G":
            return self.method.generator_loss(images)
        return self.method.discriminator_loss(images if self.pseudo is None else self.pseudo.shown(images))

    def begin_iteration(self) -> None:
        """Set seed, rates and weights from the iteration's number, so that none has to be saved."""
        torch.manual_seed(derive_seed(self.method.seed, "iteration", self.position, self.global_rank))
        self._set_learning_rates()
        self._set_weights()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> Images:
        if self.method.optimizes_images and batch_idx > 0:  # they are the same in every batch
            return {}
        with self.compute_modes(), self._own_noise(batch):
            return dict(self.method.generate(batch))

    @contextmanager
    def _own_noise(self, batch: Mapping[str, Any]) -> Iterator[None]:
        """Let each picture of a validation have noise of its own, inside a `with` block.

        The same noise at the same places of all pictures would count as a grid, and as fewer strokes. A compiled
        network has it all the same, since other seeds would compile it again.
        """
        method = self.method
        with ExitStack() as stack:
            for direction in method.directions if not method.takes_style and self.compiled == "off" else ():
                parts = [part for part in method.noised(direction) if getattr(part, "takes_seeds", False)]
                seeds = batch.get(f"noise_seed_{direction.source}")
                if seeds is not None:
                    stack.enter_context(method.seeded(seeds, parts))
            yield

    def compute_modes(self) -> AbstractContextManager[object]:
        """Compute the networks as `fast_convolutions` and `checkpointing` say, inside a `with` block."""
        method, faster = self.method, self.fast_convolutions and self.device.type == "cpu"
        of_G, of_D = method.networks("G"), method.networks("D")
        return compute_modes(of_G, faster, self.checkpointing, self.wrap, of_D, method.penalised)

    def on_validation_model_zero_grad(self) -> None:
        """Keep the gradients: Lightning would clear those of an accumulated step that a validation interrupts."""

    def on_validation_start(self) -> None:
        self._say(self.method.before_validation())

    def _take_turn(self, turn: str, images: Images) -> Terms:
        optimizer = _listed(self.optimizers())[self.method.players().index(turn)]
        if self.method.optimizes_images:
            return step_by_closure(
                optimizer, lambda: self.loss_of(turn, images), lambda total: self.backward_of(turn, total)
            )
        with self.toggled_optimizer(optimizer):
            total, terms = self.loss_of(turn, images)
            if total.device.type == "cpu" and self.trainer.world_size == 1 and not bool(torch.isfinite(total)):
                # On a CPU the check costs nothing, and it keeps the weights from the broken step, for inspection.
                # Each term may be finite by itself, so the total is returned among them.
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
        """Compute the gradients of one player's loss; where a step follows, their mean over all processes."""
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
                made.append(self.method.make_optimizer[player](self.method.parameter_groups(player)))
            except (ValueError, TypeError) as error:
                raise UserError(f"model.optimizer_{player}: {' '.join(str(error).split())}") from error
        if self._trainer is not None and self._trainer.precision == "16-mixed":
            self.scalers = {player: torch.amp.GradScaler(self.device.type) for player in self.method.players()}
        return made

    def optimizer_of(self) -> dict[str, torch.optim.Optimizer]:
        """Return each player's own optimiser, to read or restore; Lightning's wrapper, to step, is out of date."""
        return dict(zip(self.method.players(), _listed(self.optimizers(use_pl_optimizer=False)), strict=True))

    def learning_rates(self) -> dict[str, float]:
        return {player: o.param_groups[0]["lr"] for player, o in self.optimizer_of().items()}

    def rate_factor(self, iteration: int) -> float:
        """Return the schedule's factor on the learning rates in an iteration."""
        return self.method.schedule(iteration, self.iterations_per_epoch)

    def _set_learning_rates(self) -> None:
        factor = self.rate_factor(self.iteration)
        for optimizer in self.optimizer_of().values():
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def weights(self, iteration: int) -> dict[str, float]:
        """Return the weights in an iteration of the losses that have a schedule, by name."""
        return {
            name: self.method.weight_schedules[name](first, iteration, self.iterations_per_epoch)
            for name, first in self.first_weights.items()
        }

    def _set_weights(self) -> None:
        for name, weight in self.weights(self.iteration).items():
            setattr(self.method, name, weight)

    # State: everything that a resumed run needs beside the weights, which are the method's `state_dict`

    def training_state(self) -> dict[str, Any]:
        """Gather the state on every rank, as pools and open gradients differ: every rank must call it."""
        return {
            "iteration": self.iteration,
            "skipped": self.method.skipped,
            "optimizers": {p: o.state_dict() for p, o in self.optimizer_of().items()},
            "pools": gather({name: pool.state_dict() for name, pool in self.pools().items()}),
            "gradients": gather(self.open_gradients()),
            "scalers": {player: scaler.state_dict() for player, scaler in self.scalers.items()},
            **({} if self.pseudo is None else {"pseudo": self.pseudo.state_dict()}),
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        self.method.iteration, self.method.skipped = state["iteration"], state.get("skipped", 0)
        for player, optimizer in self.optimizer_of().items():
            restore(optimizer, state["optimizers"][player])
        for name, pool in self.pools().items():
            pool.load_state_dict(state["pools"][self.global_rank % len(state["pools"])][name])
        if self.pseudo is not None:
            self.pseudo.load_state_dict(state.get("pseudo", {}))  # a run without it had none
        self._restored_gradients = own_gradients(state["gradients"], self.global_rank)
        for player, scaler in self.scalers.items():
            if player in state.get("scalers", {}):  # a checkpoint of another precision has none
                scaler.load_state_dict(state["scalers"][player])

    def on_fit_start(self) -> None:
        self._say(self.method.before_training())

    def on_train_start(self) -> None:
        if self.compiled != "off":
            # A penalty differentiates D twice, which a compiled network cannot do.
            players = [player for player in self.method.players() if player != "D" or not self.method.penalised]
            networks = [network for player in players for network in self.method.networks(player)]
            said = compile_networks(networks, self.compiled)
            if said is None and "D" not in players and self.method.discriminators:
                said = "discriminators are not compiled, because a gradient penalty differentiates them twice"
            self._say(f"note: {said}" if said else None)
        self.restore_gradients()

    def restore_gradients(self) -> None:
        """Restore open gradients, after load_training_state, since Lightning clears all gradients between the two."""
        parameters = dict(self.method.named_parameters())
        for name, gradient in self._restored_gradients.items():
            parameters[name].grad = gradient.to(parameters[name].device)
        self._restored_gradients = {}

    def open_gradients(self) -> dict[str, Tensor]:
        """Return gradients of an unfinished accumulated step; between steps they are no state."""
        if self.iteration % self.method.accumulate == 0:
            return {}
        return {name: p.grad.cpu() for name, p in self.method.named_parameters() if p.grad is not None}

    def pools(self) -> dict[str, ImagePool]:
        """Return the pools of past fakes of the method, by the name of the attribute."""
        return {name: value for name, value in vars(self.method).items() if isinstance(value, ImagePool)}

    def _say(self, text: str | None) -> None:
        if text and self.global_rank == 0:
            say(text, flush=True)


def first_weights(method: Translator) -> dict[str, float]:
    """Return the values at which the weights begin that have a schedule.

    Raises:
        UserError: a method has no weight of that name.
    """
    weights = {name: value for name, value in vars(method).items() if name.startswith("lambda_")}
    for name in method.weight_schedules:
        if not isinstance(weights.get(name), (int, float)):
            known = ", ".join(name for name, value in weights.items() if isinstance(value, (int, float)))
            raise UserError(f"model.weight_schedules.{name} is no weight of this method, which has {known}")
        if not weights[name]:
            raise UserError(
                f"model.{name}=0 leaves out what its schedule is to weigh: begin above 0, or leave "
                f"model.weight_schedules.{name} out"
            )
        try:
            float(method.weight_schedules[name](float(weights[name]), 0, 1.0))
        except TypeError as error:
            raise UserError(
                f"model.weight_schedules.{name} is not called as (first, iteration, iterations_per_epoch): give "
                "gan_style.models.schedules.LinearTo, or a function of your own with _partial_: true"
            ) from error
    return {name: float(weights[name]) for name in method.weight_schedules}


def engine_of(module: pl.LightningModule) -> Engine:
    """Cast the module that Lightning hands to callbacks and strategies to an `Engine`."""
    assert isinstance(module, Engine), f"a {type(module).__name__} is no Engine"
    return module


def method_of(module: pl.LightningModule) -> Translator:
    """Return the method of the module that Lightning hands to callbacks."""
    return engine_of(module).method


def _listed(one_or_many: Any) -> list[Any]:
    return list(one_or_many) if isinstance(one_or_many, (list, tuple)) else [one_or_many]
