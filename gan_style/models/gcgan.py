"""GcGAN: Geometry-Consistent Generative Adversarial Networks for One-Sided Unsupervised Domain Mapping.

Fu, Gong, Wang, Batmanghelich, Zhang, Tao 2019, CVPR, arXiv:1809.05852. A quarter turn, or a mirror, changes no meaning:
what becomes of a turned picture is to be the turned translation. That alone holds the content, in one direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor, nn

from gan_style.core.types import Count, CountOrNone, Weight
from gan_style.losses.adversarial import Logits
from gan_style.models.image_pool import ImagePool
from gan_style.models.passes import joined
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, l1
from gan_style.networks.factory import make_generator, require_same_channels

# f, from [B, C, H, W] to [B, C, W, H] where it is a turn.
TRANSFORMS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "rotation": lambda images: images.rot90(-1, (2, 3)),  # a quarter, clockwise
    "flip": lambda images: images.flip(2),  # upside down
}


class GcGAN(Translator):
    """A generator that commutes with a transform f, and a discriminator for B and for f(B) each.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network; it translates A and f(A).
        discriminator: factory, `(in_channels=)` -> network; called twice.
        channels_A, channels_B: of the pictures of each domain.
        transform: f, a quarter turn or a mirror that turns upside down.
        lambda_gan: weight of both adversarial losses.
        lambda_geo: weight of |G(A) - f^-1(G(f(A)))| + |G(f(A)) - f(G(A))| (eq. 4).
        lambda_idt: weight of |G(B) - B| + |G(f(B)) - f(B)|; 0 leaves these passes out.
        pool_size: past fakes that each discriminator is shown.
        join_passes: two inputs of one network in one pass; None decides by size and device.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: an identity loss, and domains with different channels.
    """

    generators = ("G_AB",)
    discriminators = ("D_T", "D_B")  # T: of turned pictures
    gan_mode = "lsgan"

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        transform: Literal["rotation", "flip"] = "rotation",
        lambda_gan: Weight = 1.0,
        lambda_geo: Weight = 20.0,
        lambda_idt: Weight = 5.0,
        pool_size: CountOrNone = 50,
        join_passes: bool | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        if lambda_idt > 0:
            require_same_channels(channels_A, channels_B, "model.lambda_idt")
        self.G_AB = make_generator(generator, in_channels=channels_A, out_channels=channels_B)
        self.D_T, self.D_B = (discriminator(in_channels=channels_B) for _ in range(2))
        self.pool_T, self.pool_B = ImagePool(pool_size, seed=1), ImagePool(pool_size, seed=2)
        self.transformed = TRANSFORMS[transform]
        self.lambda_gan, self.lambda_geo, self.lambda_idt = lambda_gan, lambda_geo, lambda_idt
        self.join_passes = join_passes

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = self.G_AB(images)
        return output

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; in training also those of f(A) and f(B)."""
        A, B = batch["A"], batch["B"]
        inputs = [A, B] if self.lambda_idt > 0 else [A]
        names = ("fake_B", "idt_B")[: len(inputs)]
        if self.training:
            inputs += [self.transformed(one) for one in inputs]
        passed = joined(self.G_AB, *inputs, join=self.join_passes)
        images = {"real_A": A, "real_B": B} | dict(zip(names, passed, strict=False))
        if not self.training:
            return images
        return Generated(images, transformed=dict(zip(names, passed[len(names) :], strict=True)))

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        fake, real, transformed = images["fake_B"], images["real_B"], kept(images, "transformed")
        gan_B, terms_B = self.adversarial_loss("gan_B", self.D_B, fake, real)
        gan_T, terms_T = self.adversarial_loss("gan_T", self.D_T, transformed["fake_B"], self.transformed(real))
        terms = {**terms_B, **terms_T}
        # Both halves of equation 4 are the same number: f only moves pixels.
        terms["geo"] = 2 * l1(transformed["fake_B"], self.transformed(fake))
        total = self.lambda_gan * (gan_B + gan_T) + self.lambda_geo * terms["geo"]
        if self.lambda_idt > 0:
            terms["idt_B"] = l1(images["idt_B"], real)
            terms["idt_T"] = l1(transformed["idt_B"], self.transformed(real))
            total = total + self.lambda_idt * (terms["idt_B"] + terms["idt_T"])
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        real, fake = self.transformed(images["real_B"]), self.pool_T.swap(kept(images, "transformed")["fake_B"])
        loss_T, terms_T = self.judging_loss("T", self.D_T, real, fake, self.join_passes)
        real, fake = images["real_B"], self.pool_B.swap(images["fake_B"])
        loss_B, terms_B = self.judging_loss("B", self.D_B, real, fake, self.join_passes)
        return loss_T + loss_B, terms_T | terms_B

    def logits(self, batch: Mapping[str, Any], images: Images) -> dict[str, tuple[Logits, Logits]]:
        """Return each discriminator's logits; D_T is shown f(fake_B), which stands for the translation of f(A)."""
        real, fake = images["real_B"], images["fake_B"]
        turned = [self.transformed(one) for one in (real, fake)]
        return {"D_T": (self.D_T(turned[0]), self.D_T(turned[1])), "D_B": (self.D_B(real), self.D_B(fake))}
