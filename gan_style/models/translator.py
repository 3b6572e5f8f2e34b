"""The turn-taking every image translator shares; a method writes only its equations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.core.terminal import say
from gan_style.core.types import Count, Positive, Seed
from gan_style.losses.adversarial import Logits
from gan_style.losses.precision import at_least_float32
from gan_style.models.image_pool import ImagePool
from gan_style.models.optimizers import restore, take_step
from gan_style.models.passes import compile_networks, ways
from gan_style.models.processes import gather, own_gradients, refuse_missing_gradients
from gan_style.models.schedules import ConstantThenLinear

Images = dict[str, Tensor]  # name -> [B, C, H, W] in [-1, 1]; the names are in docs/glossary.md
StyleCode = dict[str, Tensor]  # name -> [B, ...]: what a method knows of a style
Terms = dict[str, Tensor]  # name of a loss term -> scalar, before its weight
Optimizers = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class Translator(pl.LightningModule):
    """Two players, two optimisers, one batch at a time.

    A subclass declares its networks by name and writes `translate`, `generate`, `generator_loss` and, when it
    has discriminators, `discriminator_loss`. It never touches an optimiser, a device or a logger.

    Args:
        optimizer_G, optimizer_D: factories, parameters -> optimiser; D's is not needed without discriminators.
        schedule: iteration, iterations per epoch -> factor on the learning rate.
        clip_grad_norm: largest norm of one player's gradient; None does not clip.
        accumulate: iterations per optimiser step; their gradients are averaged.
        seed: dropout, pools and other random choices of iteration t follow from (seed, rank, t) alone.
    """

    generators: tuple[str, ...]  # they translate: averaged by EMA, exported, trained by optimizer_G
    helpers: ClassVar[tuple[str, ...]] = ()  # trained with G, not averaged; most are not needed afterwards
    discriminators: ClassVar[tuple[str, ...]] = ()
    turns: ClassVar[tuple[str, ...]] = ("G", "D")
    directions: tuple[str, ...] = ("A2B",)
    reads_vgg: ClassVar[bool] = False  # whether it needs VGG's weights after training, which checkpoints do not carry
    find_unused_parameters: ClassVar[bool] = False  # whether a turn may leave some of its player without a gradient
    takes_float16: ClassVar[bool] = True  # whether it leaves its steps to `_take_turn`, which scales losses
    takes_style: ClassVar[bool] = False  # whether it writes `style_code` and `stylize`
    shown_only: ClassVar[tuple[str, ...]] = ()  # terms of `generator_loss` that are in no total

    def __init__(
        self,
        *,
        optimizer_G: Optimizers,
        optimizer_D: Optimizers | None = None,
        schedule: Callable[[int, float], float] | None = None,
        clip_grad_norm: Positive | None = None,
        accumulate: Count = 1,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self._make_optimizer = {"G": optimizer_G, "D": optimizer_D or optimizer_G}
        self._schedule = schedule or ConstantThenLinear(decay=0)
        self.clip_grad_norm = clip_grad_norm
        self.accumulate = accumulate
        self.seed = seed
        self.iteration = 0  # batches done; Lightning's global_step counts optimiser steps instead
        self.skipped = 0  # batches that were done and taken back: draws and data go on behind them
        self.iterations_per_epoch = 1.0
        self.quick = False  # whether what G trains computes by `fast_convolutions`, on a CPU in float32
        self.checkpointing = False  # whether residual blocks of what G trains are computed again in the backward pass
        self.compiled: Literal["off", "default", "max"] = "off"
        self._restored_gradients: dict[str, Tensor] = {}
        self._scalers: dict[str, torch.amp.GradScaler] = {}  # in float16
        self.wrapped: dict[str, DistributedDataParallel] = {}  # players; none in a single process

    # What a method writes

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        """Translate pictures [B, C, H, W] in [-1, 1] to the same size."""
        raise NotImplementedError

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make every picture that the losses need; the graph reaches the generators only."""
        raise NotImplementedError

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        """The generators' total loss and its unweighted terms."""
        raise NotImplementedError

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        """The discriminators' total loss and its unweighted terms; fakes must be detached."""
        raise NotImplementedError

    def logits(self, batch: Mapping[str, Any], images: Images) -> dict[str, tuple[Logits, Logits]]:
        """What each discriminator says of real and of fake pictures; to be overridden where it takes more than them."""
        networks = {name: getattr(self, name) for name in self.discriminators}
        return {name: (D(images[f"real_{name[-1]}"]), D(images[f"fake_{name[-1]}"])) for name, D in networks.items()}

    def interpolate(self, images: Tensor, direction: str, alpha: float) -> Tensor:
        """Translate with a strength in [0, 1]: between the pictures and their translations, unless overridden."""
        if alpha == 0:
            return images
        translated = self.translate(images, direction)
        if alpha < 1 and translated.shape != images.shape:
            raise UserError(f"alpha={alpha:g} mixes a picture with a translation of other channels: take alpha=1")
        return torch.lerp(images, translated, alpha) if alpha < 1 else translated

    def general_style(self) -> StyleCode:
        """The code of all styles of training together."""
        raise NotImplementedError

    def known_style(self, index: int) -> StyleCode:
        """The code of a style that was learned by name in training."""
        raise NotImplementedError

    def style_code(self, pictures: Tensor) -> StyleCode:
        """What the method needs to know of style pictures [N, C, H, W]: tensors [N, ...] by name.

        Codes are mixed by weighted means; the content's own code stands for "no change" (docs/styles.md).
        """
        raise NotImplementedError

    def stylize(self, images: Tensor, code: StyleCode) -> Tensor:
        """Give pictures [B, C, H, W] in [-1, 1] the style of a code of B entries, or of one for all."""
        raise NotImplementedError

    @property
    def last_iteration(self) -> int | None:
        """Where a method that knows its own end stops, unless trainer.max_steps says otherwise."""
        return None

    # What is shared

    def players(self) -> tuple[str, ...]:
        """`("G", "D")`, or `("G",)` for a method without discriminators."""
        return ("G", "D") if self.discriminators else ("G",)

    def networks(self, player: str) -> list[nn.Module]:
        """The networks that a player's optimiser trains."""
        names = self.generators + self.helpers if player == "G" else self.discriminators
        return [getattr(self, name) for name in names]

    def parameter_counts(self) -> dict[str, int]:
        """Network -> number of its trained parameters."""
        counts = {
            name: sum(p.numel() for p in network.parameters() if p.requires_grad)
            for name, network in self.named_children()
        }
        return {name: count for name, count in counts.items() if count}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """One iteration: every player's turn on one batch. Returns detached pictures and loss terms."""
        self.begin_iteration()
        losses: Terms = {}
        with self.quick_ways():
            images = self.generate(batch)
            for turn in self.turns:
                if turn in self.players():
                    terms = self._take_turn(turn, images)
                    losses |= {f"{turn}_{name}": value.detach() for name, value in terms.items()}
        self.iteration += 1
        return {"images": {name: image.detach() for name, image in images.items()}, "losses": losses}

    def begin_iteration(self) -> None:
        """Draws and rates of an iteration follow from its number, so that nothing about them has to be saved."""
        torch.manual_seed(derive_seed(self.seed, "iteration", self.iteration + self.skipped, self.global_rank))
        self._set_learning_rates()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> Images:
        with self.quick_ways():
            return self.generate(batch)

    def quick_ways(self) -> AbstractContextManager[object]:
        """Inside, what G trains computes as `quick` and `checkpointing` say."""
        return ways(self.networks("G"), self.quick and self.device.type == "cpu", self.checkpointing)

    def on_validation_model_zero_grad(self) -> None:
        """Keep them: Lightning would clear the gradients of an accumulated step that a validation interrupts."""

    def _take_turn(self, turn: str, images: Images) -> Terms:
        loss = self.generator_loss if turn == "G" else self.discriminator_loss
        optimizer = _listed(self.optimizers())[self.players().index(turn)]
        with self.toggled_optimizer(optimizer):
            total, terms = loss(images)
            if total.device.type == "cpu" and self.trainer.world_size == 1 and not bool(torch.isfinite(total)):
                # Asking costs nothing on a CPU, and the weights that led here can be looked at. Each term may be
                # finite by itself, so the total is one of them here.
                return terms | {"total": total}
            if self.iteration % self.accumulate == 0:
                optimizer.zero_grad()
            scaler = self._scalers.get(turn)
            total, steps = total / self.accumulate, (self.iteration + 1) % self.accumulate == 0
            self.backward_of(turn, scaler.scale(total) if scaler else total, steps)
            if steps:
                take_step(optimizer, self.clip_grad_norm, scaler)
        return terms

    def backward_of(self, player: str, loss: Tensor, steps: bool = True) -> None:
        """The gradients of one player's loss; where a step follows, their mean over all processes."""
        wrapped = self.wrapped.get(player)
        with nullcontext() if wrapped is None or steps else wrapped.no_sync():
            self.manual_backward(loss if wrapped is None else wrapped(loss))
        if wrapped is not None:
            refuse_missing_gradients(wrapped, self, player)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        made = []
        for player in self.players():
            try:
                made.append(self._make_optimizer[player](self._parameters_of(player)))
            except (ValueError, TypeError) as error:
                raise UserError(f"model.optimizer_{player}: {' '.join(str(error).split())}") from error
        if self._trainer is not None and self._trainer.precision == "16-mixed":
            self._scalers = {player: torch.amp.GradScaler(self.device.type) for player in self.players()}
        return made

    def optimizer_of(self) -> dict[str, torch.optim.Optimizer]:
        """Each player's own optimiser, to read or restore; Lightning's wrapper of it, to step, is out of date."""
        return dict(zip(self.players(), _listed(self.optimizers(use_pl_optimizer=False)), strict=True))

    def learning_rates(self) -> dict[str, float]:
        return {player: o.param_groups[0]["lr"] for player, o in self.optimizer_of().items()}

    def rate_factor(self, iteration: int) -> float:
        """What the schedule makes of the learning rates in an iteration."""
        return self._schedule(iteration, self.iterations_per_epoch)

    def _set_learning_rates(self) -> None:
        factor = self.rate_factor(self.iteration)
        for optimizer in self.optimizer_of().values():
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def _parameters_of(self, player: str) -> list[nn.Parameter]:
        return list(itertools.chain.from_iterable(net.parameters() for net in self.networks(player)))

    # State: everything that a resumed run needs beside the weights

    def training_state(self) -> dict[str, Any]:
        """Collective: every rank must call it, because pools and gradients of an open step differ between ranks."""
        return {
            "iteration": self.iteration,
            "skipped": self.skipped,
            "optimizers": {p: o.state_dict() for p, o in self.optimizer_of().items()},
            "pools": gather({name: pool.state_dict() for name, pool in self._pools().items()}),
            "gradients": gather(self._open_gradients()),
            "scalers": {player: scaler.state_dict() for player, scaler in self._scalers.items()},
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        self.iteration, self.skipped = state["iteration"], state.get("skipped", 0)
        for player, optimizer in self.optimizer_of().items():
            restore(optimizer, state["optimizers"][player])
        for name, pool in self._pools().items():
            pool.load_state_dict(state["pools"][self.global_rank % len(state["pools"])][name])
        self._restored_gradients = own_gradients(state["gradients"], self.global_rank)
        for player, scaler in self._scalers.items():
            if player in state.get("scalers", {}):  # a checkpoint of another precision has none
                scaler.load_state_dict(state["scalers"][player])

    def on_train_start(self) -> None:
        if self.compiled != "off":
            networks = [network for player in self.players() for network in self.networks(player)]
            if (said := compile_networks(networks, self.compiled)) and self.global_rank == 0:
                say(f"note: {said}", flush=True)
        self.restore_gradients()

    def restore_gradients(self) -> None:
        """Not in load_training_state: Lightning clears all gradients between the two."""
        parameters = dict(self.named_parameters())
        for name, gradient in self._restored_gradients.items():
            parameters[name].grad = gradient.to(parameters[name].device)
        self._restored_gradients = {}

    def _open_gradients(self) -> dict[str, Tensor]:
        """Gradients are state only between the first and the last iteration of an accumulated step."""
        if self.iteration % self.accumulate == 0:
            return {}
        return {name: p.grad.cpu() for name, p in self.named_parameters() if p.grad is not None}

    def _pools(self) -> dict[str, ImagePool]:
        return {name: value for name, value in vars(self).items() if isinstance(value, ImagePool)}


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference, at least in float32."""
    return F.l1_loss(at_least_float32(output), target)


def _listed(one_or_many: Any) -> list[Any]:
    return list(one_or_many) if isinstance(one_or_many, (list, tuple)) else [one_or_many]
