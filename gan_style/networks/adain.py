"""Adaptive instance normalisation, and the decoder that turns its features into a picture."""

from __future__ import annotations

from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.networks.blocks import Upsample
from gan_style.networks.init import initialize
from gan_style.networks.padding import ReflectionPad2d
from gan_style.networks.vgg import BLOCKS, WIDTHS


def adain(features: Tensor, mean: Tensor, std: Tensor, eps: float = 1e-5) -> Tensor:
    """Give every channel the mean and standard deviation of a style (Huang and Belongie 2017, eq. 8).

    Args:
        features: [B, C, h, w].
        mean, std: [B, C], or [1, C] for all.
        eps: added to the variance of `features`.
    """
    flat = features.flatten(2)
    own_mean = flat.mean(dim=-1)[..., None, None]
    own_std = (flat.var(dim=-1, correction=0) + eps).sqrt()[..., None, None]
    return (features - own_mean) / own_std * std[..., None, None] + mean[..., None, None]


class AdaINDecoder(nn.Module):
    """Mirrored VGG, from the first layer of a block back to a picture (Huang and Belongie 2017, section 6).

    Reflection padding, no norm, which would undo what AdaIN did, and no tanh: the features are large at first, and a
    saturated tanh passes no gradient on. The output is clamped where it is shown or saved.

    Args:
        depth: the layer that it inverts: `relu2_1`, `relu3_1`, `relu4_1` or `relu5_1`.
        arch: of the VGG that it mirrors.
        upsample: `resize` as in the paper, `deconv`, `pixelshuffle` or `blur`.
        out_channels: of the picture.

    Raises:
        UserError: another layer.
    """

    def __init__(
        self, depth: str = "relu4_1", *, arch: str = "vgg19", upsample: str = "resize", out_channels: int = 3
    ) -> None:
        super().__init__()
        known = [f"relu{block}_1" for block in range(2, 6)]
        if depth not in known:
            raise UserError(
                f"a decoder starts at the first layer of a block, not at {depth}: take one of {', '.join(known)}"
            )
        block = int(depth[4]) - 1  # from 0, as WIDTHS
        layers = _convolution(WIDTHS[block], WIDTHS[block - 1])
        for level in reversed(range(block)):
            width = WIDTHS[level]
            layers += [Upsample(width, width, upsample), nn.ReLU(inplace=True)]
            for _ in range(BLOCKS[arch][level] - 2):
                layers += _convolution(width, width)
            if level > 0:
                layers += _convolution(width, WIDTHS[level - 1])
        self.layers = nn.Sequential(*layers, ReflectionPad2d(1), nn.Conv2d(WIDTHS[0], out_channels, 3))
        self.multiple = 2**block
        initialize(self, "kaiming")

    def forward(self, features: Tensor) -> Tensor:
        """Decode [B, C, h, w] to a picture [B, out_channels, m h, m w], about [-1, 1], m = `multiple`."""
        image: Tensor = self.layers(features)
        return image


def _convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [ReflectionPad2d(1), nn.Conv2d(in_channels, out_channels, 3), nn.ReLU(inplace=True)]
