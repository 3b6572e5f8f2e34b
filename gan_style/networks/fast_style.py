"""The fast style net of Johnson et al. 2016, with the instance norms of Ulyanov et al. 2016: one network, one style."""

from __future__ import annotations

from torch import Tensor, nn

from gan_style.networks.blocks import ReLU, ResidualBlock, Upsample, conv_norm_relu, crop, make_norm, pad_to_multiple
from gan_style.networks.padding import ReflectionPad2d

NORM = "instance_affine"
MULTIPLE = 4  # of the sides of a picture
MINIMUM_SIZE = 8  # because borders are reflected by 4


class FastStyleGenerator(nn.Module):
    """Image transformation network: 9x9 convolutions at full size, residual blocks at a quarter, nearest neighbours up.

    Args:
        in_channels, out_channels: of the pictures.
        filters: channels at full size.
        blocks: residual blocks.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 3, *, filters: int = 32, blocks: int = 5) -> None:
        super().__init__()
        layers: list[nn.Module] = [ReflectionPad2d(4), *conv_norm_relu(in_channels, filters, 9, norm=NORM)]
        for width in (filters, 2 * filters):
            layers += [ReflectionPad2d(1), *conv_norm_relu(width, 2 * width, 3, stride=2, norm=NORM)]
        layers += [ResidualBlock(4 * filters, norm=NORM) for _ in range(blocks)]
        for width in (4 * filters, 2 * filters):
            layers += [Upsample(width, width // 2, "resize"), make_norm(NORM, width // 2), ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, ReflectionPad2d(4), nn.Conv2d(filters, out_channels, 9))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1]; there is no activation but the clamp."""
        padded, size = pad_to_multiple(x, MULTIPLE, MINIMUM_SIZE)
        image: Tensor = crop(self.layers(padded), size)
        return image.clamp(-1, 1)
