"""AdaIN: Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization.

Huang and Belongie 2017, arXiv:1703.06868. Equations 11 to 13. B's pictures are the styles; any other picture can be
one afterwards. The identity term is not the paper's: without it a picture in its own style is not reproduced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core.types import Count, Weight
from gan_style.losses.perceptual import PerceptualLoss, mean_std, total_variation
from gan_style.models.processes import averaged
from gan_style.models.styled import Styled
from gan_style.models.translator import Generated, Images, StyleCode, Terms, kept, l1
from gan_style.networks.adain import adain
from gan_style.networks.blocks import InstanceNorm2d, crop, pad_to_multiple
from gan_style.networks.vgg import VGG

DEEPEST = "relu4_1"  # the paper's layer; shallower where the weights end before it


class AdaIN(Styled):
    """A frozen encoder, new means and standard deviations, and a learned decoder.

    Args:
        vgg: the encoder. Checkpoints carry it, so that a trained model needs no other file.
        decoder: factory, `(depth=, arch=)` -> network.
        channels_A, channels_B: of the pictures, 3 or 1. The data or a checkpoint says them; the networks are the same
            for both, as the encoder repeats grey ones.
        lambda_content: weight of the distance between the features of the output and AdaIN's features.
        lambda_style: weight of the distance between means and standard deviations.
        lambda_idt: weight of the L1 between a picture and itself in its own style, for contents and styles.
        lambda_tv: weight of total variation.
        **training: optimiser, schedule, clipping, accumulation and seed of `Translator`.
    """

    generators = ("decoder",)
    carries_vgg = True
    style_mean: Tensor
    style_std: Tensor

    def __init__(
        self,
        vgg: VGG,
        decoder: Callable[..., nn.Module],
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        lambda_content: Weight = 1.0,
        lambda_style: Weight = 10.0,
        lambda_idt: Weight = 0.0,
        lambda_tv: Weight = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        firsts = [name for name in vgg.layers if name.endswith("_1") and name <= DEEPEST]
        self.depth = firsts[-1]
        self.encoder = vgg
        self.perceptual = PerceptualLoss(vgg, content_layers=firsts[-1:], style_layers=firsts, statistic="mean_std")
        self.decoder = decoder(depth=self.depth, arch=vgg.arch)
        self.norm = InstanceNorm2d(vgg.channels[self.depth])  # of contents; a video smooths its statistics
        self.lambda_content, self.lambda_style = lambda_content, lambda_style
        self.lambda_idt, self.lambda_tv = lambda_idt, lambda_tv
        # Mean over the styles of training: `translate` uses it where no style is named.
        width = vgg.channels[self.depth]
        self.register_buffer("style_mean", torch.zeros(1, width))
        self.register_buffer("style_std", torch.ones(1, width))

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        return self.stylize(images, self.general_style())

    def general_style(self) -> StyleCode:
        return {"mean": self.style_mean, "std": self.style_std}

    def style_code(self, images: Tensor) -> StyleCode:
        mean, std = mean_std(self._encode(self._padded(images)[0]))  # as `stylize` sees a content, and training a style
        return {"mean": mean, "std": std}

    def stylize(self, images: Tensor, code: StyleCode) -> Tensor:
        padded, size = self._padded(images)
        mean, std = (code[name][..., None, None] for name in ("mean", "std"))
        features = torch.addcmul(
            mean, std, self.norm(self._encode(padded))
        )  # as `adain`, but by a layer that can be replaced
        return crop(self.decoder(features), size).clamp(-1, 1)

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        contents, size = self._padded(batch["A"])
        features = self._encode(contents)
        styles, style_size = self._padded(batch["B"])
        of_styles = self.perceptual.features(styles)
        mean, std = mean_std(of_styles[self.depth])
        if self.training:
            self._remember(mean, std)
        target = adain(features, mean, std)
        made = {"fake_B": crop(self.decoder(target), size)}
        if self.lambda_idt > 0 or not self.training:
            made["idt_A"] = crop(self.decoder(features), size)
            made["idt_B"] = crop(self.decoder(of_styles[self.depth]), style_size)
        images = {name: image.clamp(-1, 1) for name, image in made.items()}
        # The losses take the images before clamping: a clamped pixel has no gradient.
        shown = {"real_A": batch["A"], "real_B": batch["B"], **images}
        return Generated(shown, target=target, style=self.perceptual.style_code(of_styles), made=made)

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        made: Images = kept(images, "made")
        fake, _ = self._padded(made["fake_B"])
        features = self.perceptual.features(fake)
        terms = {
            "content": self.perceptual.content(features, {self.depth: kept(images, "target")}),
            "style": self.perceptual.style(features, kept(images, "style")),
        }
        total = self.lambda_content * terms["content"] + self.lambda_style * terms["style"]
        if self.lambda_idt > 0:
            terms["idt"] = l1(made["idt_A"], images["real_A"]) + l1(made["idt_B"], images["real_B"])
            total = total + self.lambda_idt * terms["idt"]
        if self.lambda_tv > 0:
            terms["tv"] = total_variation(made["fake_B"])
            total = total + self.lambda_tv * terms["tv"]
        return total, terms

    def _padded(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Pad to whole features, at least two along each side: the decoder's reflection padding needs as many."""
        multiple = self.decoder.multiple
        assert isinstance(multiple, int)
        return pad_to_multiple(images, multiple, 2 * multiple)

    def _encode(self, images: Tensor) -> Tensor:
        features: Tensor = self.encoder(images, [self.depth])[self.depth]
        return features

    @torch.no_grad()
    def _remember(self, mean: Tensor, std: Tensor) -> None:
        """Update the running mean over the styles that all processes have seen; at first it is the plain mean."""
        weight = max(0.01, 1 / (self.iteration + 1))
        found = averaged([mean.mean(dim=0, keepdim=True), std.mean(dim=0, keepdim=True)])
        for learned, value in zip((self.style_mean, self.style_std), found, strict=True):
            learned.lerp_(value, weight)
