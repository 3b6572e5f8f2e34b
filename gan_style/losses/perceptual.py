"""Content and style as distances between features of a network, such as VGG's.

Features are [B, C, h, w]. A statistic of a layer is one or two tensors per picture. Styles are mixed by mixing their
statistics: for squared distances that equals the mixed loss but for a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32

Features = Mapping[str, Tensor]
StyleCode = dict[str, Tensor]  # "<layer>/<statistic>" -> [B, ...]
StatisticName = Literal["gram", "mean_std", "covariance"]


class Extractor(Protocol):
    """Protocol of a network that gives features by layer, such as `networks.vgg.VGG`."""

    @property
    def layers(self) -> list[str]: ...

    def require(self, layers: Sequence[str]) -> None: ...

    def truncate(self, depth: str) -> None: ...

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module: ...

    def __call__(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]: ...


class _GramProduct(torch.autograd.Function):
    """Autograd function of `x @ x.mT`, with one matrix product in the backward pass where autograd's own takes two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x @ x.mT

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        (gradient,) = gradients
        return (gradient + gradient.mT) @ x


def gram_matrix(features: Tensor) -> Tensor:
    """Compute the Gram matrix of channels over positions, [B, C, C] (Gatys et al. 2016, eq. 3, divided by h w).

    In float32 under autocast: sums over a whole picture lose their digits in half precision.
    """
    flat = at_least_float32(features.flatten(2))
    with torch.autocast(flat.device.type, enabled=False):
        gram: Tensor = _GramProduct.apply(flat)
    return gram / flat.shape[-1]


def covariance(features: Tensor) -> Tensor:
    """Compute the Gram matrix of the features less each channel's mean, [B, C, C]."""
    flat = features.flatten(2)
    return gram_matrix(flat - flat.mean(dim=-1, keepdim=True))


def mean_std(features: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of each channel, two [B, C] (Huang and Belongie 2017, eqs. 5 and 6)."""
    flat = features.flatten(2)
    mean = flat.mean(dim=-1)
    if isinstance(flat, Tensor):  # torch's own variance takes many times as long on a CPU
        variance = (flat - mean[..., None]).square().mean(dim=-1)
    else:  # of a feature map that is computed tile by tile
        variance = flat.var(dim=-1, correction=0)
    return mean, (variance + eps).sqrt()


def total_variation(images: Tensor) -> Tensor:
    """Compute the mean absolute difference between neighbouring pixels of [B, C, H, W], a scalar; 0 for one pixel."""
    below = images[..., 1:, :] - images[..., :-1, :]
    right = images[..., :, 1:] - images[..., :, :-1]
    # the mean of an empty tensor is NaN
    return (below.abs().mean() if below.numel() else below.sum()) + (
        right.abs().mean() if right.numel() else right.sum()
    )


_STATISTICS: dict[str, Callable[[Tensor], dict[str, Tensor]]] = {
    "gram": lambda f: {"gram": gram_matrix(f)},
    "covariance": lambda f: {"covariance": covariance(f)},
    "mean_std": lambda f: dict(zip(("mean", "std"), mean_std(f), strict=True)),
}


class PerceptualLoss(nn.Module):
    """Content and style losses over one pass of a frozen network per picture.

    Args:
        vgg: gives the features; cut off behind the deepest layer that is used.
        content_layers: None takes `relu4_2`, or the deepest layer of `style_layers` where it is not held.
        style_layers: None takes `relu1_1`, `relu2_1`, ... as far as the weights reach.
        statistic: `gram` (Gatys et al. 2016), `mean_std` (Huang and Belongie 2017) or `covariance`.
        style_weights: one per style layer; None is 1 each.
        relative: divide the squared error of a layer by the mean square of its target, so that weights of the losses do
            not depend on the scale of VGG's own weights, which differs between torchvision's and normalised ones.

    Raises:
        UserError: a layer that does not exist, or not as many weights as layers.
    """

    def __init__(
        self,
        vgg: Extractor,
        *,
        content_layers: Sequence[str] | None = None,
        style_layers: Sequence[str] | None = None,
        statistic: StatisticName = "gram",
        style_weights: Sequence[float] | None = None,
        relative: bool = False,
    ) -> None:
        super().__init__()
        self.style_layers = list(style_layers or [name for name in vgg.layers if name.endswith("_1")])
        deepest = max(self.style_layers, key=lambda name: vgg.layers.index(name) if name in vgg.layers else -1)
        self.content_layers = list(content_layers or (["relu4_2"] if "relu4_2" in vgg.layers else [deepest]))
        vgg.require([*self.content_layers, *self.style_layers])
        if style_weights is not None and len(style_weights) != len(self.style_layers):
            raise UserError(
                f"model.style_weights has {len(style_weights)} numbers for {len(self.style_layers)} style layers "
                f"({', '.join(self.style_layers)}): give one each"
            )
        self.layers = [name for name in vgg.layers if name in {*self.content_layers, *self.style_layers}]
        vgg.truncate(self.layers[-1])
        self._vgg = [vgg]  # in a list, so that it is no submodule: it is read again, not kept in checkpoints
        self.statistic = statistic
        self.weights = dict(zip(self.style_layers, style_weights or [1.0] * len(self.style_layers), strict=True))
        self.relative = relative

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Return the features of every layer that the losses need, of pictures [B, 3, H, W] in [-1, 1]."""
        return self._vgg[0](images, self.layers)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PerceptualLoss:
        self._vgg[0]._apply(fn, recurse)  # moves with this module to its device and precision
        super()._apply(fn, recurse)
        return self

    def style_code(self, features: Features) -> StyleCode:
        """Compute the statistics of the style layers."""
        return {
            f"{layer}/{name}": value
            for layer in self.style_layers
            for name, value in _STATISTICS[self.statistic](features[layer]).items()
        }

    def content(self, features: Features, target: Features) -> Tensor:
        """Compute the mean square between features, summed over layers (Gatys et al. 2016, eq. 1, as a mean)."""
        return torch.stack([self._distance(features[name], target[name]) for name in self.content_layers]).sum()

    def style(self, features: Features, target: Mapping[str, Tensor]) -> Tensor:
        """Compute the weighted mean squares between statistics (Gatys et al. 2016, eqs. 4 and 5).

        Args:
            features: of the picture.
            target: a style code, of the same batch or of one picture for all.
        """
        here = self.style_code(features)
        terms = [self.weights[key.split("/")[0]] * self._distance(value, target[key]) for key, value in here.items()]
        return torch.stack(terms).sum()

    def _distance(self, x: Tensor, target: Tensor) -> Tensor:
        target = target.detach()
        square = (x - target).square().mean()
        return square / target.square().mean().clamp_min(1e-12) if self.relative else square
