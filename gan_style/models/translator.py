"""Contract of a method: what it writes, and its declared capabilities. Pure torch; training.engine trains it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.direction import OTHER, Direction
from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32
from gan_style.core.types import Count, GanMode, Positive, Seed, Weight
from gan_style.losses.adversarial import Adversarial, Logits, adversarial
from gan_style.losses.gradient_penalty import r1_penalty, wgan_gp, zero_centred
from gan_style.models.passes import joined
from gan_style.models.schedules import ConstantThenLinear
from gan_style.networks.contract import Branched, Graded, Noised, judges_of, noised

Images = dict[str, Tensor]  # name -> [B, C, H, W] in [-1, 1]; the names are in docs/glossary.md
StyleCode = dict[str, Tensor]  # name -> [B, ...]: representation of a style
Terms = dict[str, Tensor]  # name of a loss term -> scalar, before its weight
WeightSchedule = Callable[[float, int, float], float]  # see `schedules.LinearTo`
Optimizers = Callable[[Any], torch.optim.Optimizer]  # of parameters, or of groups of them


# Hooks of Lightning, which trains an Engine around a method: nobody would notice that they are not called.
NOT_CALLED = {
    **dict.fromkeys(("on_fit_start", "on_train_start"), "write before_training"),
    **dict.fromkeys(("on_validation_start", "validation_step"), "write before_validation or generate"),
    **dict.fromkeys(("on_train_batch_end", "on_train_batch_start"), "write after_iteration"),
    **dict.fromkeys(("training_step", "configure_optimizers"), "write generate, the losses and the class's `turns`"),
}


class Generated(dict[str, Tensor]):
    """Images by name, and other values of `generate` that the losses need.

    Args:
        images: name -> [B, C, H, W]; they alone are shown, scored and logged.
        **kept: anything, by name; a loss gets it by `kept(images, name)`.
    """

    def __init__(self, images: Mapping[str, Tensor], **kept: Any) -> None:
        super().__init__(images)
        self.kept = kept


def kept(images: Images, name: str) -> Any:
    """Return what `generate` kept under a name beside its images.

    Raises:
        KeyError: nothing was kept there, as in evaluation mode, where there are no losses.
    """
    found = images.kept if isinstance(images, Generated) else {}
    if name not in found:
        raise KeyError(f"generate kept no {name} beside its pictures: return Generated(images, {name}=...)")
    return found[name]


def replaced(images: Images, changed: Mapping[str, Tensor]) -> Generated:
    """Return images with some exchanged for others, by name; what was kept beside them stays."""
    return Generated({**images, **changed}, **(images.kept if isinstance(images, Generated) else {}))


class Translator(nn.Module):
    """Base class of a method: two players, two optimisers, one batch at a time.

    A subclass declares its networks by name and writes `translate`, `generate`, `generator_loss` and, when it
    has discriminators, `discriminator_loss`. It never touches an optimiser, a device or a logger.

    Args:
        optimizer_G, optimizer_D: factories, parameters -> optimiser; D's is not needed without discriminators.
        optimizer_H: settings of G's optimiser that are others for the helpers, such as {"lr": 1e-3}.
        schedule: iteration, iterations per epoch -> factor on the learning rate.
        clip_grad_norm: largest norm of one player's gradient; None does not clip.
        accumulate: iterations per optimiser step; their gradients are averaged.
        gan_mode: adversarial loss of the discriminators; None is the method's own.
        lambda_r1, lambda_r2: weights of the zero-centred gradient penalties on real images and on fakes; None is the
            method's own.
        lambda_gp, lambda_gp0: weights of the one-centred and of the zero-centred penalty between the two.
        penalty_every: iterations between two penalties, of so many times the weight (Karras et al. 2020, section 3.1).
        augment: what keeps discriminators from learning few pictures by heart: "diffaug", the augmentation of
            models/diffaug.py, or "apa", that of models/pseudo.py; None does nothing.
        seed: dropout, pools and other random choices of iteration t follow from (seed, rank, t) alone.
        weight_schedules: name of a `lambda_` -> `schedules.LinearTo`, or anything that is called like it; its
            weight begins at the value of that name.

    Raises:
        UserError: a setting of adversarial losses, augmentation or helpers for a method that has none, or one of the
            helpers that their optimiser does not take.
    """

    # Its networks, by the names of its attributes
    generators: tuple[str, ...]  # they translate: averaged by EMA, exported, trained by optimizer_G
    helpers: ClassVar[tuple[str, ...]] = ()  # trained with G, not averaged; most are not needed afterwards
    discriminators: tuple[str, ...] = ()
    critics: ClassVar[tuple[str, ...]] = ()  # trained with the discriminators; they judge no images
    turns: ClassVar[tuple[str, ...]] = ("G", "D")

    # What it can do
    directions: tuple[Direction, ...] = (Direction.A2B,)  # a subclass may write their texts
    takes_style: ClassVar[bool] = False  # whether it writes `style_code` and `stylize`, see models/styled.py
    takes_noise: ClassVar[bool] = False  # whether it writes `latent_style`, too
    optimizes_images: ClassVar[bool] = False  # whether it optimises the pictures themselves, see models/styled.py
    explains: ClassVar[tuple[Direction, ...]] = ()  # directions of which it writes `explain`; their texts, too
    takes_float16: ClassVar[bool] = True  # whether its losses may be scaled for float16
    find_unused_parameters: ClassVar[bool] = False  # whether a turn may leave some of its player without a gradient
    reads_vgg: ClassVar[bool] = False  # whether it needs VGG's weights after training, which checkpoints do not carry
    carries_vgg: ClassVar[bool] = False  # whether it translates by a VGG, which checkpoints carry
    pretrain: int = 0  # iterations at the beginning that are trained in another way, and are not judged by the doctor
    gan_mode: str | None = None  # of its adversarial loss, as `adversarial(mode)` calls it; None has no such loss
    lambda_r1: float = 0.0
    lambda_r2: float = 0.0
    lambda_gp: float = 0.0
    lambda_gp0: float = 0.0
    shown_only: ClassVar[tuple[str, ...]] = ()  # terms of `generator_loss` that are in no total

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, instead in NOT_CALLED.items():
            if name in vars(cls):
                raise TypeError(f"{cls.__name__}.{name} would never be called: {instead}")
        for name in ("directions", "explains"):
            try:
                setattr(cls, name, tuple(Direction(direction) for direction in getattr(cls, name)))
            except (TypeError, ValueError) as error:
                raise TypeError(f'{cls.__name__}.{name} is to be a tuple of "A2B" and "B2A"') from error

    def __init__(
        self,
        *,
        optimizer_G: Optimizers,
        optimizer_D: Optimizers | None = None,
        optimizer_H: Mapping[str, Any] | None = None,
        schedule: Callable[[int, float], float] | None = None,
        clip_grad_norm: Positive | None = None,
        accumulate: Count = 1,
        gan_mode: GanMode | None = None,
        lambda_r1: Weight | None = None,
        lambda_r2: Weight = 0.0,
        lambda_gp: Weight = 0.0,
        lambda_gp0: Weight = 0.0,
        penalty_every: Count = 1,
        augment: Literal["diffaug", "apa"] | None = None,
        seed: Seed = 0,
        weight_schedules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        weights = {"lambda_r1": lambda_r1, "lambda_r2": lambda_r2, "lambda_gp": lambda_gp, "lambda_gp0": lambda_gp0}
        self._check_game({"gan_mode": gan_mode, **weights}, augment)
        self._check_helpers(optimizer_G, optimizer_H)
        self.gan_mode = gan_mode or self.gan_mode
        if self.gan_mode is not None:
            self.lambda_r1 = self.lambda_r1 if lambda_r1 is None else lambda_r1
            self.lambda_r2, self.lambda_gp, self.lambda_gp0 = lambda_r2, lambda_gp, lambda_gp0
        self.penalty_every, self.augment = penalty_every, augment
        self.make_optimizer = {"G": optimizer_G, "D": optimizer_D or optimizer_G}
        self.settings_of_helpers = dict(optimizer_H or {})
        self.schedule = schedule or ConstantThenLinear(decay=0)
        self.clip_grad_norm, self.accumulate, self.seed = clip_grad_norm, accumulate, seed
        self.iteration = 0  # batches done, counted by the engine
        self.skipped = 0  # batches that a rollback undid
        self.weight_schedules: dict[str, WeightSchedule] = {k: v for k, v in (weight_schedules or {}).items() if v}

    def _check_game(self, settings: Mapping[str, Any], augment: str | None) -> None:
        """Raise a UserError for a setting of an adversarial loss that the method does not have."""
        name = type(self).__name__
        for key, value in {"augment": augment, **settings}.items():
            if value and not self.discriminators:
                raise UserError(f"model.{key}={value} is for discriminators, and {name} has none: leave it out")
        for key, value in settings.items():
            if value and self.gan_mode is None:
                raise UserError(
                    f"model.{key}={value} is for methods that declare gan_mode and call judging_loss, and {name} does "
                    "not: leave it out"
                )

    def _check_helpers(self, make: Optimizers, settings: Mapping[str, Any] | None) -> None:
        """Raise a UserError for settings of the helpers' optimiser that it does not take."""
        if not settings:
            return
        if not self.helpers:
            raise UserError(f"model.optimizer_H is for helpers, and {type(self).__name__} has none: leave it out")
        own, of_helpers = (nn.Parameter(torch.zeros(1)) for _ in range(2))
        try:
            optimizer = make([{"params": [own]}, {"params": [of_helpers], **settings}])
            unknown = [key for key in settings if key not in optimizer.defaults]
            type(optimizer)([of_helpers], **settings)
        except (ValueError, TypeError) as error:
            raise UserError(f"model.optimizer_H: {' '.join(str(error).split())}") from error
        if unknown:
            raise UserError(f"model.optimizer_H.{unknown[0]} is no setting of {type(optimizer).__name__}: leave it out")

    # To be written

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        """Translate pictures [B, C, H, W] in [-1, 1] to the same size."""
        raise NotImplementedError

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make every image that the losses need; gradients reach the generators only.

        Other values that the losses need are passed on by `Generated(images, name=value)`.
        """
        raise NotImplementedError

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        """Return the generators' total loss and its unweighted terms."""
        raise NotImplementedError

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        """Return the discriminators' total loss and its unweighted terms; fakes must be detached."""
        raise NotImplementedError

    # To be overridden where a method differs

    def logits(self, batch: Mapping[str, Any], images: Images) -> dict[str, tuple[Logits, Logits]]:
        """Return each discriminator's logits of real and fake images; to be overridden where it takes other inputs."""
        networks = {name: getattr(self, name) for name in self.discriminators}
        return {name: (D(images[f"real_{name[-1]}"]), D(images[f"fake_{name[-1]}"])) for name, D in networks.items()}

    def generator_of(self, direction: str) -> nn.Module | None:
        """Return the network that by itself translates in a direction; None where there is none."""
        network: nn.Module | None = getattr(self, network_of(direction), None)
        return network

    def interpolate(self, images: Tensor, direction: str, alpha: float) -> Tensor:
        """Translate with a strength in [0, 1]: by the generator where it takes one, else by mixing with the images."""
        network = self.generator_of(direction)
        if isinstance(network, Graded):
            return network(images, alpha)
        if isinstance(network, Branched):
            return network(images, alpha=alpha * network.alpha)
        if alpha == 0:
            return images
        translated = self.translate(images, direction)
        if alpha < 1 and translated.shape != images.shape:
            raise UserError(f"alpha={alpha:g} mixes a picture with a translation of other channels: take alpha=1")
        return torch.lerp(images, translated, alpha) if alpha < 1 else translated

    def explain(self, images: Tensor, direction: str = "A2B") -> Tensor:
        """Return what each place of pictures [B, C, H, W] meant to their translation, [B, 1, H, W] in [0, 1].

        Only of methods that declare `explains`; `gan-style translate --explain` draws it. It is called with feature
        maps that are computed tile by tile as well, like `translate`.
        """
        raise NotImplementedError

    def noised(self, direction: str | None = None) -> list[Noised]:
        """List the parts that draw noise when translating in a direction; None is in any."""
        network = None if direction is None else self.generator_of(direction)
        return noised(self if network is None else network)

    def has_optional_noise(self, direction: str) -> bool:
        """Tell whether the generator of a direction draws noise because its option `noise` asks for it."""
        return bool(getattr(self.generator_of(direction), "noise", None)) and bool(self.noised(direction))

    @contextmanager
    def seeded(self, seed: int | Tensor, parts: Sequence[Noised] | None = None) -> Iterator[None]:
        """Let the noise of these parts, all if None, follow from another seed in evaluation, inside a `with` block."""
        parts = self.noised() if parts is None else parts
        before = [part.noise_seed for part in parts]
        try:
            for part in parts:
                part.noise_seed = seed
            yield
        finally:
            for part, one in zip(parts, before, strict=True):
                part.noise_seed = one

    @property
    def last_iteration(self) -> int | None:
        """Last iteration of a method that knows its own end; trainer.max_steps wins over it."""
        return None

    @property
    def cost_period(self) -> int:
        """Number of iterations after which costs repeat: those with a penalty or a step of the optimiser cost more."""
        return math.lcm(self.accumulate, self.penalty_every if self.penalised else 1)

    def before_training(self) -> str | None:
        """Prepare a run before its first iteration, also a resumed one. Returns: a note to the user."""
        return None

    def before_validation(self) -> str | None:
        """Inspect the state of training. Returns: a note to the user."""
        return None

    def after_iteration(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        """Do work after the turns of an iteration, which `iteration` counts already."""

    # The adversarial game, which every method with discriminators plays by the same settings

    @cached_property
    def gan(self) -> Adversarial:
        """Both sides of the adversarial loss, with the weights of the judges of its discriminators."""
        assert self.gan_mode is not None, f'{type(self).__name__} wants an adversarial loss, such as gan_mode = "lsgan"'
        return adversarial(self.gan_mode, *judges_of(self.networks("D")[0]))

    @property
    def penalised(self) -> bool:
        """True if a gradient penalty differentiates the discriminators twice."""
        return any(weight > 0 for weight in (self.lambda_r1, self.lambda_r2, self.lambda_gp, self.lambda_gp0))

    def adversarial_loss(
        self, name: str, judge: Callable[[Tensor], Logits], fake: Tensor, real: Tensor
    ) -> tuple[Tensor, Terms]:
        """Return the generator's adversarial loss and its unweighted terms.

        Args:
            name: of the term, such as "gan_B".
            judge: a discriminator, or a function of images that gives its logits.
            fake, real: [B, C, H, W]; only a loss that compares the two looks at real ones.
        """
        reals = None
        if self.gan.relative:
            with torch.no_grad():
                reals = judge(real)
        return self.gan.generator_terms(name, judge(fake), reals)

    def judging_loss(
        self, name: str, judge: Callable[[Tensor], Logits], real: Tensor, fake: Tensor, join: bool | None = None
    ) -> tuple[Tensor, Terms]:
        """Return the loss of a discriminator with its gradient penalties, and the unweighted terms.

        Args:
            name: of the term, such as "B"; those of the penalties are `r1_B`, `r2_B`, `gp_B` and `gp0_B`.
            judge: see `adversarial_loss`.
            real, fake: [B, C, H, W], fakes without a gradient.
            join: see `passes.joined`.
        """
        logits = joined(judge, real, fake, join=join) if isinstance(judge, nn.Module) else [judge(real), judge(fake)]
        total, terms = self.gan.discriminator_terms(name, *logits)
        if self.iteration % self.penalty_every == 0:
            penalties = {
                "gp": (self.lambda_gp, lambda: wgan_gp(judge, real, fake)),
                "gp0": (self.lambda_gp0, lambda: zero_centred(judge, real, fake)),
                "r1": (self.lambda_r1, lambda: r1_penalty(judge, real)),
                "r2": (self.lambda_r2, lambda: r1_penalty(judge, fake)),
            }
            for kind, (weight, penalty) in penalties.items():
                if weight > 0:
                    terms[f"{kind}_{name}"] = penalty()
                    total = total + weight * self.penalty_every * terms[f"{kind}_{name}"]
        return total, terms

    def judging_both(self, images: Images, join: bool | None = None) -> tuple[Tensor, Terms]:
        """Return `judging_loss` of `D_A` and `D_B` together, of the real images of each domain and its fakes."""
        found = [
            self.judging_loss(
                domain, getattr(self, f"D_{domain}"), images[f"real_{domain}"], images[f"fake_{domain}"].detach(), join
            )
            for domain in OTHER
        ]
        (loss_A, terms_A), (loss_B, terms_B) = found
        return loss_A + loss_B, terms_A | terms_B

    # What follows from the above

    @property
    def position(self) -> int:
        """Position in the stream of batches and random draws; it goes on after what a rollback undid."""
        return self.iteration + self.skipped

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(itertools.chain(self.parameters(), self.buffers())).device

    def players(self) -> tuple[str, ...]:
        """Return `("G", "D")`, or `("G",)` for a method without discriminators."""
        return ("G", "D") if self.discriminators else ("G",)

    def names_of(self, player: str) -> tuple[str, ...]:
        """Return the names of the networks that a player's optimiser trains."""
        return self.generators + self.helpers if player == "G" else self.discriminators + self.critics

    def networks(self, player: str) -> list[nn.Module]:
        """Return the networks that a player's optimiser trains."""
        return [getattr(self, name) for name in self.names_of(player)]

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        """Return the parameters that a player's optimiser trains."""
        return list(itertools.chain.from_iterable(network.parameters() for network in self.networks(player)))

    def parameter_groups(self, player: str) -> list[nn.Parameter] | list[dict[str, Any]]:
        """Return `parameters_of` a player, in groups where its helpers have settings of their own."""
        if player != "G" or not self.settings_of_helpers:
            return self.parameters_of(player)
        own = [
            list(itertools.chain.from_iterable(getattr(self, name).parameters() for name in names))
            for names in (self.generators, self.helpers)
        ]
        return [{"params": own[0]}, {"params": own[1], **self.settings_of_helpers}]

    def parameter_counts(self) -> dict[str, int]:
        """Return network -> number of its trained parameters."""
        counts = {
            name: sum(p.numel() for p in network.parameters() if p.requires_grad)
            for name, network in self.named_children()
        }
        return {name: count for name, count in counts.items() if count}


def network_of(direction: str) -> str:
    """Return the name of the generator of a direction, the same in every method with domains: `A2B` -> `G_AB`."""
    parsed = Direction(direction)
    return f"G_{parsed.source}{parsed.target}"


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference, at least in float32."""
    return F.l1_loss(at_least_float32(output), target)


def normal_like(x: Tensor) -> Tensor:
    """Draw N(0, 1) noise of the shape of a tensor; torch's own gives another place each number where strides differ."""
    return torch.randn(x.shape, dtype=x.dtype, device=x.device)
