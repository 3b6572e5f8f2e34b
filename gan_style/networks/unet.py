"""The U-Net generator of pix2pix."""

from typing import Literal

import torch
from torch import Tensor, nn

from gan_style.core.types import Count, CountOrNone, Levels, Positive, Share
from gan_style.networks.blocks import (
    Upsample,
    add_spectral_norm,
    crop,
    is_per_sample,
    last_convolution,
    make_norm,
    needs_bias,
    pad_to_multiple,
)
from gan_style.networks.heads import HeadName, make_head, start_small
from gan_style.networks.init import initialize
from gan_style.networks.noise import Noise
from gan_style.networks.padding import ReflectionPad2d


class UNetGenerator(nn.Module):
    """Encoder and decoder with a skip connection at every size, then tanh (Isola et al. 2017, section 6.1.1).

    Depth 8 is the paper's network for 256x256, depth 7 the official one for 128x128; with batch norm they
    have 54,413,955 and 41,828,995 parameters.

    Args:
        in_channels: of the input picture.
        out_channels: of the output picture.
        filters: channels of the first layer, 64 in the paper; doubled at each level up to eight times.
        depth: number of halvings, at least 2.
        norm: ``instance``, ``batch`` or ``none``; the outermost and innermost convolutions have none.
        dropout: probability in the decoder levels of full width except the innermost, in [0, 1); a network
            too shallow for such a level gets it next to the innermost.
        upsample: ``deconv`` (4x4), ``resize``, ``pixelshuffle``, ``blur`` or ``bilinear``.
        spectral: spectral norm on every convolution; the last one has none where `head` starts small.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
        head: ``tanh``, or ``residual`` or ``band``, which begin at the input (`gan_style.networks.heads`).
        full_size_skip: let the first level be a 3x3 convolution at full size, with `depth` halvings after it, and the
            last one its counterpart, so that the outermost skip connection has the picture's own resolution.
        fine_filters: channels of another 3x3 convolution at full size, whose output the last one sees beside what it
            saw before: two together draw strokes where one draws speckle. 0 leaves it out; not without
            `full_size_skip`.
        noise: add noise after the norm of every level that doubles the size (`gan_style.networks.noise`).
        padding: of the convolutions that halve the size: ``zeros``, or ``reflect``, which tints no border.

    Raises:
        ValueError: depth below 2, dropout in a network without a level for it, or `fine_filters` without
            `full_size_skip`.
        UserError: a head that begins at the input, with other channels out than in.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        filters: Count = 64,
        depth: Levels = 8,
        norm: str = "instance",
        dropout: Share = 0.0,
        upsample: str = "deconv",
        spectral: bool = False,
        init: str = "normal",
        init_gain: Positive = 0.02,
        head: HeadName = "tanh",
        full_size_skip: bool = False,
        fine_filters: CountOrNone = 0,
        noise: bool = False,
        padding: Literal["zeros", "reflect"] = "zeros",
    ) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"A U-Net needs a depth of at least 2, not {depth}.")
        if depth == 2 and dropout > 0:
            raise ValueError("A U-Net of depth 2 has no level for dropout; take a depth of 3 or more.")
        if fine_filters and not full_size_skip:
            raise ValueError("fine_filters are at full size: a U-Net has them with full_size_skip=true alone.")
        self._multiple = 2**depth
        self.head, self.full_size_skip = make_head(head, in_channels, out_channels), full_size_skip
        widths = [filters * min(2**level, 8) for level in range(depth + full_size_skip)]
        levels = range(1, len(widths))
        self.padding = padding
        self.down = nn.ModuleList([_outer_down(in_channels, widths[0], norm, full_size_skip, padding)])
        self.down.extend(_down(level, widths, norm, padding) for level in levels)
        joined = 2 * widths[0]
        self.fine = _fine(joined, fine_filters) if fine_filters else None
        self.up = nn.ModuleList(_up(level, widths, norm, dropout, upsample) for level in reversed(levels))
        made_channels = out_channels + (self.head.extra_channels if self.head else 0)
        self.up.append(
            _outer_up(joined + fine_filters, made_channels, None if full_size_skip else upsample, tanh=not self.head)
        )
        self.noise = Noise([widths[level - 1] for level in reversed(levels)]) if noise else None
        initialize(self, init, init_gain)
        if self.fine:  # no norm follows, and of small weights its output would be lost beside its input
            nn.init.kaiming_normal_(last_convolution(self.fine).weight, nonlinearity="relu")
        last = last_convolution(self.up[-1]) if self.head else None
        if last is not None:
            start_small(last)
        if spectral:
            add_spectral_norm(self, but=last)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, x: Tensor) -> Tensor:
        """Translate [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1]; any H, W >= 1."""
        image = x
        x, size = pad_to_multiple(x, self._multiple)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        add_noise = self.noise.drawn(x) if self.noise else None
        for level, up in enumerate(self.up):
            if self.fine and not skips:
                x = torch.cat((x, self.fine(x)), dim=1)
            x = up(x)
            if skips:
                x = add_noise(x, level) if add_noise else x
                x = torch.cat((skips.pop(), x), dim=1)
        x = crop(x, size)
        return self.head(x, image) if self.head else x


def _outer_down(in_channels: int, width: int, norm: str, full_size: bool, padding: str) -> nn.Sequential:
    """Build level 0, the outermost, which halves the size or keeps it."""
    if full_size:
        return nn.Sequential(ReflectionPad2d(1), nn.Conv2d(in_channels, width, 3, bias=needs_bias(norm)))
    return nn.Sequential(*_halving(in_channels, width, norm, padding))


def _halving(in_channels: int, out_channels: int, norm: str, padding: str) -> list[nn.Module]:
    """Build the 4x4 convolution that halves the size, and what pads its input."""
    bias = needs_bias(norm)
    if padding == "reflect":
        return [ReflectionPad2d(1), nn.Conv2d(in_channels, out_channels, 4, 2, bias=bias)]
    return [nn.Conv2d(in_channels, out_channels, 4, 2, 1, bias=bias)]


def _fine(width: int, filters: int) -> nn.Sequential:
    """Build the convolution at full size before the last level; that applies a ReLU to its output."""
    return nn.Sequential(nn.ReLU(), ReflectionPad2d(1), nn.Conv2d(width, filters, 3))


def _outer_up(width: int, out_channels: int, mode: str | None, *, tanh: bool) -> nn.Sequential:
    """Build the last level, which doubles the size by a mode of `Upsample`, or keeps it where that is None."""
    relu, activation = nn.ReLU(inplace=True), [nn.Tanh()] if tanh else []
    if mode is None:
        return nn.Sequential(relu, ReflectionPad2d(1), nn.Conv2d(width, out_channels, 3), *activation)
    return nn.Sequential(relu, Upsample(width, out_channels, mode, kernel=4), *activation)


def _down(level: int, widths: list[int], norm: str, padding: str) -> nn.Sequential:
    """Build a level below the outermost, which halves the size."""
    # In place, it changes the skip connection, too; harmless, because the decoder applies a ReLU to it first.
    layers: list[nn.Module] = [
        nn.LeakyReLU(0.2, inplace=True),
        *_halving(widths[level - 1], widths[level], norm, padding),
    ]
    if level < len(widths) - 1:  # the innermost feature map may be a single pixel, which has no variance
        layers.append(make_norm(norm, widths[level]))
    return nn.Sequential(*layers)


def _up(level: int, widths: list[int], norm: str, dropout: float, mode: str) -> nn.Sequential:
    """Build a level that doubles the size; the input of all but the innermost carries the skip connection."""
    innermost = len(widths) - 1
    width = widths[level] if level == innermost else 2 * widths[level]
    convolution = Upsample(width, widths[level - 1], mode, kernel=4, bias=needs_bias(norm))
    layers = [nn.ReLU(inplace=True), convolution, make_norm(norm, widths[level - 1])]
    if dropout > 0 and min(4, innermost - 1) <= level < innermost:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
