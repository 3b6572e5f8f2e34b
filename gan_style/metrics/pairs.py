"""Scores of pairs of pictures, one number each, and their mean over a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from gan_style.core.errors import UserError
from gan_style.networks.vgg import VGG

PairFunction = Callable[[Tensor, Tensor], Tensor]  # [B, C, H, W] twice -> [B]


class PairScore(Metric):
    """Mean of a function of two pictures over a set; keeps each number, for intervals over pictures.

    Args:
        function: [B, C, H, W] twice -> [B]: `LPIPS()`, `edge_agreement`, `ContentDistance(...)`, `cycle_error`,
            `StyleDistance(...)`, `truth.psnr`, `truth.ssim`. Not a part of this metric's state.
    """

    full_state_update = False
    scores: list[Tensor]

    def __init__(self, function: PairFunction, **options: Any) -> None:
        super().__init__(**options)
        self._function = [function]
        self.add_state("scores", [], dist_reduce_fx="cat")

    @torch.no_grad()
    def update(self, images: Tensor, others: Tensor) -> None:
        """Add pairs of pictures [B, C, H, W] in [-1, 1]."""
        self.scores.append(self._function[0](images, others))

    def values(self) -> Tensor:
        """The number of each pair, [N]."""
        if not len(self.scores):
            raise UserError("there is no pair of pictures to score: give one at least")
        return dim_zero_cat(self.scores)

    def compute(self) -> Tensor:
        return self.values().double().mean()

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Any = "") -> nn.Module:
        function = self._function[0]
        if isinstance(function, nn.Module):
            function._apply(fn)  # to the device of the rest
        applied: nn.Module = super()._apply(fn, exclude_state)
        return applied


def cycle_error(images: Tensor, returned: Tensor) -> Tensor:
    """Mean absolute difference between pictures and what came back of them, [B] in [0, 2]."""
    return (images.float() - returned.float()).abs().mean(dim=(1, 2, 3))


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
    """What `losses.perceptual.PerceptualLoss` is: pictures -> features -> statistics of each layer."""

    def features(self, images: Tensor) -> dict[str, Tensor]: ...

    def style_code(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]: ...


class StyleDistance:
    """Squared distance between style statistics, each divided by the mean square of the style's, averaged: [B], >= 0.

    Called with pictures and styles [B, 3, H, W], one each or one style for all. Which statistic (`gram`, `mean_std`)
    and which layers is the coder's matter.
    """

    def __init__(self, coder: StyleCoder) -> None:
        self.coder = coder

    def __call__(self, images: Tensor, styles: Tensor) -> Tensor:
        return self.to_code(images, self.code(styles))

    def code(self, images: Tensor) -> dict[str, Tensor]:
        """The statistics of pictures, [B, ...] each."""
        return self.coder.style_code(self.coder.features(images))

    def to_code(self, images: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """From pictures to statistics of B pictures, or of one for all, such as the mean over a domain."""
        terms = []
        for key, value in self.code(images).items():
            square = (value - target[key]).square().flatten(1).mean(1)
            terms.append(square / target[key].square().flatten(1).mean(1).clamp_min(1e-12))
        return torch.stack(terms).mean(0)
