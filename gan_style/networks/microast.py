"""Two micro encoders, a modulator and a decoder, without a VGG (Wang et al. 2023, sections 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.init import ones_

from gan_style.networks.blocks import InstanceNorm2d
from gan_style.networks.init import initialize
from gan_style.networks.padding import ReflectionPad2d

WIDTHS = (16, 32, 64)  # channels at full, half and quarter size
WIDTH = WIDTHS[-1]
NEAR, FAR = LEVELS = (0, 1)  # the features before and after an encoder's last residual block
SIGNALS = ("mean", "std", "weight", "bias")  # of a style's code, each [N, levels, WIDTH]
MINIMUM_SIZE = 8  # least side of a picture, because borders are reflected


class ModulatedBlock(nn.Module):
    """Residual block whose convolutions a style may change: each gives `weight * convolution(x) + bias * x`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = _convolution(WIDTH, WIDTH, 3), _convolution(WIDTH, WIDTH, 3)
        self.relu = nn.ReLU()
        initialize(self, "kaiming")
        with torch.no_grad():
            self.second.get_parameter("1.weight").mul_(0.1)  # a block begins near the identity, and learns faster

    def forward(self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Map [B, WIDTH, h, w] to the same shape, h, w >= 2; a style's weight and bias are [B or 1, WIDTH, 1, 1]."""
        if weight is None or bias is None:
            return x + self.second(self.relu(self.first(x)))
        y = self.relu(self.first(x) * weight + x * bias)
        return x + (self.second(y) * weight + y * bias)


class MicroEncoder(nn.Module):
    """Encoder to a quarter of the size, with separable convolutions where the picture is large.

    Args:
        in_channels: of the picture.
    """

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(in_channels, WIDTHS[0], 9), nn.ReLU()]
        for before, after in pairwise(WIDTHS):
            layers += [_convolution(before, after, 3, stride=2, groups=before), nn.ReLU()]
            layers += [nn.Conv2d(after, after, 1), nn.ReLU()]
        # Torch's own weights would tell a decoder a hundredth of what styles differ by.
        self.near = nn.Sequential(*layers)
        initialize(self.near, "kaiming")
        self.near.append(ModulatedBlock())
        self.far = ModulatedBlock()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode [B, in_channels, H, W], H, W >= 8, as two maps [B, WIDTH, H / 4, W / 4], rounded up."""
        near = self.near(x)
        return near, self.far(near)


class Modulator(nn.Module):
    """Predicts from a style's features how it changes the decoder's convolutions."""

    def __init__(self) -> None:
        super().__init__()
        weights, biases = ([_convolution(WIDTH, WIDTH, 3, groups=WIDTH) for _ in LEVELS] for _ in range(2))
        self.weights, self.biases = nn.ModuleList(weights), nn.ModuleList(biases)
        initialize(self, "normal", 0.05)
        for convolution in weights:
            ones_(convolution.get_parameter("1.bias"))  # a new decoder begins with its convolutions nearly as they are

    def forward(self, features: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return weights and biases [N, levels, WIDTH] of the features of N styles, each [N, WIDTH, h, w]."""
        weights, biases = (
            torch.stack([layer(x).flatten(2).mean(-1) for layer, x in zip(layers, features, strict=True)], 1)
            for layers in (self.weights, self.biases)
        )
        return weights, biases


class MicroDecoder(nn.Module):
    """Decoder that gives the features of a content the statistics of a style, at two levels, and makes a picture.

    Args:
        out_channels: of the picture.
    """

    def __init__(self, out_channels: int = 3) -> None:
        super().__init__()
        self.norms = nn.ModuleList(InstanceNorm2d(WIDTH) for _ in LEVELS)  # a video smooths their statistics
        self.blocks = nn.ModuleList(ModulatedBlock() for _ in LEVELS)
        layers: list[nn.Module] = []
        for before, after in pairwise(reversed(WIDTHS)):
            layers += [nn.Upsample(scale_factor=2, mode="bilinear")]
            layers += [_convolution(before, after, 3, groups=after), nn.ReLU()]
            layers += [nn.Conv2d(after, after, 1), nn.ReLU()]
        last = _convolution(WIDTHS[0], out_channels, 9)
        self.layers = nn.Sequential(*layers, last)
        initialize(self.layers, "kaiming")
        with torch.no_grad():
            last.get_parameter("1.weight").mul_(0.25)  # pictures begin inside [-1, 1]

    def forward(self, x: Tensor, code: Mapping[str, Tensor]) -> Tensor:
        """Decode to a picture, about [-1, 1], four times as high and wide.

        Args:
            x: the far features of a content, [B, WIDTH, h, w].
            code: mean, std, weight and bias of the style, each [B or 1, levels, WIDTH].
        """
        for level in (FAR, NEAR):
            mean, std, weight, bias = (code[name][:, level, :, None, None] for name in SIGNALS)
            x = torch.addcmul(mean, std / unbiasing(x), self.norms[level](x))
            x = self.blocks[level](x, weight, bias)
        image: Tensor = self.layers(x)
        return image


def unbiasing(x: Tensor) -> float:
    """Return the factor from the standard deviation of a channel over [B, C, h, w] to the unbiased one."""
    count = x.shape[-2] * x.shape[-1]
    factor: float = (count / (count - 1)) ** 0.5  # no float(...), which would fix the size of an exported graph
    return factor


def _convolution(before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(ReflectionPad2d(kernel // 2), nn.Conv2d(before, after, kernel, stride, groups=groups))
