"""Networks of U-GAT-IT (Kim et al. 2020, arXiv:1907.10830): attention by class activation maps, and AdaLIN.

A map of features is weighed by how much each channel speaks for one of two classes, which is told from its mean and
from its maximum: for the generator whether a picture is of the domain that it translates from, for a discriminator
whether it is real.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32
from gan_style.core.sizes import Size, height_width, pixels_of, sized
from gan_style.core.types import Count, Levels, Weight
from gan_style.networks.blocks import (
    ReLU,
    ResidualBlock,
    Upsample,
    add_spectral_norm,
    conv_norm_relu,
    crop,
    is_per_sample,
    pad_to_multiple,
)
from gan_style.networks.contract import grid_means
from gan_style.networks.init import bare_weight
from gan_style.networks.padding import ReflectionPad2d, pad
from gan_style.networks.resnet import DOWNSAMPLING, MIN_SIDE_PIXELS

VARIANCE_EPSILON = 1e-5  # added to variances
INITIAL_RHO_OF_BLOCKS, INITIAL_RHO_OF_ENLARGING = 0.9, 0.0
LEAKY_SLOPE = 0.2  # of the leaky ReLUs


class ClassActivation(nn.Module):
    """Two linear classifiers of features, by their mean and by their maximum, and the features weighed by both.

    Args:
        channels: of the features.
        spectral: spectral norm on the classifiers; the features are weighed by the weights without it.
    """

    def __init__(self, channels: int, *, spectral: bool = False) -> None:
        super().__init__()
        self.by_mean = nn.Linear(channels, 1, bias=False)
        self.by_maximum = nn.Linear(channels, 1, bias=False)
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        if spectral:
            spectral_norm(self.by_mean)
            spectral_norm(self.by_maximum)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh features [B, C, h, w] channel by channel by each classifier and mix both 1x1; same shape.

        The two factors are taken into the weights of the mix, so that nothing twice as wide is computed.
        """
        of_mean, of_maximum = self.mix.weight.chunk(2, dim=1)
        by_mean, by_maximum = (bare_weight(one)[..., None, None] for one in (self.by_mean, self.by_maximum))
        return F.conv2d(x, of_mean * by_mean + of_maximum * by_maximum, self.mix.bias)

    def logits(self, x: Tensor) -> Tensor:
        """Return what both classifiers say of features [B, C, h, w], as [B, 2]."""
        flat = x.flatten(2)
        return torch.cat([self.by_mean(flat.mean(-1)), self.by_maximum(flat.max(-1).values)], dim=1)


class InstanceLayerNorm(nn.Module):
    """Norm that a learned rho in [0, 1] of each channel blends of an instance norm and a layer norm.

    rho is held in [0, 1] by `clip_rho` after each step. The variances are unbiased, as in the official code.

    Args:
        channels: of the features.
        adaptive: take scale and shift in ``forward`` (AdaLIN, section 2.1.1), and have none of its own.
    """

    def __init__(self, channels: int, *, adaptive: bool = False) -> None:
        super().__init__()
        self.rho = nn.Parameter(
            torch.full((channels,), INITIAL_RHO_OF_BLOCKS if adaptive else INITIAL_RHO_OF_ENLARGING)
        )
        if not adaptive:
            self.scale = nn.Parameter(torch.ones(channels))
            self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Normalise features [B, C, h, w], h w > 1, then scale and shift them, by [B, C] where it is adaptive.

        Both norms follow from the moments of the channels, so that the features are passed over once.
        """
        scale, shift = (self.scale, self.shift) if scale is None or shift is None else (scale, shift)
        channels, places = x.shape[1], x.shape[-2] * x.shape[-1]
        flat = at_least_float32(x).flatten(2)
        mean, variance = flat.mean(-1), flat.var(-1, correction=0)  # biased: as tiles know them
        mean_of_all = mean.mean(1, keepdim=True)
        variance_of_all = (variance + (mean - mean_of_all).square()).mean(1, keepdim=True)
        instance = self.rho * (variance * (places / (places - 1)) + VARIANCE_EPSILON).rsqrt()
        count = channels * places
        layer = (1 - self.rho) * (variance_of_all * (count / (count - 1)) + VARIANCE_EPSILON).rsqrt()
        factor, offset = scale * (instance + layer), shift + scale * layer * (mean - mean_of_all)
        # About the channel's own mean, for which a product and a sum alone would cancel.
        return torch.addcmul(offset[..., None, None], factor[..., None, None], x - mean[..., None, None])


@torch.no_grad()
def clip_rho(network: nn.Module) -> None:
    """Clip rho of every norm of a network to [0, 1], in place."""
    for module in network.modules():
        if isinstance(module, InstanceLayerNorm):
            module.rho.clamp_(0, 1)


class AdaptiveResidualBlock(nn.Module):
    """Residual block ``x + f(x, scale, shift)``: two 3x3 convolutions with reflection padding, each with an AdaLIN.

    Args:
        channels: of input and output.
    """

    recomputable = True  # by `networks.recomputed.checkpointed`

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(InstanceLayerNorm(channels, adaptive=True) for _ in range(2))

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Add f(x) to features [B, C, h, w], with scale and shift [B, C] of both norms; same shape, h, w >= 2."""
        y = self.norms[0](self._convolve(0, x), scale, shift)
        return x + self.norms[1](self._convolve(1, F.relu(y)), scale, shift)

    def _convolve(self, index: int, x: Tensor) -> Tensor:
        y: Tensor = self.convolutions[index](pad(x, (1, 1, 1, 1), "reflect"))
        return y


class AttentionGenerator(nn.Module):
    """Generator with attention: an encoder, its class activation map, and a decoder of AdaLIN (Kim et al. 2020).

    Scale and shift of the decoder's residual blocks come from the features. As published those of every place have
    weights of their own, which ties the network to one size; a map of another size is averaged onto that grid. The
    light model takes the mean over all places, whatever the size. Reflection padding, convolutions without biases,
    torch's own initial weights. 278,959,808 parameters with the defaults, light 10,589,888.

    Args:
        in_channels: of the input picture.
        out_channels: of the output picture.
        filters: channels of the first layer.
        blocks: residual blocks of the encoder, and as many of the decoder.
        image_size: of the pictures that the grid is made for: a square's side in pixels, or height and width; None is
            the light model.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        filters: Count = 64,
        blocks: Count = 4,
        image_size: Size | None = 256,
    ) -> None:
        super().__init__()
        wide = 4 * filters
        layers = [ReflectionPad2d(3), *conv_norm_relu(in_channels, filters, 7, norm="instance", bias=False)]
        for width in (filters, 2 * filters):
            layers.append(ReflectionPad2d(1))
            layers += conv_norm_relu(width, 2 * width, 3, stride=2, norm="instance", bias=False)
        self.encoder = nn.Sequential(*layers, *(ResidualBlock(wide, bias=False) for _ in range(blocks)))
        self.attention = ClassActivation(wide)
        self.grid = None if image_size is None else _grid_of(sized("image_size", image_size))
        self.modulation = nn.Sequential(
            nn.Linear(wide * (1 if self.grid is None else pixels_of(self.grid)), wide, bias=False),
            nn.ReLU(),
            nn.Linear(wide, wide, bias=False),
            nn.ReLU(),
        )
        self.scale = nn.Linear(wide, wide, bias=False)
        self.shift = nn.Linear(wide, wide, bias=False)
        self.blocks = nn.ModuleList(AdaptiveResidualBlock(wide) for _ in range(blocks))
        up: list[nn.Module] = []
        for width in (2 * filters, filters):
            up += [Upsample(2 * width, width, "resize", bias=False), InstanceLayerNorm(width), ReLU(inplace=True)]
        self.up = nn.Sequential(*up, ReflectionPad2d(3), nn.Conv2d(filters, out_channels, 7, bias=False), nn.Tanh())

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return is_per_sample(self)

    def forward(self, x: Tensor) -> Tensor:
        """Translate [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1]; any H, W >= 1."""
        return self._decode(self._encode(x), x)

    def forward_with_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``forward(x)``, and the logits [B, 2] that the input is of the domain that it is translated from."""
        features = self._encode(x)
        return self._decode(features, x), self.attention.logits(features)

    def attention_map(self, x: Tensor) -> Tensor:
        """Return the sum of the weighed features, [B, 1, H, W], of each picture from 0 to 1."""
        attended = F.relu(self.attention(self._encode(x)))
        total = F.conv2d(attended, torch.ones_like(self.attention.mix.weight[:1, : attended.shape[1]]))
        total = F.interpolate(total, scale_factor=DOWNSAMPLING, mode="bilinear")
        heat = crop(total, (x.shape[-2], x.shape[-1]))
        least, most = heat.amin((-2, -1), keepdim=True), heat.amax((-2, -1), keepdim=True)
        return torch.clamp((heat - least) / (most - least).clamp_min(VARIANCE_EPSILON), 0, 1)

    def _encode(self, x: Tensor) -> Tensor:
        features: Tensor = self.encoder(pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)[0])
        return features

    def _decode(self, features: Tensor, image: Tensor) -> Tensor:
        y = F.relu(self.attention(features))
        means = y.mean((-2, -1)) if self.grid is None else grid_means(y, self.grid).flatten(1)
        code = self.modulation(means)
        scale, shift = self.scale(code), self.shift(code)
        for block in self.blocks:
            y = block(y, scale, shift)
        return crop(self.up(y), (image.shape[-2], image.shape[-1]))


def _grid_of(image_size: Size) -> tuple[int, int]:
    """Return height and width of the feature maps of pictures of a size."""
    height, width = height_width(image_size)
    return -(-height // DOWNSAMPLING), -(-width // DOWNSAMPLING)


class AttentionDiscriminator(nn.Module):
    """Discriminator of patches with attention, and a second judge: the logits of its class activation map.

    As published the global one has 7 layers and patches of 286x286 pixels (53,130,176 parameters), the local one 5 and
    70x70 (3,290,560). Spectral norm on all convolutions but the mix of the attention.

    Args:
        in_channels: of the picture.
        filters: channels of the first layer, doubled at each one.
        layers: all but two of them halve the size; one of stride 1 and the one that gives the logits follow.
        cam_weight: what the loss of the second judge counts beside that of the patches.

    Raises:
        UserError: fewer than 3 layers.
    """

    def __init__(
        self, in_channels: int = 3, *, filters: Count = 64, layers: Levels = 5, cam_weight: Weight = 1.0
    ) -> None:
        super().__init__()
        if layers < 3:
            raise UserError(f"a discriminator with attention needs 3 layers or more, not {layers}: raise layers")
        widths = [in_channels, *(filters * 2**layer for layer in range(layers - 1))]
        modules: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if index < len(widths) - 2 else 1
            modules += [
                ReflectionPad2d(1),
                nn.Conv2d(before, after, 4, stride),
                nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
            ]
        self.layers = nn.Sequential(*modules)
        self.attention = ClassActivation(widths[-1], spectral=True)
        self.last = nn.Conv2d(widths[-1], 1, 4, bias=False)
        add_spectral_norm(self.layers)
        add_spectral_norm(self.last)
        self.judge_weights = {"patch": 1.0, "cam": float(cam_weight)}
        self.judge_modes: dict[str, str] = {}
        self.least = 3 * 2 ** (len(widths) - 2)  # side that leaves 2x2 features, the least for reflection padding

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits ``patch`` [B, 1, h, w] and ``cam`` [B, 1, 2, 1] of pictures [B, in_channels, H, W].

        Pictures with a side below 3 times what the layers halve, which is 96 pixels for 7 layers, are first extended
        to it by their reflection or their border.
        """
        features = self.layers(pad_to_multiple(x, 1, self.least)[0])
        y = F.leaky_relu(self.attention(features), LEAKY_SLOPE)
        return {
            "patch": self.last(pad(y, (1, 1, 1, 1), "reflect")),
            "cam": self.attention.logits(features)[:, None, :, None],
        }
