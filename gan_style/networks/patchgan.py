"""Discriminators that judge patches, pixels, or patches at several sizes. They return logits, no sigmoid."""

from collections.abc import Iterator
from typing import Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.types import Count, Levels, Positive
from gan_style.networks.blocks import BlurPool, add_spectral_norm, is_per_sample, make_norm, needs_bias
from gan_style.networks.init import initialize


class _SequentialDiscriminator(nn.Module):
    """Base of the discriminators that are one plain sequence of convolutions."""

    layers: nn.Sequential

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    @property
    def receptive_field(self) -> int:
        """Side of the square of input pixels that one logit sees."""
        side = 1
        for kernel, stride, _ in self._windows_from_the_end():
            side = (side - 1) * stride + kernel
        return side

    @property
    def minimum_size(self) -> int:
        """Least height and width of a picture that gives at least one logit."""
        side = 1
        for kernel, stride, padding in self._windows_from_the_end():
            side = (side - 1) * stride + kernel - 2 * padding
        return side

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [B, 1, h, w] of pictures [B, in_channels, H, W]; H, W >= ``minimum_size``."""
        check_size(self, x, self.minimum_size)
        return self.layers(x)

    def _windows_from_the_end(self) -> Iterator[tuple[int, int, int]]:
        """Yield kernel, stride and padding of each layer that sees more than one place."""
        for layer in reversed(self.layers):
            if isinstance(layer, BlurPool):
                yield 3, 2, 1
            elif isinstance(layer, nn.Conv2d):
                yield layer.kernel_size[0], layer.stride[0], cast(tuple[int, int], layer.padding)[0]


class PatchDiscriminator(_SequentialDiscriminator):
    """PatchGAN C64-C128-C256-C512 with one logit per patch (Zhu et al. 2017, section 7.2).

    With three layers it judges patches of 70x70 and has 2,764,737 parameters.

    Args:
        in_channels: of the picture.
        filters: channels of the first layer; doubled at each layer up to eight times.
        layers: convolutions of stride 2; what follows says `last`.
        norm: ``instance``, ``batch`` or ``none``; the first convolution has none.
        downsample: ``stride``, or ``blur``, which convolves at full size and then halves it by `BlurPool`.
        last: ``patch``, the two 4x4 convolutions of stride 1, or ``pixel``, a 1x1 one in their place (MUNIT's).
        spectral: spectral norm on every convolution.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.

    Raises:
        ValueError: fewer than one layer; in ``forward``, a picture too small for the layers.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        filters: Count = 64,
        layers: Levels = 3,
        norm: str = "instance",
        downsample: Literal["stride", "blur"] = "stride",
        last: Literal["patch", "pixel"] = "patch",
        spectral: bool = False,
        init: str = "normal",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"A PatchGAN needs at least one layer, not {layers}; see PixelDiscriminator.")
        widths = [filters * min(2**layer, 8) for layer in range(layers + (last == "patch"))]
        anti_aliased = downsample == "blur"
        modules: list[nn.Module] = []
        for layer in range(len(widths)):
            halves = layer < layers
            before = widths[layer - 1] if layer > 0 else in_channels
            bias = layer == 0 or needs_bias(norm)
            modules.append(nn.Conv2d(before, widths[layer], 4, 2 if halves and not anti_aliased else 1, 1, bias=bias))
            modules += [make_norm(norm, widths[layer])] if layer > 0 else []
            modules.append(nn.LeakyReLU(0.2, inplace=True))
            modules += [BlurPool()] if halves and anti_aliased else []
        kernel, padding = (4, 1) if last == "patch" else (1, 0)
        self.layers = nn.Sequential(*modules, nn.Conv2d(widths[-1], 1, kernel, 1, padding))
        initialize(self, init, init_gain)
        if spectral:
            add_spectral_norm(self)


class PixelDiscriminator(_SequentialDiscriminator):
    """Discriminator of single pixels, by 1x1 convolutions C64-C128 (Isola et al. 2017, section 6.1.2).

    Args:
        in_channels: of the picture.
        filters: channels of the first layer.
        norm: ``instance``, ``batch`` or ``none``; the first convolution has none.
        spectral: spectral norm on every convolution.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.

    Raises:
        ValueError: in ``forward``, a picture of one pixel where there is a norm.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        filters: Count = 64,
        norm: str = "instance",
        spectral: bool = False,
        init: str = "normal",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        self._norm = norm
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, filters, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(filters, 2 * filters, 1, bias=needs_bias(norm)),
            make_norm(norm, 2 * filters),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * filters, 1, 1, bias=needs_bias(norm)),
        )
        initialize(self, init, init_gain)
        if spectral:
            add_spectral_norm(self)

    @property
    def minimum_size(self) -> int:
        """Least height and width; a norm needs more than one pixel."""
        return 1 if self._norm == "none" else 2


class MultiScaleDiscriminator(nn.Module):
    """PatchGANs on several sizes of the picture (Wang et al. 2018, section 3.2).

    Args:
        in_channels: of the picture.
        scales: number of sizes, each half the one before by average pooling; 3 in the paper.
        filters: see `PatchDiscriminator`, as the rest.
        layers: likewise.
        norm: likewise.
        downsample: likewise.
        last: likewise.
        spectral: likewise.
        init: likewise.
        init_gain: likewise.

    Raises:
        ValueError: fewer than one scale; in ``forward``, a picture too small for the coarsest one.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        scales: Count = 2,
        filters: Count = 64,
        layers: Levels = 3,
        norm: str = "instance",
        downsample: Literal["stride", "blur"] = "stride",
        last: Literal["patch", "pixel"] = "patch",
        spectral: bool = False,
        init: str = "normal",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        if scales < 1:
            raise ValueError(f"A multi-scale discriminator needs at least one scale, not {scales}.")
        self.scales = nn.ModuleList(
            PatchDiscriminator(
                in_channels,
                filters=filters,
                layers=layers,
                norm=norm,
                downsample=downsample,
                last=last,
                spectral=spectral,
                init=init,
                init_gain=init_gain,
            )
            for _ in range(scales)
        )

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    @property
    def receptive_field(self) -> int:
        """Side of the square of input pixels that one logit of the coarsest scale sees."""
        side = cast(PatchDiscriminator, self.scales[-1]).receptive_field
        for _ in self.scales[1:]:
            side = (side - 1) * 2 + 3
        return side

    @property
    def minimum_size(self) -> int:
        """Least height and width of a picture that gives at least one logit at every scale."""
        side = cast(PatchDiscriminator, self.scales[-1]).minimum_size
        for _ in self.scales[1:]:
            side = 2 * side - 1
        return side

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return logits [B, 1, h, w] of pictures [B, in_channels, H, W], one tensor per scale, the finest first."""
        check_size(self, x, self.minimum_size)
        logits = []
        for number, discriminator in enumerate(self.scales):
            if number > 0:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            logits.append(discriminator(x))
        return logits


def check_size(discriminator: nn.Module, x: Tensor, minimum: int) -> None:
    """Raise a UserError where an image [B, C, H, W] is smaller than a discriminator takes."""
    height, width = x.shape[-2:]
    if min(height, width) < minimum:
        raise UserError(
            f"A picture of {height}x{width} (height x width) is too small for this "
            f"{type(discriminator).__name__}, which needs at least {minimum}x{minimum}: "
            "give it larger ones, or lower the layers or scales of model.discriminator."
        )
