"""EnCo: Rethinking the Paradigm of Content Constraints in Unpaired Image-to-Image Translation.

Cai, Zhu, Miao, Fu, Yao 2024, AAAI. What the decoder computes at a size is to agree, patch by patch, with what the
encoder computed there: one pass of the generator holds the content, without negatives and without a second pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.types import Count, Share, Weight
from gan_style.losses.adversarial import maps_of
from gan_style.models.passes import joined
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, l1
from gan_style.networks.contract import Paired
from gan_style.networks.factory import no_features, require_same_channels
from gan_style.networks.patch_projector import PairProjector, doubtful_places


class EnCo(Translator):
    """A generator whose decoder agrees with its encoder, more so where the discriminator is sure of a fake.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network with `pair_channels` and `forward_with_pairs`
            (see `ResnetGenerator`).
        discriminator: factory, `(in_channels=)` -> network; its first map of logits says where patches are taken.
        channels_A, channels_B: of the pictures of each domain; equal, since the generator encodes both.
        lambda_gan: weight of the adversarial loss.
        lambda_enco: weight of the agreement of encoder and decoder.
        lambda_idt: weight of |G(B) - B|; while it is above 0 the two are halved, as in the official code.
        num_patches: places compared in each pair of maps of each image.
        oversample: of so many times as many random places those are taken that D is surest are fake.
        random_share: share of the places that is drawn from all instead.
        join_passes: two inputs of one network in one pass; None decides by size and device.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: a generator without such pairs, or domains with different channels.
    """

    generators = ("G_AB",)
    helpers = ("H",)
    discriminators = ("D_B",)
    gan_mode = "lsgan"
    turns = ("D", "G")

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        lambda_gan: Weight = 1.0,
        lambda_enco: Weight = 1.0,
        lambda_idt: Weight = 10.0,
        num_patches: Count = 256,
        oversample: Count = 4,
        random_share: Share = 0.5,
        join_passes: bool | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        require_same_channels(channels_A, channels_B, "the identity loss")
        network = generator(in_channels=channels_A, out_channels=channels_B)
        if not isinstance(network, Paired):
            raise no_features(network, "pairs of features")
        self.G_AB = network
        self.H = PairProjector(network.pair_channels)
        self.D_B = discriminator(in_channels=channels_B)
        self.lambda_gan, self.lambda_enco, self.lambda_idt = lambda_gan, lambda_enco, lambda_idt
        self.num_patches, self.oversample, self.random_share = num_patches, oversample, random_share
        self.join_passes = join_passes

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = self.G_AB(images)
        return output

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; in training keep the pairs of maps of the translation."""
        A, B = batch["A"], batch["B"]
        inputs = [A, B] if self.lambda_idt > 0 or not self.training else [A]
        names = ("fake_B", "idt_B")[: len(inputs)]
        images = {"real_A": A, "real_B": B}
        if not self.training:
            return images | dict(zip(names, joined(self.G_AB, *inputs, join=self.join_passes), strict=True))
        passed = joined(self.G_AB, *inputs, join=self.join_passes, method="forward_with_pairs")
        made = dict(zip(names, (image for image, _ in passed), strict=True))
        return Generated(images | made, pairs=passed[0][1])

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        fake, real = images["fake_B"], images["real_B"]
        logits = self.D_B(fake)
        gan, terms = self.adversarial_loss("gan_B", lambda x: logits if x is fake else self.D_B(x), fake, real)
        terms["enco"] = self._agreement(kept(images, "pairs"), maps_of(logits)[0].detach())
        content = self.lambda_enco * terms["enco"]
        if self.lambda_idt > 0:
            terms["idt_B"] = l1(images["idt_B"], real)
            content = (content + self.lambda_idt * terms["idt_B"]) / 2
        return self.lambda_gan * gan + content, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        real, fake = images["real_B"], images["fake_B"].detach()
        return self.judging_loss("B", self.D_B, real, fake, self.join_passes)

    def _agreement(self, pairs: list[tuple[Tensor, Tensor]], logits: Tensor) -> Tensor:
        """Return the mean of 2 - 2 cosine of the decoder's predictions and the encoder's vectors, which are constants.

        Args:
            pairs: of the encoder's and the decoder's maps.
            logits: [B, 1, h, w] of the translation.
        """
        encoded, decoded = [pair[0].detach() for pair in pairs], [pair[1] for pair in pairs]
        sizes = [F.interpolate(logits, x.shape[2:], mode="bilinear") for x in decoded]
        ids = [
            doubtful_places(one, self.num_patches, oversample=self.oversample, random_share=self.random_share)
            for one in sizes
        ]
        queries = self.H(decoded, ids, predict=True)
        keys = [key.detach() for key in self.H(encoded, ids, predict=False)]
        cosines = [F.cosine_similarity(query, key, dim=-1) for query, key in zip(queries, keys, strict=True)]
        return torch.stack([(2 - 2 * cosine).mean() for cosine in cosines]).mean()
