"""CycleGAN: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks.

Zhu, Park, Isola, Efros 2017, arXiv:1703.10593. Equation 3 with the identity loss of section 5.2.
The weights here are absolute: the official `lambda_identity=0.5` is relative to `lambda_A=10`, so it is 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor, nn

from gan_style.core.direction import Direction
from gan_style.core.types import Count, CountOrNone, Weight
from gan_style.losses.adversarial import adversarial
from gan_style.losses.gradient_penalty import r1_penalty, wgan_gp
from gan_style.models.image_pool import ImagePool
from gan_style.models.passes import joined
from gan_style.models.translator import Images, Terms, Translator, l1
from gan_style.networks.factory import make_generator


class CycleGAN(Translator):
    """Two generators that undo each other, and one discriminator per domain.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network; called once per direction.
        generator_BA: factory of the other direction, B to A, where that is to be another network.
        discriminator: factory, `(in_channels=)` -> network; called once per domain.
        channels_A, channels_B: of the pictures of each domain.
        gan_mode: adversarial loss; `wgan` wants lambda_gp.
        lambda_cycle: weight of the L1 between a picture and its reconstruction.
        lambda_idt: weight of the L1 between a picture and itself put through the generator *into* its own
            domain; 0 leaves these passes out.
        lambda_gp, lambda_r1: weights of the discriminators' gradient penalties; 0 is off.
        pool_size: past fakes that each discriminator is shown.
        join_passes: two inputs of one network in one pass; None decides by size and device.
        **training: optimisers, schedule, clipping, accumulation and seed of `Translator`.
    """

    generators = ("G_AB", "G_BA")
    discriminators = ("D_A", "D_B")
    directions = (Direction.A2B, Direction.B2A)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        generator_BA: Callable[..., nn.Module] | None = None,
        channels_A: Count = 3,
        channels_B: Count = 3,
        gan_mode: Literal["lsgan", "vanilla", "hinge", "wgan"] = "lsgan",
        lambda_cycle: Weight = 10.0,
        lambda_idt: Weight = 5.0,
        lambda_gp: Weight = 0.0,
        lambda_r1: Weight = 0.0,
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
        self.G_AB = make_generator(generator, in_channels=channels_A, out_channels=channels_B)
        self.G_BA = make_generator(generator_BA or generator, in_channels=channels_B, out_channels=channels_A)
        self.D_A = discriminator(in_channels=channels_A)
        self.D_B = discriminator(in_channels=channels_B)
        self.gan_mode, self.gan = gan_mode, adversarial(gan_mode)
        self.pool_A = ImagePool(pool_size, seed=1)
        self.pool_B = ImagePool(pool_size, seed=2)
        self.lambda_cycle, self.lambda_idt = lambda_cycle, lambda_idt
        self.lambda_gp, self.lambda_r1 = lambda_gp, lambda_r1
        self.join_passes = join_passes

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = {"A2B": self.G_AB, "B2A": self.G_BA}[direction](images)
        return output

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        real_A, real_B = batch["A"], batch["B"]
        if self.lambda_idt > 0:
            fake_B, idt_B = joined(self.G_AB, real_A, real_B, join=self.join_passes)
            fake_A, idt_A = joined(self.G_BA, real_B, real_A, join=self.join_passes)
            identity = {"idt_A": idt_A, "idt_B": idt_B}
        else:
            fake_B, fake_A, identity = self.G_AB(real_A), self.G_BA(real_B), {}
        cycle = {"rec_A": self.G_BA(fake_B), "rec_B": self.G_AB(fake_A)}
        return {"real_A": real_A, "fake_B": fake_B, "real_B": real_B, "fake_A": fake_A, **cycle, **identity}

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        gan_B = self.gan.generator(self.D_B(images["fake_B"]))
        gan_A = self.gan.generator(self.D_A(images["fake_A"]))
        cycle_A = l1(images["rec_A"], images["real_A"])
        cycle_B = l1(images["rec_B"], images["real_B"])
        total = gan_B + gan_A + self.lambda_cycle * (cycle_A + cycle_B)
        terms = {"gan_B": gan_B, "gan_A": gan_A, "cycle_A": cycle_A, "cycle_B": cycle_B}
        if self.lambda_idt > 0:
            idt_A, idt_B = l1(images["idt_A"], images["real_A"]), l1(images["idt_B"], images["real_B"])
            total = total + self.lambda_idt * (idt_A + idt_B)
            terms |= {"idt_A": idt_A, "idt_B": idt_B}
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        loss_A, terms_A = self._judge("A", images["real_A"], self.pool_A.swap(images["fake_A"]))
        loss_B, terms_B = self._judge("B", images["real_B"], self.pool_B.swap(images["fake_B"]))
        return loss_A + loss_B, terms_A | terms_B

    def _judge(self, domain: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Terms]:
        discriminator = self.D_A if domain == "A" else self.D_B
        real_logits, fake_logits = joined(discriminator, real, fake, join=self.join_passes)
        loss = self.gan.discriminator(real_logits, fake_logits)
        total, terms = loss, {domain: loss}
        if self.lambda_gp > 0:
            terms[f"gp_{domain}"] = wgan_gp(discriminator, real, fake)
            total = total + self.lambda_gp * terms[f"gp_{domain}"]
        if self.lambda_r1 > 0:
            terms[f"r1_{domain}"] = r1_penalty(discriminator, real)
            total = total + self.lambda_r1 * terms[f"r1_{domain}"]
        return total, terms
