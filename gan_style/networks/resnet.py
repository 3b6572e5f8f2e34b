"""The ResNet generator of Johnson et al. 2016, as CycleGAN uses it."""

from torch import Tensor, nn

from gan_style.core.types import Count, CountOrNone, Positive, Share
from gan_style.networks.blocks import (
    DOWNSAMPLES,
    BlurPool,
    ReLU,
    ResidualBlock,
    Upsample,
    add_spectral_norm,
    conv_norm_relu,
    crop,
    is_per_sample,
    make_norm,
    needs_bias,
    pad_to_multiple,
)
from gan_style.networks.heads import HeadName, make_head, start_small
from gan_style.networks.init import initialize
from gan_style.networks.noise import Noise
from gan_style.networks.padding import ReflectionPad2d

DOWNSAMPLING = 4  # two convolutions of stride 2
MIN_SIDE_PIXELS = 8  # pixels a side: the residual blocks then see 2x2, the least for reflection padding by 1 and a norm


def stem(
    in_channels: int, filters: int, norm: str = "instance", downsample: str = "stride", separable: bool = False
) -> list[nn.Module]:
    """Build c7s1-k, d2k, d4k with k = `filters`: from a padded picture to features [B, 4 k, H / 4, W / 4].

    The first convolution is never separable: a picture has few channels.

    Raises:
        ValueError: unknown mode of downsampling.
    """
    if downsample not in DOWNSAMPLES:
        raise ValueError(f"Unknown downsample mode {downsample!r}; choose one of {', '.join(DOWNSAMPLES)}.")
    layers = [ReflectionPad2d(3), *conv_norm_relu(in_channels, filters, 7, norm=norm)]
    for channels in (filters, 2 * filters):
        stride = 2 if downsample == "stride" else 1
        layers += conv_norm_relu(channels, 2 * channels, 3, stride=stride, padding=1, norm=norm, separable=separable)
        layers += [BlurPool()] if downsample == "blur" else []
    return layers


class ResnetGenerator(nn.Module):
    """Generator c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3, tanh (Zhu et al. 2017, section 7.2).

    11,378,179 parameters with the defaults. The order of ``layers`` is the official code's.

    Args:
        in_channels: of the input picture.
        out_channels: of the output picture.
        filters: channels of the first layer, 64 in the paper.
        blocks: residual blocks, 9 from 256x256 on and 6 for 128x128 in the paper.
        norm: ``instance``, ``batch`` or ``none``.
        dropout: probability inside the residual blocks, in [0, 1).
        upsample: ``deconv``, ``resize``, ``pixelshuffle``, ``blur`` or ``bilinear``.
        downsample: ``stride``, or ``blur``, which with `upsample` ``bilinear`` is the official CUT's anti-aliasing.
        separable: make the convolutions between the first and the last of a depthwise and a 1x1 one each, as the
            students of Li et al. 2020 (arXiv:2003.08936, section 3.3) have them: a tenth of the multiplications.
        spectral: spectral norm on every convolution; the last one has none where `head` starts small.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
        head: ``tanh``, or ``residual`` or ``band``, which begin at the input (`gan_style.networks.heads`).
        noise: add noise after the residual blocks and after the norms that follow them (`gan_style.networks.noise`).

    Raises:
        UserError: a head that begins at the input, with other channels out than in.
    """

    feature_channels: tuple[int, ...]
    pair_channels: tuple[int, ...]
    inner_channels: int
    inner_stride = DOWNSAMPLING

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        filters: Count = 64,
        blocks: CountOrNone = 9,
        norm: str = "instance",
        dropout: Share = 0.0,
        upsample: str = "deconv",
        downsample: str = "stride",
        separable: bool = False,
        spectral: bool = False,
        init: str = "normal",
        init_gain: Positive = 0.02,
        head: HeadName = "tanh",
        noise: bool = False,
    ) -> None:
        super().__init__()
        self.head, self.separable = make_head(head, in_channels, out_channels), separable
        wide = 4 * filters
        down = stem(in_channels, filters, norm, downsample, separable)
        residual = [ResidualBlock(wide, norm=norm, dropout=dropout, separable=separable) for _ in range(blocks)]
        up: list[nn.Module] = []
        for channels in (wide, 2 * filters):
            up.append(Upsample(channels, channels // 2, upsample, bias=needs_bias(norm), separable=separable))
            up += [make_norm(norm, channels // 2), ReLU(inplace=True)]
        last = nn.Conv2d(filters, out_channels + (self.head.extra_channels if self.head else 0), 7)
        activation = [] if self.head else [nn.Tanh()]
        self.layers = nn.Sequential(*down, *residual, *up, ReflectionPad2d(3), last, *activation)

        before = len(down) + len(residual)
        self._middle, self.inner_channels = before, wide
        self._noise_levels = {before: 0, before + 2: 1, before + 5: 2}  # index of a layer -> level of noise before it
        self.noise = Noise([wide, 2 * filters, filters]) if noise else None

        # The first and the fifth of nine residual blocks, or the first and the middle one of fewer than five.
        deep = sorted({0, 4 if blocks >= 5 else blocks // 2}) if blocks else []
        self._feature_layers = (0, 4, 7 + (downsample == "blur"), *(len(down) + block for block in deep))
        self.feature_channels = (in_channels, 2 * filters, wide, *(wide for _ in deep))
        # Where sizes meet: after the first convolution, the first halving and the second block, and on the way back.
        middle = [(len(down) + min(1, blocks - 1), len(down) + max(blocks - 3, min(1, blocks - 1)))] if blocks else []
        self._pairs = [(3, before + 5), (6 + (downsample == "blur"), before + 2), *middle]
        self.pair_channels = (filters, 2 * filters, wide)[: len(self._pairs)]
        initialize(self, init, init_gain)
        if self.head:
            start_small(last)
        if spectral:
            add_spectral_norm(self, but=last if self.head else None)

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, x: Tensor) -> Tensor:
        """Translate [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1]; any H, W >= 1."""
        padded, size = pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)
        y = self._decode(padded, 0) if self.noise else self.layers(padded)
        return self._finish(y, size, x)

    def encode(self, x: Tensor) -> Tensor:
        """Return the features after the residual blocks, [B, inner_channels, h, w], of [B, in_channels, H, W]."""
        y, _ = pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)
        return self.layers[: self._middle](y)

    def decode(self, features: Tensor, x: Tensor) -> Tensor:
        """Return the translation that features of `encode` give, of images x of the same size."""
        return self._finish(self._decode(features, self._middle), (x.shape[-2], x.shape[-1]), x)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the features of the five layers where CUT compares patches (Park et al. 2020, section 3.2).

        RGB pixels after the reflection padding, the two downsampling convolutions before their norm, and
        two residual blocks. Nothing beyond the last of them is computed.

        Args:
            x: [B, in_channels, H, W].

        Returns:
            One [B, C, h, w] per entry C of ``feature_channels``.
        """
        x, _ = pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)
        return self._encode(x)[1]

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return ``forward(x)`` and ``features(x)``, computed in one pass."""
        padded, size = pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)
        y, features = self._encode(padded)
        return self._finish(self._decode(y, self._feature_layers[-1] + 1), size, x), features

    def forward_with_pairs(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Return ``forward(x)``, and maps of the encoder with the decoder's of the same size (Cai et al. 2024).

        Args:
            x: [B, in_channels, H, W].

        Returns:
            The pictures, and one pair of [B, C, h, w] per entry C of ``pair_channels``.
        """
        padded, size = pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)
        kept = dict.fromkeys(index for pair in self._pairs for index in pair)
        y = self._decode(padded, 0, kept)
        return self._finish(y, size, x), [(kept[a], kept[b]) for a, b in self._pairs]  # type: ignore[misc]

    def _decode(self, y: Tensor, first: int, kept: dict[int, Tensor | None] | None = None) -> Tensor:
        """Compute the layers from the one of an index on, with noise between them; `kept` gets those that it names."""
        add_noise = self.noise.drawn(y) if self.noise else None
        for index in range(first, len(self.layers)):
            if add_noise and index in self._noise_levels:
                y = add_noise(y, self._noise_levels[index])
            y = self.layers[index](y)
            if kept is not None and index in kept:
                kept[index] = y
        return y

    def _finish(self, y: Tensor, size: tuple[int, int], image: Tensor) -> Tensor:
        y = crop(y, size)
        return self.head(y, image) if self.head else y

    def _encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for index in range(self._feature_layers[-1] + 1):
            x = self.layers[index](x)
            if index in self._feature_layers:
                features.append(x)
        return x, features
