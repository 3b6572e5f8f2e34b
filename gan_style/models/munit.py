"""MUNIT: Multimodal Unsupervised Image-to-Image Translation.

Huang, Liu, Belongie, Kautz 2018, ECCV, arXiv:1804.04732, written from the paper alone. A picture of a domain is a
content, a map that both domains have in common, and a style, a few numbers of its own domain: x = G(c, s). It is
translated by keeping its content and taking a style of the other domain, from N(0, I) or from a picture. The
domain-invariant perceptual loss, which the paper adds for 512 pixels and more, is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core.direction import OTHER, Direction
from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32
from gan_style.core.types import Count, Weight
from gan_style.models.styled import Styled
from gan_style.models.translator import Generated, Images, StyleCode, Terms, kept, l1
from gan_style.networks.blocks import crop
from gan_style.networks.factory import require_argument


class MUNIT(Styled):
    """An autoencoder of contents and styles, and a discriminator, of each domain.

    Args:
        generator: factory, `(in_channels=, out_channels=, style_size=)` -> network with `encode` and `decode` (see
            `MUNITGenerator`).
        discriminator: factory, `(in_channels=)` -> network.
        style_encoder: factory, `(in_channels=, style_size=)` -> network.
        channels_A, channels_B: of the pictures of each domain.
        style_size: length of the style.
        lambda_gan: weight of the adversarial losses (eq. 4), of the mean over the scales of D.
        lambda_rec: weight of |G(E(x)) - x| (eq. 1).
        lambda_style: weight of the reconstruction of a random style from what was made with it (eq. 3).
        lambda_content: weight of the same for the content (eq. 2).
        lambda_cycle: weight of the style-augmented cycle, by the other domain and back with the picture's own style;
            0 leaves it out.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: a generator of another kind.
    """

    generators = ("G_A", "G_B", "E_A", "E_B")
    discriminators = ("D_A", "D_B")
    gan_mode = "lsgan_sum"
    turns = ("D", "G")
    directions = (Direction.A2B, Direction.B2A)
    takes_noise = True
    G_A: Any  # networks with `encode` and `decode`
    G_B: Any
    noise_seed: int | Tensor = 0  # of the style of a translation for which none was given

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        style_encoder: Callable[..., nn.Module],
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        style_size: Count = 8,
        lambda_gan: Weight = 3.0,
        lambda_rec: Weight = 10.0,
        lambda_style: Weight = 1.0,
        lambda_content: Weight = 1.0,
        lambda_cycle: Weight = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        require_argument(generator, "style_size", "munit", "model/generator=munit or styled")
        counts = (channels_A, channels_B)
        self.G_A, self.G_B = (generator(in_channels=n, out_channels=n, style_size=style_size) for n in counts)
        self.E_A, self.E_B = (style_encoder(in_channels=n, style_size=style_size) for n in counts)
        self.D_A, self.D_B = (discriminator(in_channels=n) for n in counts)
        self.channels, self.latent_size = {"A": channels_A, "B": channels_B}, style_size
        self.lambda_gan, self.lambda_rec = lambda_gan, lambda_rec
        self.lambda_style, self.lambda_content, self.lambda_cycle = lambda_style, lambda_content, lambda_cycle
        self.direction = self.directions[0]  # of the styles, see `towards`

    # Styles

    def towards(self, direction: str) -> MUNIT:
        """Return this method, with the same networks, for the styles of a direction's target."""
        view = copy.copy(self)
        view.direction = Direction(direction)
        return view

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        """Translate to a random style, the same for all images; it follows from `noise_seed`."""
        return self.towards(direction).stylize(images, self.general_style())

    def general_style(self) -> StyleCode:
        random = torch.Generator().manual_seed(int(self.noise_seed))
        return self.latent_style(0, torch.randn(1, self.latent_size, generator=random).to(self.device))

    def known_style(self, index: int) -> StyleCode:
        """Return the mean of the styles of the domain, one entry.

        Raises:
            UserError: another number than 0.
        """
        return self.latent_style(index, torch.zeros(1, self.latent_size, device=self.device))

    def latent_style(self, index: int, z: Tensor) -> StyleCode:
        if index != 0:
            raise UserError(f"there is no style {index}: a domain of munit is one style, 0")
        return {"s": z.to(next(self.parameters()).dtype)}

    def style_code(self, images: Tensor) -> StyleCode:
        """Encode pictures of the target's domain, or of another one of as many channels.

        Raises:
            UserError: pictures of other channels.
        """
        wanted = self.channels[self.direction.target]
        if images.shape[1] != wanted:
            raise UserError(
                f"a style of domain {self.direction.target} is found in pictures of {wanted} channels, not of "
                f"{images.shape[1]}: take alpha=1, which asks for none of the picture's own"
            )
        return {"s": self._style_encoder(self.direction.target)(images)}

    def stylize(self, images: Tensor, code: StyleCode) -> Tensor:
        codes = code["s"].expand(images.shape[0], -1)  # len() would fix it in an exported graph
        return self._decoded(self.direction.target, self._content(self.direction.source, images), codes, images)

    # Equations

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; styles are random in training, and those of the other domain's pictures in validation."""
        reals = {domain: batch[domain] for domain in OTHER}
        contents = {domain: self._content(domain, image) for domain, image in reals.items()}
        own = {domain: self._style_encoder(domain)(image) for domain, image in reals.items()}
        styles = {domain: self._random(code) for domain, code in own.items()} if self.training else own
        images = {f"real_{domain}": image for domain, image in reals.items()}
        again = {}
        for domain, target in OTHER.items():
            real = reals[domain]
            images[f"idt_{domain}"] = self._decoded(domain, contents[domain], own[domain], real)
            images[f"fake_{target}"] = fake = self._decoded(target, contents[domain], styles[target], real)
            again[domain] = self._content(target, fake)
            if self.lambda_cycle > 0 or not self.training:
                images[f"rec_{domain}"] = self._decoded(domain, again[domain], own[domain], real)
        return Generated(images, contents=contents, again=again, styles=styles) if self.training else images

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        contents, again, styles = (kept(images, name) for name in ("contents", "again", "styles"))
        total, terms = torch.zeros((), device=self.device), Terms()
        for domain, discriminator in (("B", self.D_B), ("A", self.D_A)):
            real, fake = images[f"real_{domain}"], images[f"fake_{domain}"]
            gan, of_D = self.adversarial_loss(f"gan_{domain}", discriminator, fake, real)
            found = {
                "rec": (self.lambda_rec, l1(images[f"idt_{domain}"], real)),
                "style": (self.lambda_style, l1(self._style_encoder(domain)(fake), styles[domain])),
                "content": (self.lambda_content, l1(again[domain], at_least_float32(contents[domain]))),
            }
            if self.lambda_cycle > 0:
                found["cycle"] = (self.lambda_cycle, l1(images[f"rec_{domain}"], real))
            total = total + self.lambda_gan * gan + sum(weight * value for weight, value in found.values())
            terms |= of_D | {f"{name}_{domain}": value for name, (_, value) in found.items()}
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        return self.judging_both(images)

    def _content(self, domain: str, images: Tensor) -> Tensor:
        content: Tensor = (self.G_A if domain == "A" else self.G_B).encode(images)
        return content

    def _style_encoder(self, domain: str) -> nn.Module:
        return self.E_A if domain == "A" else self.E_B

    def _decoded(self, domain: str, content: Tensor, style: Tensor, like: Tensor) -> Tensor:
        """Return pictures of a domain, of the size of others."""
        made = (self.G_A if domain == "A" else self.G_B).decode(content, style)
        return crop(made, (like.shape[-2], like.shape[-1]))

    def _random(self, like: Tensor) -> Tensor:
        """Draw styles of the prior N(0, I), one for each code; not in the half precision that codes may have."""
        return torch.randn(like.shape, dtype=next(self.parameters()).dtype, device=like.device)
