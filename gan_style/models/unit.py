"""UNIT: Unsupervised Image-to-Image Translation Networks.

Liu, Breuel, Kautz 2017, NIPS, arXiv:1703.00848, written from the paper alone. A variational autoencoder of each domain,
with one latent for both: the last blocks of the encoders and the first of the decoders are the same. `MUNIT` without
styles, with a Gaussian about the content in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core.direction import OTHER, Direction
from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32
from gan_style.core.types import Count, Weight
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, l1, normal_like
from gan_style.networks.blocks import crop
from gan_style.networks.munit import SharedBlocks, UNITGenerator


class UNIT(Translator):
    """A variational autoencoder, and a discriminator, of each domain, with a latent that both share.

    In evaluation the latent is its mean, without noise.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> `UNITGenerator`.
        discriminator: factory, `(in_channels=)` -> network.
        channels_A, channels_B: of the pictures of each domain.
        shared_blocks: residual blocks on each side of the latent, of both domains.
        lambda_gan: weight of the adversarial losses (eq. 5).
        lambda_kl: weight of the divergence of the latent of a picture from N(0, I), per number of it (eq. 4).
        lambda_rec: weight of |G(z) - x| (eq. 4).
        lambda_kl_cycle: weight of the divergences of the cycle: that of the picture's latent once more, and that of
            its translation's (eq. 6).
        lambda_cycle: weight of the reconstruction by way of the other domain (eq. 6).
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: a generator of another kind.
    """

    generators = ("G_A", "G_B", "S")
    discriminators = ("D_A", "D_B")
    gan_mode = "vanilla"
    turns = ("D", "G")
    directions = (Direction.A2B, Direction.B2A)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        shared_blocks: Count = 1,
        lambda_gan: Weight = 10.0,
        lambda_kl: Weight = 0.1,
        lambda_rec: Weight = 100.0,
        lambda_kl_cycle: Weight = 0.1,
        lambda_cycle: Weight = 100.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        G_A, G_B = (generator(in_channels=count, out_channels=count) for count in (channels_A, channels_B))
        if not (isinstance(G_A, UNITGenerator) and isinstance(G_B, UNITGenerator)):
            raise UserError(f"model/generator: {type(G_A).__name__} has no latent to share: take model/generator=unit")
        self.G_A, self.G_B = G_A, G_B
        self.S = SharedBlocks(G_A.channels, blocks=shared_blocks)
        self.D_A, self.D_B = (discriminator(in_channels=count) for count in (channels_A, channels_B))
        self.lambda_gan, self.lambda_kl, self.lambda_rec = lambda_gan, lambda_kl, lambda_rec
        self.lambda_kl_cycle, self.lambda_cycle = lambda_kl_cycle, lambda_cycle

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        way = Direction(direction)
        return self._decoded(way.target, self._mean(way.source, images), images)

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; in training of latents with noise, and the means of the latents are kept."""
        images, first, second = {}, {}, {}
        for domain, target in OTHER.items():
            real = batch[domain]
            first[domain] = self._mean(domain, real)
            latent = self._noisy(first[domain])
            images[f"real_{domain}"] = real
            images[f"idt_{domain}"] = self._decoded(domain, latent, real)
            images[f"fake_{target}"] = fake = self._decoded(target, latent, real)
            second[domain] = self._mean(target, fake)
            images[f"rec_{domain}"] = self._decoded(domain, self._noisy(second[domain]), real)
        return Generated(images, first=first, second=second) if self.training else images

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        first, second = kept(images, "first"), kept(images, "second")
        total, terms = torch.zeros((), device=self.device), Terms()
        for domain, discriminator in (("B", self.D_B), ("A", self.D_A)):
            real = images[f"real_{domain}"]
            gan, of_D = self.adversarial_loss(f"gan_{domain}", discriminator, images[f"fake_{domain}"], real)
            found = {
                "kl": (self.lambda_kl + self.lambda_kl_cycle, divergence(first[domain])),
                "rec": (self.lambda_rec, l1(images[f"idt_{domain}"], real)),
                "kl_cycle": (self.lambda_kl_cycle, divergence(second[domain])),
                "cycle": (self.lambda_cycle, l1(images[f"rec_{domain}"], real)),
            }
            total = total + self.lambda_gan * gan + sum(weight * value for weight, value in found.values())
            terms |= of_D | {f"{name}_{domain}": value for name, (_, value) in found.items()}
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        return self.judging_both(images)

    def _mean(self, domain: str, images: Tensor) -> Tensor:
        """Return the mean of the latents of a domain's pictures, [B, C, h, w]."""
        mean: Tensor = self.S.encoder(self._generator(domain).encode(images))
        return mean

    def _decoded(self, domain: str, latent: Tensor, like: Tensor) -> Tensor:
        """Return pictures of a domain, of the size of others."""
        made = self._generator(domain).decode(self.S.decoder(latent))
        return crop(made, (like.shape[-2], like.shape[-1]))

    def _noisy(self, mean: Tensor) -> Tensor:
        """Draw latents about their means, of variance 1; in evaluation return the means."""
        return mean + normal_like(mean) if self.training else mean

    def _generator(self, domain: str) -> UNITGenerator:
        return self.G_A if domain == "A" else self.G_B


def divergence(mean: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of N(mean, I) from N(0, I), per number, at least in float32."""
    return at_least_float32(mean).square().mean() / 2
