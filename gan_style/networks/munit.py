"""The networks of MUNIT, and of UNIT as its limit without styles: an autoencoder of each domain.

Huang et al. 2018, arXiv:1804.04732, appendix B.2, for both; UNIT's own (Liu et al. 2017, arXiv:1703.00848) came before
them and had strided transposed convolutions. The papers do not say how convolutions are padded: here by reflection.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from gan_style.core.types import Count, CountOrNone, Levels, Positive
from gan_style.networks.blocks import InstanceNorm2d, ReLU, ResidualBlock, crop, is_per_sample, pad_to_multiple
from gan_style.networks.init import initialize
from gan_style.networks.padding import ReflectionPad2d
from gan_style.networks.resnet import DOWNSAMPLING, MIN_SIDE_PIXELS
from gan_style.networks.styled import StyledResidualBlock


def downsampling(widths: Sequence[int], *, norm: bool) -> list[nn.Module]:
    """Build a 7x7 convolution, then 4x4 ones of stride 2, each with a ReLU.

    Args:
        widths: channels of the picture, of the first layer, and of each that halves.
        norm: instance norm before each ReLU; a style encoder has none, which would remove colour and contrast.
    """
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(widths)):
        kernel, stride, padding = (4, 2, 1) if number else (7, 1, 3)
        layers += [ReflectionPad2d(padding), nn.Conv2d(before, after, kernel, stride)]
        layers += [InstanceNorm2d(after)] if norm else []
        layers.append(ReLU(inplace=True))
    return layers


def upsampling(filters: int, out_channels: int) -> nn.Sequential:
    """Build twice nearest neighbours, a 5x5 convolution and a layer norm, then a 7x7 convolution and a tanh.

    The layer norm, over channels and places, keeps what an instance norm would take away: how the channels' means
    differ, which is what the style has set.
    """
    layers: list[nn.Module] = []
    for width in (2 * filters, filters):
        layers += [nn.Upsample(scale_factor=2), ReflectionPad2d(2), nn.Conv2d(2 * width, width, 5)]
        layers += [nn.GroupNorm(1, width), ReLU(inplace=True)]
    return nn.Sequential(*layers, ReflectionPad2d(3), nn.Conv2d(filters, out_channels, 7), nn.Tanh())


class MUNITGenerator(nn.Module):
    """Content encoder and decoder of one domain, G(c, s): residual blocks whose instance norms follow the style.

    The parameters of all those norms come from one perceptron of the style; its last layer lies in the norms, as the
    linear maps of `AdaptiveInstanceNorm`. 12,261,251 parameters with the defaults and a style of 8 numbers.

    Args:
        in_channels: of the picture that is encoded.
        out_channels: of the picture that is decoded.
        style_size: length of the style code.
        filters: channels of the first layer.
        blocks: residual blocks of the encoder, and as many of the decoder.
        width: of the perceptron's hidden layers.
        layers: linear layers of the perceptron, the one in the norms included; at least 1.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        style_size: int = 8,
        *,
        filters: Count = 64,
        blocks: CountOrNone = 4,
        width: Count = 256,
        layers: Levels = 3,
        init: str = "kaiming",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        wide = 4 * filters
        encoding = downsampling((in_channels, filters, 2 * filters, wide), norm=True)
        self.encoder = nn.Sequential(*encoding, *(ResidualBlock(wide) for _ in range(blocks)))
        sizes = [style_size, *(width for _ in range(layers - 1))]
        hidden: list[nn.Module] = []
        for before, after in pairwise(sizes):
            hidden += [nn.Linear(before, after), nn.ReLU(inplace=True)]
        self.perceptron = nn.Sequential(*hidden)
        self.blocks = nn.ModuleList(StyledResidualBlock(wide, sizes[-1]) for _ in range(blocks))
        self.decoder = upsampling(filters, out_channels)
        initialize(self, init, init_gain)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """Give pictures [B, in_channels, H, W] the styles [B, style_size], within the domain; any H, W >= 1."""
        return crop(self.decode(self.encode(x), s), (x.shape[-2], x.shape[-1]))

    def encode(self, x: Tensor) -> Tensor:
        """Return the content codes [B, 4 filters, h, w] of [B, in_channels, H, W], padded."""
        content: Tensor = self.encoder(pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)[0])
        return content

    def decode(self, content: Tensor, s: Tensor) -> Tensor:
        """Decode contents and styles [B, style_size] to a picture [B, out_channels, 4 h, 4 w]; see `crop`."""
        hidden = self.perceptron(s)
        for block in self.blocks:
            content = block(content, hidden)
        image: Tensor = self.decoder(content)
        return image


class MUNITStyleEncoder(nn.Module):
    """Style encoder of one domain: convolutions without a norm, the mean over all places, and a linear layer.

    2,764,936 parameters with the defaults and a style of 8 numbers.

    Args:
        in_channels: of the picture.
        style_size: length of the style code.
        filters: channels of the first layer; doubled at each layer up to four times.
        layers: convolutions of stride 2.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    def __init__(
        self,
        in_channels: int = 3,
        style_size: int = 8,
        *,
        filters: Count = 64,
        layers: Levels = 4,
        init: str = "kaiming",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        # The 7x7 convolution is padded by 3, and the last of stride 2 by 1: reflections want more than that.
        self.minimum_size = max(2**layers, 4)
        widths = [in_channels, *(filters * min(2**layer, 4) for layer in range(layers + 1))]
        self.layers = nn.Sequential(*downsampling(widths, norm=False))
        self.code = nn.Linear(widths[-1], style_size)
        initialize(self, init, init_gain)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, y: Tensor) -> Tensor:
        """Return style codes [B, style_size] of pictures [B, in_channels, H, W]; any H, W >= 1."""
        padded, _ = pad_to_multiple(y, 1, self.minimum_size)
        code: Tensor = self.code(self.layers(padded).mean(dim=(2, 3)))
        return code


class UNITGenerator(nn.Module):
    """Encoder and decoder of one domain without a style; `UNIT` puts `SharedBlocks` between the two.

    The layers are those of `MUNITGenerator` with plain norms.

    Args:
        in_channels: of the picture that is encoded.
        out_channels: of the picture that is decoded.
        filters: channels of the first layer.
        blocks: residual blocks of the encoder, and as many of the decoder.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        filters: Count = 64,
        blocks: CountOrNone = 3,
        init: str = "kaiming",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        self.channels = 4 * filters  # of the maps between encoder and decoder
        encoding = downsampling((in_channels, filters, 2 * filters, self.channels), norm=True)
        self.encoder = nn.Sequential(*encoding, *(ResidualBlock(self.channels) for _ in range(blocks)))
        decoding = (ResidualBlock(self.channels) for _ in range(blocks))
        self.decoder = nn.Sequential(*decoding, *upsampling(filters, out_channels))
        initialize(self, init, init_gain)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1]; any H, W >= 1."""
        return crop(self.decode(self.encode(x)), (x.shape[-2], x.shape[-1]))

    def encode(self, x: Tensor) -> Tensor:
        """Return maps [B, channels, h, w] of [B, in_channels, H, W], padded."""
        y: Tensor = self.encoder(pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)[0])
        return y

    def decode(self, y: Tensor) -> Tensor:
        """Decode maps [B, channels, h, w] to a picture [B, out_channels, 4 h, 4 w]; see `crop`."""
        image: Tensor = self.decoder(y)
        return image


class SharedBlocks(nn.Module):
    """Blocks that UNIT's domains share: the last of the encoders, and the first of the decoders.

    Args:
        channels: of the maps.
        blocks: residual blocks on each side of the latent; at least 1, else nothing ties the domains together.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    def __init__(self, channels: int, *, blocks: Count = 1, init: str = "kaiming", init_gain: Positive = 0.02) -> None:
        super().__init__()
        self.encoder, self.decoder = (
            nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks))) for _ in range(2)
        )
        initialize(self, init, init_gain)
