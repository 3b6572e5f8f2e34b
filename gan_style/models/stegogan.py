"""StegoGAN: Leveraging Steganography for Non-Bijective Image-to-Image Translation.

Wu, Chen, Mermet, Hurni, Schindler, Gonthier, Landrieu 2024, CVPR, arXiv:2403.20142. Where B has things that A lacks, a
cycle hides them in the picture of A, and a discriminator of B asks for them in every translation. Here a mask takes
them out of the features of a real picture of B: they are handed to the way back openly, and to what D_B judges. The
translation itself has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32
from gan_style.core.types import Weight
from gan_style.models.cyclegan import CycleGAN
from gan_style.models.passes import joined
from gan_style.models.translator import Generated, Images, Terms, kept
from gan_style.networks.contract import Halved
from gan_style.networks.factory import no_features
from gan_style.networks.masked import MaskedGenerator, enlarged


class StegoGAN(CycleGAN):
    """CycleGAN for a B that has more than A: A's translations are spared what a mask finds in B alone.

    Args:
        generator, discriminator: see `CycleGAN`; the generators are of two halves (see `networks.contract.Halved`).
        lambda_reg: weight of the mean root of the mask, so that it marks little.
        lambda_match: weight of the difference, where nothing is marked, between translations with and without what B
            alone has.
        **settings: see `CycleGAN`.

    Raises:
        UserError: generators without halves, or with features of different channels.
    """

    explains = (Direction.B2A,)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        lambda_reg: Weight = 0.3,
        lambda_match: Weight = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(generator, discriminator, **settings)
        widths = []
        for network in (self.G_AB, self.G_BA):
            if not isinstance(network, Halved):
                raise no_features(network, "features between two halves")
            widths.append(network.inner_channels)
        if widths[0] != widths[1]:
            raise UserError(
                f"model.generator_BA has features of {widths[1]} channels, which cannot be added to the {widths[0]} of "
                "model.generator: give both the same filters"
            )
        self.G_BA = MaskedGenerator(self.G_BA)
        self.lambda_reg, self.lambda_match = lambda_reg, lambda_match

    def explain(self, images: Tensor, direction: str = "A2B") -> Tensor:
        """Return the mask of pictures of B: where they have what A has not."""
        mask: Tensor = cast(MaskedGenerator, self.G_BA).marked(images)
        return mask

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; in training `fake_B` has what the mask found in `real_B`, and what is without it is kept."""
        if self._pretrains():
            return super().generate(batch)
        A, B, G_AB = batch["A"], batch["B"], cast(Any, self.G_AB)
        identity = self.lambda_idt > 0
        encoded, *encoded_B = joined(G_AB, *([A, B] if identity else [A]), join=self.join_passes, method="encode")
        (fake_A, left_out, logits), *of_A = joined(
            self.G_BA, *([B, A] if identity else [B]), join=self.join_passes, method="separate"
        )
        clean = G_AB.decode(encoded, A)
        fake_B = G_AB.decode(encoded + _fitted(left_out, encoded), A) if self.training else clean
        images = {"real_A": A, "fake_B": fake_B, "real_B": B, "fake_A": fake_A}
        if self._cycles():
            again = G_AB.encode(self._noised(fake_A))
            # in evaluation the cycle is that of `translate`, which is told nothing
            images["rec_B"] = G_AB.decode(again + left_out if self.training else again, fake_A)
            images["rec_A"] = self.G_BA(self._noised(fake_B))
        if identity:
            images |= {"idt_A": of_A[0][0], "idt_B": G_AB.decode(encoded_B[0], B)}
        return Generated(images, clean=clean, logits=_fitted(logits, encoded)) if self.training else images

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        total, terms = super().generator_loss(images)
        if self._pretrains():
            return total, terms
        fake, clean = at_least_float32(images["fake_B"]), at_least_float32(kept(images, "clean"))
        logits = at_least_float32(kept(images, "logits"))
        # The root of a sigmoid, whose gradient stays finite where the sigmoid is 0.
        terms["reg"] = (F.logsigmoid(logits) / 2).exp().mean()
        marks = enlarged(logits.sigmoid(), cast(MaskedGenerator, self.G_BA).inner_stride, fake)
        terms["match"] = ((1 - marks) * (fake - clean).abs()).mean()
        return total + self.lambda_reg * terms["reg"] + self.lambda_match * terms["match"], terms


def _fitted(features: Tensor, like: Tensor) -> Tensor:
    """Return features resized to those of another picture, where the pictures have different sizes."""
    size = like.shape[-2:]
    return features if features.shape[-2:] == size else F.interpolate(features, size, mode="bilinear")
