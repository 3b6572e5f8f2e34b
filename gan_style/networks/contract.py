"""Capabilities that a generator or a discriminator may offer (docs/networks.md); methods ask for them here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

# Pixels a side, of what a network is tried on where nothing says a size: a multiple of the strides of all in conf.
TRIED_SIDE = 256


@runtime_checkable
class Branched(Protocol):
    """A generator that adds a style to a content, y = tanh(content(x) + alpha * style(x))."""

    alpha: float  # strength of the style in training

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return content and style of [B, in_channels, H, W], before the sum and the tanh."""
        ...

    def __call__(self, x: Tensor, alpha: float | None = None) -> Tensor:
        """Translate with the strength of training, or with another one."""
        ...


@runtime_checkable
class Graded(Protocol):
    """A generator whose strength is an input: from the image itself, or what it knows of it, to its translation."""

    graded: bool

    def __call__(self, x: Tensor, strength: float = 1.0) -> Tensor:
        """Translate [B, in_channels, H, W] with a strength in [0, 1]."""
        ...


@runtime_checkable
class Featured(Protocol):
    """A generator whose inner features can be compared, as CUT does."""

    feature_channels: tuple[int, ...]  # of each layer that is compared

    def features(self, x: Tensor) -> list[Tensor]:
        """Return one feature map [B, C, h, w] per entry of `feature_channels`."""
        ...

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the output and the features of one pass."""
        ...


@runtime_checkable
class Paired(Protocol):
    """A generator whose decoder can be compared with its encoder, as EnCo does."""

    pair_channels: tuple[int, ...]  # of each pair of maps

    def forward_with_pairs(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Return the output and, per entry of `pair_channels`, an encoder's map and a decoder's of the same size."""
        ...


@runtime_checkable
class Halved(Protocol):
    """A generator in two halves, between which another network may take features away, or add some, as in StegoGAN."""

    inner_channels: int  # of the features between them
    inner_stride: int  # pixels of a side that one place of them stands for, from the top left

    def encode(self, x: Tensor) -> Tensor:
        """Return the features [B, C, h, w] of images [B, in_channels, H, W]."""
        ...

    def decode(self, features: Tensor, x: Tensor) -> Tensor:
        """Return the translation that features give of the images that they are of."""
        ...


@runtime_checkable
class Judging(Protocol):
    """A discriminator of several judges, which returns logits by their names."""

    judge_weights: Mapping[str, float]  # what the loss of each counts, for both players
    judge_modes: Mapping[str, str]  # adversarial loss of those that have another than the method's


def judges_of(discriminator: nn.Module) -> tuple[Mapping[str, float], Mapping[str, str]]:
    """Return weights and adversarial losses of the judges of a discriminator by name; empty where it is one judge."""
    if not isinstance(discriminator, Judging):
        return {}, {}
    return discriminator.judge_weights, discriminator.judge_modes


@runtime_checkable
class Noised(Protocol):
    """A network, or a part of one, that draws noise: in evaluation it follows from `noise_seed` alone."""

    noise_seed: int | Tensor  # a tensor is int64 [1], or [B] for images of their own seeds where `takes_seeds` is True


def noised(network: nn.Module) -> list[Noised]:
    """List the parts of a network that draw noise; none unless declared."""
    return [module for module in network.modules() if isinstance(module, Noised)]


def by_place(function: Callable[[Tensor, int, int], Tensor], x: Tensor) -> Tensor:
    """Apply a function that looks at each place by itself, and at its row and column, also where x is tiled.

    Args:
        function: (part [B, C, h, w] of x, its first row, its first column) -> the same shape.
        x: [B, C, H, W].
    """
    if has_torch_function_unary(x):  # a feature map that is computed tile by tile
        result: Tensor = handle_torch_function(by_place, (x,), function, x)
        return result
    return function(x, 0, 0)


def grid_means(x: Tensor, sides: tuple[int, int]) -> Tensor:
    """Average [B, C, h, w] onto a grid [B, C, *sides], by the windows of torch's `adaptive_avg_pool2d`.

    By two products of matrices: also for sizes that an exported graph does not know, for feature maps that are computed
    tile by tile, and with gradients that are the same in every run on a GPU.
    """
    if has_torch_function_unary(x):
        result: Tensor = handle_torch_function(grid_means, (x,), x, sides)
        return result
    if not torch.compiler.is_exporting() and tuple(x.shape[-2:]) == sides:
        return x
    pairs = zip(x.shape[-2:], sides, strict=True)
    rows, columns = (grid_windows(length, side, x.device).to(x.dtype) for length, side in pairs)
    return rows @ x @ columns.T


def grid_windows(length: int, side: int, device: torch.device | None = None) -> Tensor:
    """Return the weights [side, length] of the means of `side` windows that cover a length, in float32."""
    number, position = torch.arange(side, device=device)[:, None], torch.arange(length, device=device)
    first, end = number * length // side, ((number + 1) * length + side - 1) // side
    return ((position >= first) & (position < end)).float() / (end - first)


def can_join(network: nn.Module) -> bool:
    """Check whether a pass treats every image by itself, so that batches may be joined; false unless declared."""
    return bool(getattr(network, "per_sample", False))


def minimum_size(network: nn.Module) -> int:
    """Return the least height and width that a network takes; 1 unless declared."""
    return int(getattr(network, "minimum_size", 1))


def narrowest(network: nn.Module) -> tuple[nn.Module, str | None]:
    """Return what in a network needs the largest pictures: itself, or one of several judges and that one's name."""
    judges = getattr(network, "networks", None)
    if not isinstance(judges, nn.ModuleDict):
        return network, None
    name = max(judges, key=lambda each: minimum_size(judges[each]))
    return judges[name], name


def is_recomputable(module: nn.Module) -> bool:
    """Check whether `networks.recomputed.checkpointed` may compute a module twice; false unless declared."""
    return bool(getattr(module, "recomputable", False))
