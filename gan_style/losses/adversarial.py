"""The four usual adversarial losses, with one equation per player."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.losses.precision import at_least_float32

Logits = Tensor | Sequence[Tensor]


def lsgan_generator(fake: Tensor) -> Tensor:
    """Compute the least-squares loss of fakes towards 1 (Mao et al. 2017, eq. 9); not halved, as the official code."""
    return (fake - 1).square().mean()


def lsgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the least-squares loss of reals towards 1 and fakes towards 0; halved as in the official code."""
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


def vanilla_generator(fake: Tensor) -> Tensor:
    """Compute the non-saturating ``-log D(fake)``, D the sigmoid of the logits (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def vanilla_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the cross-entropy (Goodfellow et al. 2014, eq. 1); halved as in the official code."""
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the hinge loss at the margins 1 and -1 (Lim and Ye 2017; Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def wgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the negative estimate of the Wasserstein distance (Arjovsky et al. 2017, eq. 2)."""
    return fake.mean() - real.mean()


def linear_generator(fake: Tensor) -> Tensor:
    """Compute minus the mean logit, for hinge (Miyato et al. 2018, eq. 17) and wgan."""
    return -fake.mean()


@dataclass(frozen=True)
class Adversarial:
    """Both sides of an adversarial loss; `adversarial` builds one by name.

    Logits are [B, 1, h, w] of any height and width, or a list of such tensors, one per scale, over which the mean is
    taken. Half precision is converted to float32 first.
    """

    mode: str
    generator_equation: Callable[[Tensor], Tensor]
    discriminator_equation: Callable[[Tensor, Tensor], Tensor]

    def generator(self, fake_logits: Logits) -> Tensor:
        """Return the generator's loss, a scalar; ``fake_logits`` are the discriminator's, with gradient."""
        losses = [self.generator_equation(fake) for fake in _scales(fake_logits)]
        return torch.stack(losses).mean()

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Tensor:
        """Return the discriminator's loss, a scalar; the fakes must have been detached before they were judged."""
        pairs = zip(_scales(real_logits), _scales(fake_logits), strict=True)
        losses = [self.discriminator_equation(real, fake) for real, fake in pairs]
        return torch.stack(losses).mean()


def adversarial(mode: str = "lsgan") -> Adversarial:
    """Build the loss of this name: ``lsgan`` (CycleGAN's), ``vanilla``, ``hinge`` or ``wgan``.

    Raises:
        ValueError: unknown name.
    """
    if mode not in _EQUATIONS:
        raise ValueError(f"Unknown adversarial loss {mode!r}; choose one of {', '.join(_EQUATIONS)}.")
    return Adversarial(mode, *_EQUATIONS[mode])


THRESHOLDS = {"lsgan": 0.5, "vanilla": 0.0, "hinge": 0.0}  # the logit between fake and real; wgan has none

_EQUATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "lsgan": (lsgan_generator, lsgan_discriminator),
    "vanilla": (vanilla_generator, vanilla_discriminator),
    "hinge": (linear_generator, hinge_discriminator),
    "wgan": (linear_generator, wgan_discriminator),
}


def _scales(logits: Logits) -> list[Tensor]:
    maps = [logits] if isinstance(logits, Tensor) else list(logits)
    return [at_least_float32(one) for one in maps]
