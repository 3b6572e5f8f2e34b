"""The generator of SANTA: a path from a picture of A to one of B, along a position d in [0, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.types import Count, Positive
from gan_style.networks.blocks import ResidualBlock, Upsample, crop, is_per_sample, pad_to_multiple
from gan_style.networks.init import initialize
from gan_style.networks.padding import ReflectionPad2d
from gan_style.networks.resnet import DOWNSAMPLING, MIN_SIDE_PIXELS, stem
from gan_style.networks.styled import AdaptiveInstanceNorm, StyledResidualBlock


class PathGenerator(nn.Module):
    """Generator G(x, d): an encoder of half of the residual blocks, and a decoder whose norms follow d.

    d = 0 gives back a picture of A and d = 1 translates it to B (Xie et al. 2023). The layers are those of
    `ResnetGenerator`, anti-aliased as the official CUT code's; the code of d lies on the line between two learned ones.
    11,427,731 parameters with the defaults.

    Args:
        in_channels: of the input picture.
        out_channels: of the output picture.
        filters: channels of the first layer.
        blocks: residual blocks, of which the encoder has half, rounded down.
        domain_size: length of the codes of the domains.
        upsample: ``bilinear``, ``resize``, ``deconv``, ``pixelshuffle`` or ``blur``.
        downsample: ``blur`` or ``stride``.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    graded = True  # forward takes a strength

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        filters: Count = 64,
        blocks: Count = 9,
        domain_size: Count = 8,
        upsample: str = "bilinear",
        downsample: str = "blur",
        init: str = "xavier",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        wide = 4 * filters
        encoding = [ResidualBlock(wide) for _ in range(blocks // 2)]
        self.encoder = nn.Sequential(*stem(in_channels, filters, downsample=downsample), *encoding)
        self.blocks = nn.ModuleList(StyledResidualBlock(wide, domain_size) for _ in range(blocks - blocks // 2))
        self.up = nn.ModuleList(Upsample(2 * width, width, upsample) for width in (2 * filters, filters))
        self.norms = nn.ModuleList(AdaptiveInstanceNorm(width, domain_size) for width in (2 * filters, filters))
        self.last = nn.Sequential(ReflectionPad2d(3), nn.Conv2d(filters, out_channels, 7))
        self.domains = nn.Parameter(torch.randn(2, domain_size))  # the codes of A and B
        initialize(self, init, init_gain)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, x: Tensor, d: float | Tensor = 1.0) -> Tensor:
        """Translate [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1]; any H, W >= 1.

        Args:
            x: the pictures.
            d: position on the path of all pictures, or of each, [B].
        """
        return crop(self.decode(self.encode(x), d), (x.shape[-2], x.shape[-1]))

    def encode(self, x: Tensor) -> Tensor:
        """Return the features [B, 4 filters, h, w] of [B, in_channels, H, W], padded."""
        features: Tensor = self.encoder(pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)[0])
        return features

    def decode(self, features: Tensor, d: float | Tensor = 1.0) -> Tensor:
        """Decode features at positions d, see `forward`, to a picture that is still padded, see `crop`."""
        return torch.tanh(self.path(features, d)[-1])

    def path(self, features: Tensor, d: float | Tensor) -> list[Tensor]:
        """Return the five maps whose change along the path SANTA holds down, as the official code takes them.

        They are the first and the fourth block of the decoder, the two convolutions that enlarge, before their norm,
        and the last one, before its tanh; of fewer blocks the last in place of the fourth.
        """
        code = self._code(d, features)
        found, x = [], features
        for number, block in enumerate(self.blocks):
            x = block(x, code)
            if number in (0, min(3, len(self.blocks) - 1)):
                found.append(x)
        for up, norm in zip(self.up, self.norms, strict=True):
            x = up(x)
            found.append(x)
            x = F.relu(norm(x, code))
        return [*found, self.last(x)]

    def _code(self, d: float | Tensor, like: Tensor) -> Tensor:
        """Return the code of each position, [B, domain_size], or [1, domain_size] of one for all."""
        position = d.to(like) if isinstance(d, Tensor) else torch.full((1,), d, dtype=like.dtype, device=like.device)
        start, end = self.domains.to(like.dtype)
        return start + position.reshape(-1, 1) * (end - start)
