"""MicroAST: Towards Super-Fast Ultra-Resolution Arbitrary Style Transfer.

Wang et al. 2023, AAAI, arXiv:2211.15313. B's pictures are the styles; any other picture can be one afterwards. The VGG
is needed for the losses only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.types import Count, CountOrNone, Weight
from gan_style.losses.perceptual import PerceptualLoss, mean_std, total_variation
from gan_style.models.processes import averaged
from gan_style.models.styled import Styled
from gan_style.models.translator import Generated, Images, StyleCode, Terms, kept, l1
from gan_style.networks.blocks import crop, pad_to_multiple
from gan_style.networks.microast import (
    LEVELS,
    MINIMUM_SIZE,
    SIGNALS,
    WIDTH,
    MicroDecoder,
    MicroEncoder,
    Modulator,
    unbiasing,
)
from gan_style.networks.vgg import VGG

DEEPEST = "relu4_1"  # the paper's layer; shallower where the weights end before it


class MicroAST(Styled):
    """Micro encoders of contents and styles, and a decoder that a style modulates.

    Args:
        vgg: features for the losses, which checkpoints do not carry; None where nothing is trained.
        channels_A, channels_B: of the pictures of each domain, 1 or 3.
        lambda_content: weight of the distance between the deepest features of the output and of the content.
        lambda_style: weight of the distance between means and standard deviations of output and style.
        lambda_contrast: weight of the style signal contrastive loss; it compares the styles of a batch, and is 0 for
            one alone.
        lambda_tv: weight of total variation.
        pretrain: iterations at the beginning in which the output is to be the content with the mean and the deviation
            of each colour of the style (Reinhard et al. 2001); not the paper's, and several times as fast as a VGG.
        content_layers, style_layers, style_weights, relative: see `PerceptualLoss`; the default is the first layers of
            all blocks to `relu4_1`, or to where the weights end, and the last of them for contents.
        **training: optimiser, schedule, clipping, accumulation and seed of `Translator`.

    Raises:
        UserError: in `generator_loss`, without a VGG.
    """

    generators = ("content_encoder", "style_encoder", "modulator", "decoder")

    def __init__(
        self,
        vgg: VGG | None,
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        lambda_content: Weight = 1.0,
        lambda_style: Weight = 3.0,
        lambda_contrast: Weight = 3.0,
        lambda_tv: Weight = 0.0,
        pretrain: CountOrNone = 0,
        content_layers: list[str] | None = None,
        style_layers: list[str] | None = None,
        style_weights: list[float] | None = None,
        relative: bool = False,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.content_encoder, self.style_encoder = MicroEncoder(channels_A), MicroEncoder(channels_B)
        self.modulator, self.decoder = Modulator(), MicroDecoder(channels_B)
        self.perceptual = None
        if vgg is not None:
            firsts = [name for name in vgg.layers if name.endswith("_1") and name <= DEEPEST]
            self.perceptual = PerceptualLoss(
                vgg,
                content_layers=content_layers or firsts[-1:],
                style_layers=style_layers or firsts,
                style_weights=style_weights,
                statistic="mean_std",
                relative=relative,
            )
        self.lambda_content, self.lambda_style = lambda_content, lambda_style
        self.lambda_contrast, self.lambda_tv, self.pretrain = lambda_contrast, lambda_tv, pretrain
        # Mean over the styles of training: `translate` uses it where no style is named.
        for name in SIGNALS:
            first = torch.ones if name in ("std", "weight") else torch.zeros
            self.register_buffer(f"style_{name}", first(1, len(LEVELS), WIDTH))

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        return self.stylize(images, self.general_style())

    def general_style(self) -> StyleCode:
        return {name: getattr(self, f"style_{name}") for name in SIGNALS}

    def style_code(self, images: Tensor) -> StyleCode:
        return self._signals(_large_enough(images)[0])

    def stylize(self, images: Tensor, code: StyleCode) -> Tensor:
        return self._made(images, code).clamp(-1, 1)

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        code = self.style_code(batch["B"])
        if self.training:
            self._remember(code)
        made = self._made(batch["A"], code)
        # The losses take the picture before clamping: a clamped pixel has no gradient.
        shown = {"real_A": batch["A"], "real_B": batch["B"], "fake_B": made.clamp(-1, 1)}
        return Generated(shown, made=made, code=code)

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        if self.perceptual is None:
            raise UserError("this model was made without a VGG, which its losses need: train one with model=microast")
        made: Tensor = kept(images, "made")
        if self.iteration < self.pretrain:
            colour = l1(made, recoloured(images["real_A"], images["real_B"]))
            return colour, {"colour": colour}
        of_made = self.perceptual.features(_large_enough(made)[0])
        with torch.no_grad():
            of_A, of_B = (self.perceptual.features(_large_enough(images[f"real_{letter}"])[0]) for letter in "AB")
        terms = {
            "content": self.perceptual.content(of_made, of_A),
            "style": self.perceptual.style(of_made, self.perceptual.style_code(of_B)),
        }
        total = self.lambda_content * terms["content"] + self.lambda_style * terms["style"]
        if self.lambda_contrast > 0:
            terms["contrast"] = contrast(self.style_code(made), kept(images, "code"))
            total = total + self.lambda_contrast * terms["contrast"]
        if self.lambda_tv > 0:
            terms["tv"] = total_variation(made)
            total = total + self.lambda_tv * terms["tv"]
        return total, terms

    def _made(self, images: Tensor, code: StyleCode) -> Tensor:
        padded, size = _large_enough(images)
        _, features = self.content_encoder(padded)
        return crop(self.decoder(features, code), size)

    def _signals(self, images: Tensor) -> StyleCode:
        features = self.style_encoder(images)
        told = [mean_std(one) for one in features]
        weight, bias = self.modulator(features)
        return {
            "mean": torch.stack([mean for mean, _ in told], 1),
            "std": torch.stack([std * unbiasing(one) for (_, std), one in zip(told, features, strict=True)], 1),
            "weight": weight,
            "bias": bias,
        }

    @torch.no_grad()
    def _remember(self, code: StyleCode) -> None:
        """Update the running mean over the styles that all processes have seen; at first it is the plain mean."""
        share = max(0.01, 1 / (self.iteration + 1))
        found = averaged([code[name].mean(dim=0, keepdim=True) for name in SIGNALS])
        for name, value in zip(SIGNALS, found, strict=True):
            learned: Tensor = getattr(self, f"style_{name}")
            learned.lerp_(value.to(learned), share)  # autocast computes codes in half precision


def contrast(made: StyleCode, styles: StyleCode) -> Tensor:
    """Return the style signal contrastive loss (Wang et al. 2023, eq. 6), summed over pictures.

    Each picture's signals should be near those of its own style, and far from those of the others.

    Args:
        made: of the pictures, [B, ...] each.
        styles: of their styles, in the same order; for B = 1 there is nothing to compare, and the loss is 0.
    """
    mine, theirs = (torch.stack([code[name] for name in SIGNALS], 1).float() for code in (made, styles))
    distance = (mine[:, None] - theirs[None]).square().mean(-1).sum((-2, -1))  # [B, B]
    near = distance.diagonal()
    far = distance.sum(1) - near
    return (near / far.clamp_min(1e-12)).sum() if len(distance) > 1 else 0 * near.sum()


def recoloured(contents: Tensor, styles: Tensor) -> Tensor:
    """Give contents the mean and the deviation of each channel of styles, both [B, C, H, W] in [-1, 1]."""
    (mean, std), (new_mean, new_std) = ((one[..., None, None] for one in mean_std(x)) for x in (contents, styles))
    return ((contents - mean) / std * new_std + new_mean).clamp(-1, 1)


def _large_enough(images: Tensor) -> tuple[Tensor, tuple[int, int]]:
    return pad_to_multiple(images, 1, MINIMUM_SIZE)
