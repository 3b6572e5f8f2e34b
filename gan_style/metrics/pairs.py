"""Scores of pairs of pictures, one number each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from gan_style.networks.vgg import VGG

PairFunction = Callable[[Tensor, Tensor], Tensor]  # [B, C, H, W] twice -> [B]


def cycle_error(images: Tensor, returned: Tensor) -> Tensor:
    """Return the mean absolute difference between images and their reconstructions, [B] in [0, 2]."""
    return (images.float() - returned.float()).abs().mean(dim=(1, 2, 3))


def rendition_difference(several: Tensor) -> Tensor:
    """Return the mean absolute difference between renditions of each input by other noise, [B] in [0, 2].

    Args:
        several: renditions of each input, [B, S, C, H, W]; S >= 2.
    """
    several = several.float()
    pairs = [(one, other) for other in range(several.shape[1]) for one in range(other)]
    return torch.stack([cycle_error(several[:, one], several[:, other]) for one, other in pairs]).mean(0)


class ContentDistance(nn.Module):
    """Squared distance of one VGG layer's features, divided by the mean square of the first picture's: [B], >= 0.

    The content loss of Gatys et al. 2016 (eq. 1), made free of the scale of the weights.

    Args:
        vgg: the network; with random weights the distance means little, and its name should say so.
        layer: None takes `relu4_1`, or the deepest that the weights reach.
    """

    def __init__(self, vgg: VGG, layer: str | None = None) -> None:
        super().__init__()
        self.layer = layer or ("relu4_1" if "relu4_1" in vgg.layers else vgg.depth)
        vgg.require([self.layer])
        self.vgg = vgg
        self.name = f"content_{vgg.arch}_{self.layer}"

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        a, b = (self.vgg(x, [self.layer])[self.layer] for x in (images, others))
        return (a - b).square().mean(dim=(1, 2, 3)) / a.square().mean(dim=(1, 2, 3)).clamp_min(1e-12)


class StyleCoder(Protocol):
    """Protocol of `losses.perceptual.PerceptualLoss`: images -> features -> statistics of each layer."""

    def features(self, images: Tensor) -> dict[str, Tensor]: ...

    def style_code(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]: ...


class StyleDistance:
    """Squared distance between style statistics, each divided by the mean square of the style's, averaged: [B], >= 0.

    Called with pictures and styles [B, 3, H, W], one each or one style for all. The coder decides the
    statistic (`gram`, `mean_std`) and the layers.
    """

    def __init__(self, coder: StyleCoder) -> None:
        self.coder = coder

    def __call__(self, images: Tensor, styles: Tensor) -> Tensor:
        return self.to_code(images, self.code(styles))

    def code(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the statistics of images, [B, ...] each."""
        return self.coder.style_code(self.coder.features(images))

    def to_code(self, images: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """Return the distance of images to statistics of B images, or of one for all, such as a domain's mean."""
        terms = []
        for key, value in self.code(images).items():
            square = (value - target[key]).square().flatten(1).mean(1)
            terms.append(square / target[key].square().flatten(1).mean(1).clamp_min(1e-12))
        return torch.stack(terms).mean(0)
