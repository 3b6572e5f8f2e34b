"""Many styles in one generator: G(x, s) after StarGAN v2 (Choi et al. 2020, arXiv:1912.01865, equations 1 to 5).

What differs from the paper: contents (A) are apart from styles (B) and have no number. The style encoder E has no
heads per style, so that it takes pictures of unseen styles, and of contents: G(x, E(x)) is held to x, which makes
mixing a code with the content's own a strength from 0 to 1. Each picture has one code per iteration, in turn from
the mapping network M (F in the paper) and from E; the paper makes two passes. A code is a constant where it is the
target of the style reconstruction, so that codes do not shrink to be easily reconstructed. D judges patches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.core.types import Count, CountOrNone, Weight
from gan_style.losses.adversarial import Logits
from gan_style.losses.perceptual import PerceptualLoss, StatisticName
from gan_style.models.passes import joined
from gan_style.models.processes import summed
from gan_style.models.styled import Styled
from gan_style.models.translator import Generated, Images, StyleCode, Terms, kept, l1
from gan_style.models.warm_start import fitting_tensors, read_trained
from gan_style.networks.blocks import crop
from gan_style.networks.factory import require_argument, require_same_channels
from gan_style.networks.styled import StyledGenerator
from gan_style.networks.vgg import VGG

STYLE_MEAN_MOMENTUM = 0.99  # of the running mean code of a style
MAX_DIFFERENCE_OF_SAME_CODE = 1e-4  # relative; below it two codes count as one


class StyleConditional(Styled):
    """A generator for all styles, a style encoder, a mapping network and a discriminator with a map per style.

    Args:
        generator: factory, `(in_channels=, out_channels=, style_size=)` -> `StyledGenerator`.
        discriminator: factory, `(in_channels=, styles=)` -> network of `(pictures, labels)`.
        style_encoder: factory, `(in_channels=, style_size=)` -> network.
        mapping: factory, `(styles=, latent_size=, style_size=)` -> network of `(z, labels)`.
        vgg: features for a content and a style loss beside the others; checkpoints do not carry it.
        channels_A, channels_B: of the pictures of each domain; equal, since the generator takes both.
        styles: number of styles.
        style_size, latent_size: lengths of s and z.
        lambda_gan: weight of the adversarial loss (eq. 1).
        lambda_code: weight of the style reconstruction, |E(G(x, s)) - s| (eq. 2).
        lambda_diversity: weight at the start of the difference that two codes make, |G(x, s) - G(x, s')| (eq. 3).
        diversity_iterations: over which that weight falls to 0; 0 leaves it out.
        lambda_cycle: weight of |G(G(x, s), E(x)) - x| (eq. 4).
        lambda_self: weight of |G(x, E(x)) - x|.
        lambda_content, lambda_style: weights of the VGG losses to A, and to B where the code is E(B); None is 1
            with a `vgg` and 0 without.
        statistic: of the VGG style loss, see `PerceptualLoss`.
        warm_start: checkpoint of this method or of `adain`, to begin with its weights where they fit.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: domains with different channels, a network of another kind, or VGG losses without a VGG.
    """

    generators = ("G", "E", "M")
    discriminators = ("D",)
    gan_mode = "vanilla"
    lambda_r1 = 0.05
    turns = ("D", "G")
    takes_noise = True
    style_means: Tensor
    style_visits: Tensor

    def __init__(
        self,
        generator: Callable[..., StyledGenerator],
        discriminator: Callable[..., nn.Module],
        style_encoder: Callable[..., nn.Module],
        mapping: Callable[..., nn.Module],
        vgg: VGG | None = None,
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        styles: Count = 1,
        style_size: Count = 64,
        latent_size: Count = 16,
        lambda_gan: Weight = 1.0,
        lambda_code: Weight = 1.0,
        lambda_diversity: Weight = 1.0,
        diversity_iterations: CountOrNone = 100_000,
        lambda_cycle: Weight = 3.0,
        lambda_self: Weight = 3.0,
        lambda_content: Weight | None = None,
        lambda_style: Weight | None = None,
        statistic: StatisticName = "gram",
        warm_start: str | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        require_same_channels(channels_A, channels_B, "one generator for contents and styles")
        require_argument(generator, "style_size", "style_conditional", "model/generator=styled")
        require_argument(discriminator, "styles", "style_conditional", "model/discriminator=conditional or vgg")
        self.G = generator(in_channels=channels_A, out_channels=channels_B, style_size=style_size)
        self.E = style_encoder(in_channels=channels_A, style_size=style_size)
        self.M = mapping(styles=styles, latent_size=latent_size, style_size=style_size)
        self.D = discriminator(in_channels=channels_B, styles=styles)
        self.perceptual = None if vgg is None else PerceptualLoss(vgg, statistic=statistic, relative=True)
        self.lambda_gan, self.lambda_code, self.lambda_cycle, self.lambda_self = (
            lambda_gan,
            lambda_code,
            lambda_cycle,
            lambda_self,
        )
        self.lambda_content = _only_with(vgg, lambda_content, "content")
        self.lambda_style = _only_with(vgg, lambda_style, "style")
        self.lambda_diversity, self.diversity_iterations = lambda_diversity, diversity_iterations
        self.latent_size, self.warm_start = latent_size, warm_start
        self.register_buffer("style_means", torch.zeros(styles, style_size))
        self.register_buffer("style_visits", torch.zeros(styles, dtype=torch.int64))

    @property
    def weights(self) -> dict[str, float]:
        """Name of a loss term -> its weight now."""
        return {
            "gan_B": self.lambda_gan,
            "code": self.lambda_code,
            "cycle_A": self.lambda_cycle,
            "self": self.lambda_self,
            "content": self.lambda_content,
            "style": self.lambda_style,
        }

    # Styles

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        """Translate to the mean of the known styles."""
        return self.stylize(images, self.general_style())

    def general_style(self) -> StyleCode:
        return {"s": self.style_means.mean(dim=0, keepdim=True)}

    def style_code(self, images: Tensor) -> StyleCode:
        return {"s": self.E(images)}

    def stylize(self, images: Tensor, code: StyleCode) -> Tensor:
        codes = code["s"].expand(images.shape[0], -1)  # len() would fix it in an exported graph
        return self.G(images, codes)

    def known_style(self, index: int) -> StyleCode:
        """Return the mean code of a style of training, one entry.

        Raises:
            UserError: there is no style of that number.
        """
        count = len(self.style_means)
        if not 0 <= index < count:
            raise UserError(f"there is no style {index}: this model knows {count}, from 0 to {count - 1}")
        return {"s": self.style_means[index : index + 1].clone()}

    def latent_style(self, index: int, z: Tensor) -> StyleCode:
        """Map noise to codes of a style of training, one entry per standard normal z [N, latent_size]."""
        self.known_style(index)
        return {"s": self.M(z, torch.full((len(z),), index, device=z.device))}

    # Equations

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; codes alternate, over images and iterations, between E(B) and M(z); in validation E(B)."""
        A, B = batch["A"], batch["B"]
        labels = batch.get("style", torch.zeros(len(A), dtype=torch.int64, device=A.device))
        own, code = joined(self.E, A, B)
        if self.training:
            self._remember(code, labels)
            latent = torch.arange(self.iteration, self.iteration + len(A), device=A.device) % 2 == 0
            code = self._mixed(latent, code, labels)
        features, size = self.G.encode(A), (A.shape[-2], A.shape[-1])
        fake = crop(self.G.decode(features, code), size)
        images = {"real_A": A, "real_B": B, "fake_B": fake}
        if self.weights["cycle_A"] > 0 or not self.training:
            images["rec_A"] = self.G(fake, own)
        if self.weights["self"] > 0 or not self.training:
            images["idt_A"] = crop(self.G.decode(features, own), size)
        if not self.training:
            return images
        second = None
        if self._diversity() > 0:
            with torch.no_grad():
                another = self._mixed(latent, self.E(batch.get("B2", B.roll(1, 0))), labels)
                second = crop(self.G.decode(features, another), size)
                # Codes that differ by rounding alone would give a gradient of random sign.
                same = (another - code).abs().amax(1) <= MAX_DIFFERENCE_OF_SAME_CODE * code.abs().amax(1)
                second = torch.where(same[:, None, None, None], fake.detach(), second)
        return Generated(images, labels=labels, code=code, latent=latent, second=second)

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        fake, real_A = images["fake_B"], images["real_A"]
        labels = kept(images, "labels")
        gan, of_D = self.adversarial_loss("gan_B", lambda x: self.D(x, labels), fake, images["real_B"])
        terms = {"gan_B": gan}
        if self.weights["code"] > 0:
            terms["code"] = l1(self.E(fake), kept(images, "code").detach())
        pairs = (("cycle_A", "rec_A"), ("self", "idt_A"))
        terms |= {name: l1(images[image], real_A) for name, image in pairs if self.weights[name] > 0}
        if self.perceptual is not None:
            terms |= self._vgg_terms(self.perceptual, images)
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        terms = of_D | {name: value for name, value in terms.items() if name != "gan_B"}  # of several judges by name
        second: Tensor | None = kept(images, "second")
        if second is not None:
            terms["diversity"] = l1(fake, second)
            total = total - self._diversity() * terms["diversity"]
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        labels = kept(images, "labels")
        return self.judging_loss("B", lambda x: self.D(x, labels), images["real_B"], images["fake_B"].detach())

    def logits(self, batch: Mapping[str, Any], images: Images) -> dict[str, tuple[Logits, Logits]]:
        labels = batch.get("style", torch.zeros(len(images["real_B"]), dtype=torch.int64, device=self.device))
        return {"D": (self.D(images["real_B"], labels), self.D(images["fake_B"], labels))}

    def _vgg_terms(self, perceptual: PerceptualLoss, images: Images) -> Terms:
        """Return the content term of all images, and the style term of those whose code is E(B)."""
        chosen = (~kept(images, "latent")).nonzero()[:, 0]
        of_fake = perceptual.features(images["fake_B"])
        with torch.no_grad():
            of_A = perceptual.features(images["real_A"])
        terms = {"content": perceptual.content(of_fake, of_A)}
        if len(chosen):
            with torch.no_grad():
                target = perceptual.style_code(perceptual.features(images["real_B"][chosen]))
            terms["style"] = perceptual.style({name: value[chosen] for name, value in of_fake.items()}, target)
        return terms

    def _mixed(self, latent: Tensor, code: Tensor, labels: Tensor) -> Tensor:
        """Return M's codes where `latent` is true, else `code`; M computes all, so that it always has a gradient."""
        z = torch.randn(len(code), self.latent_size, device=code.device, dtype=self.style_means.dtype)
        return torch.where(latent[:, None], self.M(z, labels), code)

    def _diversity(self) -> float:
        """Return the weight of the diversity term in this iteration."""
        end = self.diversity_iterations
        return self.lambda_diversity * max(0.0, 1 - self.iteration / end) if end else 0.0

    @torch.no_grad()
    def _remember(self, code: Tensor, labels: Tensor) -> None:
        """Update the running mean code of each style over all processes; at first it is the plain mean, not 0."""
        chosen = nn.functional.one_hot(labels, len(self.style_means)).to(self.style_means.dtype)
        counts, totals = summed([chosen.sum(dim=0), chosen.T @ code.to(self.style_means.dtype)])
        self.style_visits += counts > 0
        weights = self.style_visits.clamp_min(1).to(totals.dtype).reciprocal().clamp_min(1 - STYLE_MEAN_MOMENTUM) * (
            counts > 0
        )
        self.style_means += weights[:, None] * (totals / counts.clamp_min(1)[:, None] - self.style_means)

    def before_training(self) -> str | None:
        if self.warm_start is None or self.iteration > 0:  # a resumed run has its weights
            return None
        return take_weights(self, expanded(self.warm_start))


def take_weights(model: StyleConditional, path: Path) -> str:
    """Copy the weights of a checkpoint that fit, and return a note with their number.

    Raises:
        UserError: no such checkpoint, or nothing in it fits.
    """
    names = (*model.generators, *model.helpers)
    ours = {name: tensor for name, tensor in model.state_dict().items() if name.split(".")[0] in names}
    taken = fitting_tensors(read_trained(path), ours)
    if not taken:
        raise UserError(
            f"model.warm_start={path} has no tensor of the names and shapes of this model: take a checkpoint of "
            "style_conditional, or of adain for model.generator.filters=64 and upsample=resize or blur"
        )
    for name, tensor in taken.items():
        ours[name].copy_(tensor)  # a state dict shares the memory of its model
    return f"warm start: {len(taken)} of {len(ours)} tensors from {path}"


def _only_with(vgg: VGG | None, weight: float | None, name: str) -> float:
    if vgg is None and weight:
        raise UserError(f"model.lambda_{name}={weight} needs features: add model/vgg=vgg19, or leave it out")
    return float(vgg is not None) if weight is None else weight
