"""Small networks of StyleGAN2's parts for training on one picture (Park et al. 2020, section 4.5; Karras et al. 2020).

Weights are N(0, 1) and scaled where they are used, so that one learning rate fits all layers; there is no norm and no
style.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.types import Count, CountOrNone, Levels
from gan_style.networks.blocks import crop, is_per_sample, pad_to_multiple
from gan_style.networks.noise import Noise

LEAKY_SLOPE, LEAKY_GAIN = 0.2, math.sqrt(2)  # of the leaky ReLU, and of what it takes from the variance
LAST_SIDE = 4  # of the map that becomes one logit
MIN_SIDE_PIXELS = 4


def smoothed(x: Tensor, before: int, after: int, gain: float = 1.0) -> Tensor:
    """Blur [B, C, H, W] by 1-3-3-1 after so many zeros above and left, and below and right; 3 pixels are lost."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 8
    taps = taps.to(x.device, non_blocking=True)  # else a GPU is waited for
    kernel = (gain * taps.outer(taps)).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, (before, after, before, after)), kernel, groups=x.shape[1])


class ScaledConv(nn.Module):
    """A convolution whose weights are divided by the root of the number of its inputs, and a leaky ReLU.

    Args:
        in_channels, out_channels, kernel: of the convolution; zeros are around the input.
        halve: half the height and width, after a blur.
        bias: whether there is one.
        activate: whether there is a leaky ReLU.
        padding: zeros around the input, unless halved; None keeps the size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        halve: bool = False,
        bias: bool = True,
        activate: bool = True,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.scale = 1 / math.sqrt(in_channels * kernel**2)
        self.halve, self.activate = halve, activate
        self.padding = kernel // 2 if padding is None else padding

    def forward(self, x: Tensor) -> Tensor:
        weight = self.scale * self.weight
        if self.halve:
            margin = self.weight.shape[-1] // 2 + 1
            y = F.conv2d(smoothed(x, margin, margin), weight, self.bias, stride=2)
        else:
            y = F.conv2d(x, weight, self.bias, padding=self.padding)
        return F.leaky_relu(y, LEAKY_SLOPE) * LEAKY_GAIN if self.activate else y


class Residual(nn.Module):
    """Two convolutions beside a skip connection, which is a 1x1 convolution where sizes change.

    Args:
        in_channels, out_channels: of input and output.
        halve: half the height and width.
    """

    recomputable = True  # by `networks.recomputed.checkpointed`

    def __init__(self, in_channels: int, out_channels: int, *, halve: bool = False) -> None:
        super().__init__()
        self.first = ScaledConv(in_channels, in_channels, 3)
        self.second = ScaledConv(in_channels, out_channels, 3, halve=halve)
        self.skip: nn.Module = nn.Identity()
        if halve or in_channels != out_channels:
            self.skip = ScaledConv(in_channels, out_channels, 1, halve=halve, bias=False, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        return (self.second(self.first(x)) + self.skip(x)) / LEAKY_GAIN


class Doubled(nn.Module):
    """A transposed convolution to twice the size, whose weights to each channel have length 1, and a blur."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge [B, C, H, W]; the bias and the leaky ReLU come after the noise, by `activated`."""
        weight = self.weight / math.sqrt(self.weight[0].numel())
        weight = weight * (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        return smoothed(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 1, 1, gain=4.0)

    def activated(self, x: Tensor) -> Tensor:
        """Add the bias, and take the leaky ReLU."""
        return F.leaky_relu(x + self.bias[:, None, None], LEAKY_SLOPE) * LEAKY_GAIN


class StyleGAN2Generator(nn.Module):
    """Generator of SinCUT: one halving, residual blocks, and one doubling with noise after it.

    The last layer is a 1x1 convolution and a tanh; the official code has a leaky ReLU there, which leaves [-1, 1].

    Args:
        in_channels: of the input picture.
        out_channels: of the output picture.
        filters: channels at full size, 80 in the official code; twice as many at half size.
        blocks: residual blocks, half of them the encoder's.
        noise: whether noise is added after the doubling, with a strength that is learned from 0 on.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        filters: Count = 80,
        blocks: CountOrNone = 6,
        noise: bool = True,
    ) -> None:
        super().__init__()
        wide, encoding = 2 * filters, blocks - blocks // 2
        self.encoder = nn.Sequential(
            ScaledConv(in_channels, filters, 1),
            Residual(filters, wide, halve=True),
            *(Residual(wide, wide) for _ in range(encoding)),
        )
        self.decoder = nn.Sequential(*(Residual(wide, wide) for _ in range(blocks // 2)))
        self.up = Doubled(wide, filters)
        self.noise = Noise([1]) if noise else None
        if self.noise:
            nn.init.zeros_(self.noise.strengths[0])
        self.last = ScaledConv(filters, out_channels, 1, activate=False)
        # What the halving gives, and what the second of its blocks does.
        self._feature_layers = (1, 1 + min(2, encoding)) if encoding else (1,)
        self.feature_channels = (in_channels, *(wide for _ in self._feature_layers))

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, x: Tensor) -> Tensor:
        """Translate [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1]; any H, W >= 1."""
        return self.forward_with_features(x)[0]

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the pixels and the maps at half size where SinCUT compares patches, one per `feature_channels`."""
        return self._encode(pad_to_multiple(x, 2, MIN_SIDE_PIXELS)[0], self._feature_layers[-1])[1]

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return ``forward(x)`` and ``features(x)``, computed in one pass."""
        padded, size = pad_to_multiple(x, 2, MIN_SIDE_PIXELS)
        y, features = self._encode(padded, len(self.encoder) - 1)
        y = self.up(self.decoder(y))
        if self.noise:
            y = self.noise.drawn(y)(y, 0)
        return crop(self.last(self.up.activated(y)).tanh(), size), features

    def _encode(self, x: Tensor, last: int) -> tuple[Tensor, list[Tensor]]:
        features = [x]
        for index in range(last + 1):
            x = self.encoder[index](x)
            if index in self._feature_layers:
                features.append(x)
        return x, features


class StyleGAN2Discriminator(nn.Module):
    """Discriminator of SinCUT: residual blocks down to 4x4 places, each window of which gives a logit.

    With four layers it judges pictures of 64 pixels as a whole.

    Args:
        in_channels: of the picture.
        filters: channels at full size, 32 in the official code; doubled at each layer.
        layers: halvings.
        max_filters: most channels of a layer.
    """

    def __init__(
        self, in_channels: int = 3, *, filters: Count = 32, layers: Levels = 4, max_filters: Count = 384
    ) -> None:
        super().__init__()
        widths = [min(filters * 2**layer, max_filters) for layer in range(layers + 1)]
        self.stride = 2**layers
        self.layers = nn.Sequential(
            ScaledConv(in_channels, widths[0], 1),
            *(Residual(a, b, halve=True) for a, b in itertools.pairwise(widths)),
            ScaledConv(widths[-1], widths[-1], 3),
            ScaledConv(widths[-1], widths[-1], LAST_SIDE, padding=0),
        )
        self.last = ScaledConv(widths[-1], 1, 1, activate=False)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [B, 1, h, w] of pictures [B, in_channels, H, W]; those of fewer than 64 pixels are padded."""
        padded, _ = pad_to_multiple(x, self.stride, LAST_SIDE * self.stride)
        return self.last(self.layers(padded))
