"""A generator that leaves out what a learned mask marks in its features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.networks.blocks import conv_norm_relu, crop, is_per_sample
from gan_style.networks.contract import Halved, can_join
from gan_style.networks.init import initialize
from gan_style.networks.padding import ReflectionPad2d

SHARE_OF_CHANNELS = 4  # the mask's hidden layer has a fourth of the features' channels


class MaskedGenerator(nn.Module):
    """A generator from B to A with a soft mask m of what A has no counterpart of (Wu et al. 2024).

    The mask is one number for each place of the features f, from two convolutions on them; (1 - m) f is translated.

    Args:
        network: the generator, of two halves (see `networks.contract.Halved`).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        assert isinstance(network, Halved)
        self.network = network
        self.inner_channels, self.inner_stride = network.inner_channels, network.inner_stride
        hidden = max(1, self.inner_channels // SHARE_OF_CHANNELS)
        self.mask = nn.Sequential(
            ReflectionPad2d(1), *conv_norm_relu(self.inner_channels, hidden, 3, norm="none"), nn.Conv2d(hidden, 1, 1)
        )
        initialize(self.mask, "normal", 0.02)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return can_join(self.network) and is_per_sample(self.mask)

    @property
    def noise(self) -> nn.Module | None:
        """The noise that an option of the generator asks for."""
        return getattr(self.network, "noise", None)

    def forward(self, x: Tensor) -> Tensor:
        """Translate [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1], without what is marked."""
        return self.separate(x)[0]

    def separate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return `forward(x)`, the features that were left out [B, C, h, w], and the mask's logits [B, 1, h, w]."""
        features = self.network.encode(x)
        logits = self.mask(features)
        left_out = logits.sigmoid() * features
        return self.network.decode(features - left_out, x), left_out, logits

    def marked(self, x: Tensor) -> Tensor:
        """Return the mask [B, 1, H, W] in [0, 1] of images [B, in_channels, H, W]."""
        return enlarged(self.mask(self.network.encode(x)).sigmoid(), self.inner_stride, x)


def enlarged(marks: Tensor, stride: int, x: Tensor) -> Tensor:
    """Resize a mask [B, 1, h, w] of features to the images [B, C, H, W] that they are of."""
    larger = F.interpolate(marks, scale_factor=float(stride), mode="bilinear")
    return crop(larger, (x.shape[-2], x.shape[-1]))
