"""A generator controlled by a style code, and the two networks that make codes (Choi et al. 2020, StarGAN v2)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.types import Count, CountOrNone, Levels, Positive
from gan_style.networks.blocks import InstanceNorm2d, ResidualBlock, Upsample, crop, is_per_sample, pad_to_multiple
from gan_style.networks.init import initialize
from gan_style.networks.padding import ReflectionPad2d, pad
from gan_style.networks.resnet import DOWNSAMPLING, MIN_SIDE_PIXELS, stem


class AdaptiveInstanceNorm(nn.Module):
    """Instance norm whose scale and shift are linear in a style code (Huang and Belongie 2017, eq. 8).

    The scale is 1 + the modulation, so that a code of zeros gives the plain norm, shifted by the bias alone.

    Args:
        channels: of the features.
        style_size: length of the code.
    """

    def __init__(self, channels: int, style_size: int) -> None:
        super().__init__()
        self.norm = InstanceNorm2d(channels)
        self.modulation = nn.Linear(style_size, 2 * channels)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """Normalise features [B, C, h, w] and modulate them by codes [B, style_size]; same shape."""
        scale, shift = self.modulation(s)[..., None, None].chunk(2, dim=1)
        return torch.addcmul(shift, 1 + scale, self.norm(x))


class StyledResidualBlock(nn.Module):
    """Residual block ``x + f(x, s)``: two 3x3 convolutions with reflection padding, each with an adaptive norm.

    Args:
        channels: of input and output.
        style_size: length of the code.
    """

    recomputable = True  # by `networks.recomputed.checkpointed`

    def __init__(self, channels: int, style_size: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3) for _ in range(2))
        self.norms = nn.ModuleList(AdaptiveInstanceNorm(channels, style_size) for _ in range(2))

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """Add f(x, s) to features [B, C, H, W] with codes [B, style_size]; same shape, H, W >= 2."""
        y = self.norms[0](self._convolve(0, x), s)
        return x + self.norms[1](self._convolve(1, F.relu(y)), s)

    def _convolve(self, index: int, x: Tensor) -> Tensor:
        y: Tensor = self.convolutions[index](pad(x, (1, 1, 1, 1), "reflect"))
        return y


class StyledGenerator(nn.Module):
    """Generator G(x, s): an encoder with instance norm, independent of the style, and a decoder modulated by s.

    The layers are those of `ResnetGenerator`; from the middle on every norm takes its scale and shift from s
    (Choi et al. 2020, section 2.1).

    Args:
        in_channels: of the input picture.
        out_channels: of the output picture.
        style_size: length of the code.
        filters: channels of the first layer.
        blocks: residual blocks of the encoder, and as many modulated ones.
        upsample: ``resize``, ``deconv``, ``pixelshuffle`` or ``blur``.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        style_size: int = 64,
        *,
        filters: Count = 64,
        blocks: CountOrNone = 3,
        upsample: str = "resize",
        init: str = "kaiming",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        wide = 4 * filters
        self.encoder = nn.Sequential(*stem(in_channels, filters), *(ResidualBlock(wide) for _ in range(blocks)))
        self.blocks = nn.ModuleList(StyledResidualBlock(wide, style_size) for _ in range(blocks))
        widths = (2 * filters, filters)
        self.ups = nn.ModuleList(Upsample(2 * width, width, upsample) for width in widths)
        self.norms = nn.ModuleList(AdaptiveInstanceNorm(width, style_size) for width in widths)
        self.last = nn.Sequential(ReflectionPad2d(3), nn.Conv2d(filters, out_channels, 7), nn.Tanh())
        initialize(self, init, init_gain)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """Translate [B, in_channels, H, W] by codes [B, style_size] to [B, out_channels, H, W] in [-1, 1]; any H, W."""
        return crop(self.decode(self.encode(x), s), (x.shape[-2], x.shape[-1]))

    def encode(self, x: Tensor) -> Tensor:
        """Return the features of a picture that do not depend on the style: [B, 4 filters, h, w], padded."""
        features: Tensor = self.encoder(pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)[0])
        return features

    def decode(self, features: Tensor, s: Tensor) -> Tensor:
        """Decode what `encode` gave to a picture [B, out_channels, 4 h, 4 w]; still padded, see `crop`."""
        y = features
        for block in self.blocks:
            y = block(y, s)
        for up, norm in zip(self.ups, self.norms, strict=True):
            y = F.relu(norm(up(y), s))
        image: Tensor = self.last(y)
        return image


class StyleEncoder(nn.Module):
    """Encoder E(y) of the style code of a picture of any size; without a label, so that the style may be unseen.

    Strided convolutions without a norm, which would remove colour and contrast, then the mean over all positions.

    Args:
        in_channels: of the picture.
        style_size: length of the code.
        filters: channels of the first layer; doubled at each layer up to eight times.
        layers: convolutions of stride 2.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    def __init__(
        self,
        in_channels: int = 3,
        style_size: int = 64,
        *,
        filters: Count = 32,
        layers: Levels = 4,
        init: str = "kaiming",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        self.minimum_size = 2**layers
        widths = [in_channels, *(filters * min(2**layer, 8) for layer in range(layers))]
        modules: list[nn.Module] = []
        for a, b in pairwise(widths):
            modules += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*modules)
        self.code = nn.Linear(widths[-1], style_size)
        initialize(self, init, init_gain)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, y: Tensor) -> Tensor:
        """Return codes [B, style_size] of pictures [B, in_channels, H, W]; any H, W >= 1."""
        y, _ = pad_to_multiple(y, 1, self.minimum_size)
        code: Tensor = self.code(self.layers(y).mean(dim=(2, 3)))
        return code


class MappingNetwork(nn.Module):
    """Mapping network F(z, label) of StarGAN v2: random codes of a known style, by a shared trunk and a head per style.

    All heads are computed and one is chosen, so that every head gets a gradient (perhaps zero) in every iteration.

    Args:
        styles: number of heads.
        latent_size: length of z.
        style_size: length of the code.
        width: of the hidden layers; 512 in the paper.
        layers: linear layers of the trunk; each head has one more and the one that gives the code.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    def __init__(
        self,
        styles: int = 1,
        latent_size: int = 16,
        style_size: int = 64,
        *,
        width: Count = 256,
        layers: Levels = 3,
        init: str = "kaiming",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        trunk: list[nn.Module] = []
        for layer in range(layers):
            trunk += [nn.Linear(width if layer else latent_size, width), nn.ReLU(inplace=True)]
        self.trunk = nn.Sequential(*trunk)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, style_size))
            for _ in range(styles)
        )
        initialize(self, init, init_gain)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Return codes [B, style_size] of standard normal z [B, latent_size] and styles int64 [B]."""
        hidden = self.trunk(z)
        codes = torch.stack([head(hidden) for head in self.heads], dim=1)
        return codes[torch.arange(len(z), device=z.device), label]
