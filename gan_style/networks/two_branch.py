"""A generator that adds a style to a content, y = tanh(content(x) + alpha * style(x))."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_style.core.types import Count, CountOrNone, Levels, Positive, Share, Weight
from gan_style.networks.blocks import is_per_sample
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.unet import UNetGenerator


class TwoBranchGenerator(nn.Module):
    """Generator of a content and a style network side by side; `branches` gives the output of each.

    The content branch is a small U-Net, whose skip connections carry outlines; the style branch is a ResNet, which
    sees textures. Their last tanh is replaced by one over the sum.

    Args:
        in_channels: of the input picture.
        out_channels: of the output picture.
        alpha: strength of the style branch, 1 in training; `forward` takes another one.
        filters: channels of the first layer of both.
        depth: halvings of the content branch.
        blocks: residual blocks of the style branch.
        norm, dropout, upsample, spectral, init, init_gain: of both, see `ResnetGenerator`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        alpha: Weight = 1.0,
        filters: Count = 32,
        depth: Levels = 3,
        blocks: CountOrNone = 6,
        norm: str = "instance",
        dropout: Share = 0.0,
        upsample: str = "resize",
        spectral: bool = False,
        init: str = "normal",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        common = {"filters": filters, "norm": norm, "dropout": dropout, "upsample": upsample}
        common |= {"spectral": spectral, "init": init, "init_gain": init_gain}
        self.content = UNetGenerator(in_channels, out_channels, depth=depth, **common)  # type: ignore[arg-type]
        self.style = ResnetGenerator(in_channels, out_channels, blocks=blocks, **common)  # type: ignore[arg-type]
        self.content.up[-1][-1] = nn.Identity()  # type: ignore[operator]
        self.style.layers[-1] = nn.Identity()

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return content and style, [B, out_channels, H, W] each, before the sum and the tanh."""
        return self.content(x), self.style(x)

    def forward(self, x: Tensor, alpha: float | None = None) -> Tensor:
        """Translate [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1]."""
        content, style = self.branches(x)
        return torch.tanh(content + (self.alpha if alpha is None else alpha) * style)
