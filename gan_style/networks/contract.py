"""What a generator or a discriminator may offer beside passing pictures (docs/networks.md); methods ask here."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Branched(Protocol):
    """A generator that adds a style to a content, y = tanh(content(x) + alpha * style(x))."""

    alpha: float  # strength of the style in training

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Content and style of [B, in_channels, H, W], before the sum and the tanh."""
        ...

    def __call__(self, x: Tensor, alpha: float | None = None) -> Tensor:
        """Translate with the strength of training, or with another one."""
        ...


@runtime_checkable
class Featured(Protocol):
    """A generator whose inner features can be compared, as CUT does."""

    feature_channels: tuple[int, ...]  # of each layer that is compared

    def features(self, x: Tensor) -> list[Tensor]:
        """One [B, C, h, w] per entry of `feature_channels`."""
        ...

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output and the features of one pass."""
        ...


def can_join(network: nn.Module) -> bool:
    """Whether a pass treats every picture by itself, so that batches may be joined; networks that do not say: no."""
    return bool(getattr(network, "per_sample", False))


def minimum_size(network: nn.Module) -> int:
    """The least height and width of what a network takes; 1 where it does not say."""
    return int(getattr(network, "minimum_size", 1))


def is_recomputable(module: nn.Module) -> bool:
    """Whether `networks.recomputed.checkpointed` may compute a module twice; one that does not say: no."""
    return bool(getattr(module, "recomputable", False))
