"""Discriminators with an output per style, and one on features of a frozen VGG. They return logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.types import Count, CountOrNone, Levels, Positive
from gan_style.networks.blocks import add_spectral_norm, is_per_sample
from gan_style.networks.init import initialize
from gan_style.networks.patchgan import PatchDiscriminator
from gan_style.networks.vgg import VGG


class ConditionalDiscriminator(PatchDiscriminator):
    """PatchGAN D(y, s) with one output channel per style, chosen by the label (Choi et al. 2020).

    Args:
        in_channels: of the picture.
        styles: number of output channels.
        filters: see `PatchDiscriminator`, as the rest.
        layers: likewise.
        norm: likewise; none by default, as in StarGAN v2, because a norm hides colour and contrast.
        spectral: likewise.
        init: likewise.
        init_gain: likewise.
    """

    def __init__(
        self,
        in_channels: int = 3,
        styles: int = 1,
        *,
        filters: Count = 64,
        layers: Levels = 3,
        norm: str = "none",
        spectral: bool = False,
        init: str = "kaiming",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__(in_channels, filters=filters, layers=layers, norm=norm, init=init, init_gain=init_gain)
        last = cast(nn.Conv2d, self.layers[-1])
        self.layers[-1] = nn.Conv2d(last.in_channels, styles, 4, 1, 1)
        initialize(self.layers[-1], init, init_gain)
        if spectral:
            add_spectral_norm(self)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Return logits [B, 1, h, w] of pictures [B, in_channels, H, W] as examples of the styles `label`, int64 [B].

        Without a label there must be one style. H, W >= ``minimum_size``.
        """
        return _logits_of_style(super().forward(x), label)


class VGGDiscriminator(nn.Module):
    """Small trainable heads on some layers of a frozen VGG.

    Features are normalised to mean 0 and variance 1 over each picture's channels and positions together, because
    torchvision's weights and the normalised ones differ in scale. The VGG is held as in `PerceptualLoss`: it is not
    a submodule of this network, and checkpoints do not contain it.

    Args:
        in_channels: of the picture, 1 or 3.
        styles: output channels per layer; 0 or 1 for methods without labels.
        vgg: the features; cut off behind the deepest layer that is used.
        vgg_layers: None takes `relu2_1` and `relu3_1`, as far as the weights reach.
        filters: channels of each head.
        spectral: spectral norm on every convolution.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.

    Raises:
        UserError: a layer that the VGG does not hold, or pictures that it cannot take.
    """

    def __init__(
        self,
        in_channels: int = 3,
        styles: CountOrNone = 0,
        *,
        vgg: VGG,
        vgg_layers: list[str] | None = None,
        filters: Count = 64,
        spectral: bool = False,
        init: str = "kaiming",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        if in_channels not in (1, 3):
            raise UserError(
                f"model/discriminator=vgg judges pictures of 1 or 3 channels, not {in_channels}: "
                "take another discriminator"
            )
        wanted = vgg_layers or [name for name in ("relu2_1", "relu3_1") if name in vgg.layers] or [vgg.depth]
        vgg.require(wanted)
        self.vgg_layers = [name for name in vgg.layers if name in wanted]
        vgg.truncate(self.vgg_layers[-1])
        self._vgg = [vgg]
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, vgg.channels[name], affine=False),
                nn.Conv2d(vgg.channels[name], filters, 3, 1, 1),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(filters, filters, 3, 1, 1),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(filters, max(styles, 1), 1),
            )
            for name in self.vgg_layers
        )
        initialize(self, init, init_gain)
        if spectral:
            add_spectral_norm(self)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, x: Tensor, label: Tensor | None = None) -> list[Tensor]:
        """Return logits [B, 1, h, w] per layer, of pictures [B, in_channels, H, W] in [-1, 1]; any H, W >= 1.

        Args:
            x: the pictures.
            label: int64 [B], the style of each picture; None where there is one style.
        """
        features = self._vgg[0](x, self.vgg_layers)
        heads = zip(self.vgg_layers, self.heads, strict=True)
        return [_logits_of_style(head(features[name]), label) for name, head in heads]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> VGGDiscriminator:
        self._vgg[0]._apply(fn, recurse)  # moves with this network to its device and precision
        super()._apply(fn, recurse)
        return self


def _logits_of_style(maps: Tensor, label: Tensor | None) -> Tensor:
    """Select [B, 1, h, w] from [B, styles, h, w] by the label of each picture."""
    if label is None:
        if maps.shape[1] != 1:
            raise ValueError(f"a discriminator of {maps.shape[1]} styles needs the style of every picture")
        return maps
    return maps[torch.arange(len(maps), device=maps.device), label].unsqueeze(1)
