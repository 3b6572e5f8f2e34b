"""CycleGAN: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks.

Zhu, Park, Isola, Efros 2017, arXiv:1703.10593. Equation 3 with the identity loss of section 5.2.
The weights here are absolute: the official `lambda_identity=0.5` is relative to `lambda_A=10`, so it is 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from gan_style.core.direction import Direction
from gan_style.core.precision import at_least_float32
from gan_style.core.types import Count, CountOrNone, Share, Weight
from gan_style.models.image_pool import ImagePool
from gan_style.models.passes import joined
from gan_style.models.translator import Images, Terms, Translator, l1, normal_like
from gan_style.networks.factory import make_generator
from gan_style.networks.filters import blur


class CycleGAN(Translator):
    """Two generators that undo each other, and one discriminator per domain.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network; called once per direction.
        generator_BA: factory of the other direction, B to A, where that is to be another network.
        discriminator: factory, `(in_channels=)` -> network; called once per domain.
        channels_A, channels_B: of the pictures of each domain.
        lambda_cycle: weight of the L1 between a picture and its reconstruction.
        lambda_idt: weight of the L1 between a picture and itself put through the generator *into* its own
            domain; 0 leaves these passes out.
        cycle_blur: standard deviation, in pixels, of a Gaussian that blurs both sides of the cycle loss, for domains
            that are no bijection: a photo does not say where the strokes of a painting were; 0 is off.
        cycle_full: share of the cycle loss that is not blurred, in [0, 1].
        cycle_noise: standard deviation, on [-1, 1], of noise on fakes before they are translated back, so that
            the cycle cannot be won by a pattern hidden in them (Chu et al. 2017, arXiv:1712.02950); 0 is off.
        cycle_every: iterations between two cycle losses, of so many times the weight; the passes back are left out in
            between.
        pretrain: iterations at the beginning in which each generator only learns to return its input.
        pool_size: past fakes that each discriminator is shown.
        join_passes: two inputs of one network in one pass; None decides by size and device.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        ValueError: an identity loss or `pretrain` for domains with different channels, or `cycle_full` below 1 without
            a `cycle_blur`.
    """

    generators = ("G_AB", "G_BA")
    discriminators = ("D_A", "D_B")
    gan_mode = "lsgan"
    directions = (Direction.A2B, Direction.B2A)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        generator_BA: Callable[..., nn.Module] | None = None,
        channels_A: Count = 3,
        channels_B: Count = 3,
        lambda_cycle: Weight = 10.0,
        lambda_idt: Weight = 5.0,
        cycle_blur: Weight = 0.0,
        cycle_full: Share = 1.0,
        cycle_noise: Weight = 0.0,
        cycle_every: Count = 1,
        pretrain: CountOrNone = 0,
        pool_size: CountOrNone = 50,
        join_passes: bool | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        if lambda_idt > 0 and channels_A != channels_B:
            raise ValueError(
                f"the identity loss needs as many channels in A ({channels_A}) as in B ({channels_B}): "
                "set model.lambda_idt=0"
            )
        if pretrain > 0 and channels_A != channels_B:
            raise ValueError(
                f"a generator cannot return its input with other channels in A ({channels_A}) than in B "
                f"({channels_B}): set model.pretrain=0"
            )
        if cycle_blur == 0 and cycle_full < 1:
            raise ValueError(f"cycle_full={cycle_full:g} leaves the rest of the cycle to a blur: set model.cycle_blur")
        self.G_AB = make_generator(generator, in_channels=channels_A, out_channels=channels_B)
        self.G_BA = make_generator(generator_BA or generator, in_channels=channels_B, out_channels=channels_A)
        self.D_A = discriminator(in_channels=channels_A)
        self.D_B = discriminator(in_channels=channels_B)
        self.pool_A = ImagePool(pool_size, seed=1)
        self.pool_B = ImagePool(pool_size, seed=2)
        self.lambda_cycle, self.lambda_idt = lambda_cycle, lambda_idt
        self.cycle_blur, self.cycle_full, self.cycle_noise = cycle_blur, cycle_full, cycle_noise
        self.cycle_every = cycle_every
        self.pretrain = pretrain
        self.join_passes = join_passes

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = {"A2B": self.G_AB, "B2A": self.G_BA}[direction](images)
        return output

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        real_A, real_B = batch["A"], batch["B"]
        if self._pretrains():
            return {"real_A": real_A, "fake_B": self.G_AB(real_A), "real_B": real_B, "fake_A": self.G_BA(real_B)}
        same = [real_B] if self.lambda_idt > 0 else []
        fake_B, *idt_B = joined(self.G_AB, real_A, *same, join=self.join_passes)
        same = [real_A] if self.lambda_idt > 0 else []
        again = [self._noised(fake_B)] if self._cycles() else []
        fake_A, *others = joined(self.G_BA, real_B, *same, *again, join=self.join_passes)
        identity = {"idt_A": others[0], "idt_B": idt_B[0]} if same else {}
        cycle = {"rec_A": others[-1], "rec_B": self.G_AB(self._noised(fake_A))} if again else {}
        return {"real_A": real_A, "fake_B": fake_B, "real_B": real_B, "fake_A": fake_A, **cycle, **identity}

    @property
    def cost_period(self) -> int:
        """Likewise, with those that have a cycle loss."""
        return math.lcm(super().cost_period, self.cycle_every)

    def _pretrains(self) -> bool:
        """Tell whether this iteration is one of those that only teach the generators to return their inputs."""
        return self.training and self.iteration < self.pretrain

    def _cycles(self) -> bool:
        """Tell whether this iteration is one of those that have a cycle loss."""
        return not self.training or self.iteration % self.cycle_every == 0

    def _noised(self, fake: Tensor) -> Tensor:
        noisy = self.training and self.cycle_noise > 0
        return fake + self.cycle_noise * normal_like(fake) if noisy else fake

    def _cycle_loss(self, reconstruction: Tensor, real: Tensor) -> Tensor:
        """Return the L1, the share `cycle_full` of it on the images and the rest on their blur."""
        if self.cycle_blur == 0:
            return l1(reconstruction, real)
        coarse = l1(blur(at_least_float32(reconstruction), self.cycle_blur), blur(real, self.cycle_blur))
        if self.cycle_full == 0:
            return coarse
        return (1 - self.cycle_full) * coarse + self.cycle_full * l1(reconstruction, real)

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        if self._pretrains():
            terms = {f"pretrain_{d}": l1(images[f"fake_{d}"], images[f"real_{s}"]) for d, s in ("BA", "AB")}
            return terms["pretrain_B"] + terms["pretrain_A"], terms
        gan_B, terms_B = self.adversarial_loss("gan_B", self.D_B, images["fake_B"], images["real_B"])
        gan_A, terms_A = self.adversarial_loss("gan_A", self.D_A, images["fake_A"], images["real_A"])
        total, terms = gan_B + gan_A, {**terms_B, **terms_A}
        if self._cycles():
            cycle_A = self._cycle_loss(images["rec_A"], images["real_A"])
            cycle_B = self._cycle_loss(images["rec_B"], images["real_B"])
            total = total + self.lambda_cycle * self.cycle_every * (cycle_A + cycle_B)
            terms |= {"cycle_A": cycle_A, "cycle_B": cycle_B}
        if self.lambda_idt > 0:
            idt_A, idt_B = l1(images["idt_A"], images["real_A"]), l1(images["idt_B"], images["real_B"])
            total = total + self.lambda_idt * (idt_A + idt_B)
            terms |= {"idt_A": idt_A, "idt_B": idt_B}
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        real_A, fake_A = images["real_A"], self.pool_A.swap(images["fake_A"])
        loss_A, terms_A = self.judging_loss("A", self.D_A, real_A, fake_A, self.join_passes)
        real_B, fake_B = images["real_B"], self.pool_B.swap(images["fake_B"])
        loss_B, terms_B = self.judging_loss("B", self.D_B, real_B, fake_B, self.join_passes)
        return loss_A + loss_B, terms_A | terms_B
