"""A GAN in one direction with content and style losses of a VGG.

L = lambda_gan gan(D_B, fake_B) + lambda_content content(fake_B, A) + lambda_style style(fake_B, B), after Johnson et
al. 2016 (arXiv:1603.08155) and Gatys et al. 2016, with B the style pictures of the batch.

With a generator of two branches, G(x) = tanh(content(x) + alpha style(x)), an L1 holds the content branch alone to the
input, so that the style branch learns the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.types import Count, CountOrNone, Weight
from gan_style.losses.perceptual import PerceptualLoss, StatisticName, total_variation
from gan_style.models.image_pool import ImagePool
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, l1
from gan_style.networks.contract import Branched
from gan_style.networks.factory import make_generator
from gan_style.networks.vgg import VGG


class PerceptualGAN(Translator):
    """A generator, a discriminator on the style domain, and VGG losses.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network.
        discriminator: factory, `(in_channels=)` -> network.
        vgg: features for both losses; checkpoints do not carry it.
        channels_A, channels_B: of the pictures of each domain, 1 or 3.
        lambda_gan, lambda_content, lambda_style, lambda_tv: weights of the terms; 0 leaves one out.
        lambda_branch: weight of the L1 between the content branch alone and the input.
        content_layers, style_layers, style_weights, statistic, relative: see `PerceptualLoss`.
        pool_size: past fakes that the discriminator is shown.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: lambda_branch with a generator that has no branches.
    """

    generators = ("G_AB",)
    discriminators = ("D_B",)
    gan_mode = "lsgan"
    shown_only = ("style_share",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        vgg: VGG,
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        lambda_gan: Weight = 1.0,
        lambda_content: Weight = 1.0,
        lambda_style: Weight = 1.0,
        lambda_tv: Weight = 0.0,
        lambda_branch: Weight = 0.0,
        content_layers: list[str] | None = None,
        style_layers: list[str] | None = None,
        style_weights: list[float] | None = None,
        statistic: StatisticName = "gram",
        relative: bool = True,
        pool_size: CountOrNone = 50,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.G_AB = make_generator(generator, in_channels=channels_A, out_channels=channels_B)
        self.D_B = discriminator(in_channels=channels_B)
        if lambda_branch > 0 and not isinstance(self.G_AB, Branched):
            raise UserError(
                f"model.lambda_branch={lambda_branch} needs a generator with branches: "
                "add model/generator=two_branch, or set it to 0"
            )
        self.perceptual = PerceptualLoss(
            vgg,
            content_layers=content_layers,
            style_layers=style_layers,
            style_weights=style_weights,
            statistic=statistic,
            relative=relative,
        )
        self.pool_B = ImagePool(pool_size, seed=2)
        self.lambda_gan, self.lambda_content, self.lambda_style = lambda_gan, lambda_content, lambda_style
        self.lambda_tv, self.lambda_branch = lambda_tv, lambda_branch
        self._last_share = torch.tensor(0.5)  # of the newest iteration, for a note

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = self.G_AB(images)
        return output

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        real_A = batch["A"]
        images = {"real_A": real_A, "real_B": batch["B"]}
        if not isinstance(self.G_AB, Branched):
            return images | {"fake_B": self.G_AB(real_A)}
        content, style = self.G_AB.branches(real_A)
        style = self.G_AB.alpha * style
        fake = torch.tanh(content + style)
        images |= {"fake_B": fake, "content_B": torch.tanh(content), "style_B": torch.tanh(style)}
        return Generated(images, style_share=style_share(content.detach(), style.detach()))

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        fake = images["fake_B"]
        gan, terms = self.adversarial_loss("gan", self.D_B, fake, images["real_B"])
        of_fake = self.perceptual.features(fake)
        with torch.no_grad():
            of_A, of_B = self.perceptual.features(images["real_A"]), self.perceptual.features(images["real_B"])
        terms["content"] = self.perceptual.content(of_fake, of_A)
        terms["style"] = self.perceptual.style(of_fake, self.perceptual.style_code(of_B))
        total = self.lambda_gan * gan + self.lambda_content * terms["content"] + self.lambda_style * terms["style"]
        if self.lambda_tv > 0:
            terms["tv"] = total_variation(fake)
            total = total + self.lambda_tv * terms["tv"]
        if self.lambda_branch > 0:
            terms["branch"] = l1(images["content_B"], images["real_A"])
            total = total + self.lambda_branch * terms["branch"]
        if isinstance(self.G_AB, Branched):
            terms["style_share"] = self._last_share = kept(images, "style_share")
        return total, terms

    def before_validation(self) -> str | None:
        if not isinstance(self.G_AB, Branched) or self.iteration == 0:
            return None
        share = float(self._last_share)
        if 0.02 <= share <= 0.98:
            return None
        return (
            f"note: the style branch holds {share:.1%} of the energy at iteration {self.iteration}: "
            "the split is degenerate; change model.lambda_branch or model.generator.alpha"
        )

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        return self.judging_loss("B", self.D_B, images["real_B"], self.pool_B.swap(images["fake_B"]))


def style_share(content: Tensor, style: Tensor) -> Tensor:
    """Return the style branch's share in [0, 1] of the energy (mean square around each channel's mean) of both."""
    energy = [(x - x.mean(dim=(-2, -1), keepdim=True)).float().square().mean() for x in (content, style)]
    return energy[1] / (energy[0] + energy[1]).clamp_min(1e-12)
