"""Parts that several networks share: norms, residual block, upsampling, padding to a fitting size."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from gan_style.networks.contract import Noised
from gan_style.networks.padding import ReflectionPad2d, ReplicationPad2d, pad
from gan_style.networks.wrap import require_whole_steps

NORMS = ("instance", "instance_affine", "batch", "none")
UPSAMPLES = ("deconv", "resize", "pixelshuffle", "blur", "bilinear")
DOWNSAMPLES = ("stride", "blur")


class InstanceNorm2d(nn.InstanceNorm2d):
    """Instance norm (Ulyanov et al. 2016) without affine parameters or running statistics by default.

    On the CPU it is computed as a group norm with one channel per group, which gives the same values two to three
    times as fast. The group norm also avoids a bug: in torch 2.15 the backward pass of ``F.instance_norm`` is wrong for
    a batch of one when the incoming gradient is channels-last.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every channel of every picture, [B, C, H, W] to the same shape; H * W > 1."""
        eager_cpu = x.device.type == "cpu" and x.dim() == 4 and not torch.compiler.is_compiling()
        if not eager_cpu or self.track_running_stats:
            return super().forward(x)
        # The channels-last kernel computes E[x^2] - E[x]^2, which loses all precision where the mean is large.
        return F.group_norm(x.contiguous(), x.shape[1], self.weight, self.bias, self.eps)


class ReLU(nn.ReLU):
    """A ReLU that overwrites its input only on the CPU.

    Elsewhere an instance norm returns a view, and overwriting a view copies gradients in the backward.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Clamp negative values of a tensor of any shape to 0."""
        return F.relu(x, inplace=self.inplace and x.device.type == "cpu")


def make_norm(kind: str, channels: int) -> nn.Module:
    """Build a norm layer by name: ``instance`` (no affine, as in CycleGAN), ``instance_affine``, ``batch`` or ``none``.

    Raises:
        ValueError: the name is not one of ``NORMS``.
    """
    if kind == "instance":
        return InstanceNorm2d(channels)
    if kind == "instance_affine":
        return InstanceNorm2d(channels, affine=True)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"Unknown norm {kind!r}; choose one of {', '.join(NORMS)}.")


def needs_bias(norm: str) -> bool:
    """Check whether a convolution before this norm has a bias: a batch norm brings its own."""
    return norm != "batch"


class SeparableConv2d(nn.Sequential):
    """Convolution of each channel by itself, and a 1x1 convolution that mixes them (Chollet 2017, section 3).

    It takes k^2 + C multiplications for each output value in place of k^2 C, for C channels.

    Args:
        in_channels, out_channels, kernel, stride, padding: as of `nn.Conv2d`; the first half has them.
        bias: whether the second half has one; the first has none.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0, *, bias: bool = True
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, in_channels, kernel, stride, padding, groups=in_channels, bias=False),
            nn.Conv2d(in_channels, out_channels, 1, bias=bias),
        )


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    *,
    bias: bool = True,
    separable: bool = False,
) -> nn.Module:
    """Build a convolution, or a separable one of the same shapes."""
    make = SeparableConv2d if separable else nn.Conv2d
    return make(in_channels, out_channels, kernel, stride, padding, bias=bias)


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
    norm: str,
    bias: bool | None = None,
    separable: bool = False,
) -> list[nn.Module]:
    """Build a convolution, a norm and a ReLU, to be put into a sequence; for None the norm decides about a bias."""
    has_bias = needs_bias(norm) if bias is None else bias
    return [
        convolution(in_channels, out_channels, kernel, stride, padding, bias=has_bias, separable=separable),
        make_norm(norm, out_channels),
        # Without a norm an in-place ReLU would overwrite the convolution's output, whose features CUT reads.
        ReLU(inplace=norm != "none"),
    ]


class BlurPool(nn.Module):
    """Blur by the binomial filter 1-2-1 and keep every second pixel: half the height and width (Zhang 2019)."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        binomial = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("filter", binomial.outer(binomial)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Downsample [B, C, H, W] to [B, C, ceil(H / 2), ceil(W / 2)]; H, W >= 2."""
        channels = x.shape[1]
        padded = pad(x, (1, 1, 1, 1), "reflect")
        return F.conv2d(padded, self.filter.expand(channels, -1, -1, -1), stride=2, groups=channels)


class ResidualBlock(nn.Module):
    """Residual block ``x + f(x)``, no ReLU after the sum (Johnson et al. 2016; Zhu et al. 2017, section 7.2).

    f is two 3x3 convolutions with reflection padding.

    Args:
        channels: of input and output.
        norm: see `make_norm`.
        dropout: probability between the two convolutions, in [0, 1); 0 leaves the layer out.
        bias: of the convolutions; None: unless the norm brings one.
        separable: take `SeparableConv2d`.
    """

    recomputable = True  # by `networks.recomputed.checkpointed`

    def __init__(
        self,
        channels: int,
        *,
        norm: str = "instance",
        dropout: float = 0.0,
        bias: bool | None = None,
        separable: bool = False,
    ) -> None:
        super().__init__()
        bias = needs_bias(norm) if bias is None else bias
        layers = [
            ReflectionPad2d(1),
            *conv_norm_relu(channels, channels, 3, norm=norm, bias=bias, separable=separable),
        ]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
        layers += [
            ReflectionPad2d(1),
            convolution(channels, channels, 3, bias=bias, separable=separable),
            make_norm(norm, channels),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Add f(x) to x, [B, C, H, W] to the same shape; H, W >= 2."""
        return x + self.layers(x)


class Upsample(nn.Sequential):
    """Upsampling to twice the height and width, with a convolution.

    Modes: ``deconv``, a transposed convolution as in the official code; ``resize``, nearest neighbour and a
    convolution, against checkerboards (Odena et al. 2016); ``pixelshuffle``, a convolution to four times the
    channels, rearranged (Shi et al. 2016); ``blur``, bilinear, which is the binomial filter 1-3-3-1, and a
    convolution (Zhang 2019); ``bilinear``, the same with zeros around the convolution's input, as in the official
    CUT code.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        mode: one of ``UPSAMPLES``.
        kernel: 3 (CycleGAN) or 4 (pix2pix) for ``deconv``; the other modes convolve 3x3.
        bias: whether the convolution has one.
        separable: convolve each channel by itself, and mix channels by a 1x1 convolution at the small size, which
            comes first and commutes with the enlargement.

    Raises:
        ValueError: unknown mode.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mode: str = "deconv",
        *,
        kernel: int = 3,
        bias: bool = True,
        separable: bool = False,
    ) -> None:
        self.mode = mode
        layers: list[nn.Module] = []
        groups = 1
        if separable and mode != "pixelshuffle":
            layers.append(nn.Conv2d(in_channels, out_channels, 1, bias=False))
            in_channels = groups = out_channels
        if mode == "deconv":
            extra = kernel % 2  # an odd kernel needs one more row to reach exactly twice the size
            layers.append(nn.ConvTranspose2d(in_channels, out_channels, kernel, 2, 1, extra, groups=groups, bias=bias))
        elif mode == "pixelshuffle":
            wide = convolution(in_channels, 4 * out_channels, 3, bias=bias, separable=separable)
            # Replication, not reflection: a U-Net's innermost feature map may be a single pixel.
            layers += [ReplicationPad2d(1), wide, nn.PixelShuffle(2)]
        elif mode in ("resize", "blur"):
            enlarge = nn.Upsample(scale_factor=2, mode="nearest" if mode == "resize" else "bilinear")
            narrow = nn.Conv2d(in_channels, out_channels, 3, groups=groups, bias=bias)
            layers += [enlarge, ReflectionPad2d(1), narrow]
        elif mode == "bilinear":
            enlarge = nn.Upsample(scale_factor=2, mode="bilinear")
            layers += [enlarge, nn.Conv2d(in_channels, out_channels, 3, padding=1, groups=groups, bias=bias)]
        else:
            raise ValueError(f"Unknown upsample mode {mode!r}; choose one of {', '.join(UPSAMPLES)}.")
        super().__init__(*layers)

    @torch.no_grad()
    def tie_subpixels(self) -> None:
        """Give the four subpixels of a pixelshuffle equal weights (ICNR, Aitken et al. 2017)."""
        if self.mode == "pixelshuffle":
            wide = last_convolution(self)
            wide.weight.copy_(wide.weight[::4].repeat_interleave(4, dim=0))


def last_convolution(module: nn.Module) -> nn.Conv2d | nn.ConvTranspose2d:
    """Return the last convolution of a module that has one, in the order of its layers."""
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)][-1]


def add_spectral_norm(module: nn.Module, but: nn.Module | None = None) -> None:
    """Divide the weight of every convolution and linear layer by its largest singular value.

    Miyato et al. 2018. To be called after the initialisation, which needs the bare weights.

    Args:
        module: changed in place.
        but: a layer that keeps its weight, such as one that starts small.
    """
    for layer in list(module.modules()):
        if layer is not but and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            spectral_norm(layer)


def is_per_sample(module: nn.Module) -> bool:
    """Check whether the network treats each picture of a batch by itself and always alike.

    If so, one pass over two inputs joined along the batch equals two passes. Four layers break this: batch norm
    uses the whole batch, dropout and noise draw once per call, and spectral norm updates its estimate in every pass.
    """
    for layer in module.modules():
        if isinstance(layer, Noised):
            return False
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) or parametrize.is_parametrized(layer):
            return False
        if isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p > 0:
            return False
    return True


def _missing(length: int, multiple: int, minimum: int) -> int:
    return max(length + -length % multiple, minimum) - length


def pad_to_multiple(x: Tensor, multiple: int, minimum: int = 1) -> tuple[Tensor, tuple[int, int]]:
    """Pad below and on the right until both sides are multiples; no copy if they are.

    The picture is reflected where it is long enough, and its border repeated where it is not.

    Args:
        x: [B, C, H, W], H, W >= 1.
        multiple: of both sides of the result.
        minimum: least side of the result, itself a multiple.

    Returns:
        The padded picture and (H, W), for `crop`.

    Raises:
        UserError: a side that goes round (`networks.wrap`) is no such multiple.
    """
    height, width = x.shape[-2:]
    if torch.compiler.is_exporting():
        return _pad_any_size(x, multiple, minimum), (height, width)
    for dim, side in ((-2, height), (-1, width)):
        require_whole_steps(side, multiple if side >= minimum else minimum, dim)
    below, right = _missing(height, multiple, minimum), _missing(width, multiple, minimum)
    modes = ["reflect" if pad < side else "replicate" for pad, side in ((right, width), (below, height))]
    if modes[0] == modes[1]:
        if right or below:
            x = pad(x, (0, right, 0, below), modes[0])
    else:
        x = pad(pad(x, (0, right, 0, 0), modes[0]), (0, 0, 0, below), modes[1])
    return x, (height, width)


def _pad_any_size(x: Tensor, multiple: int, minimum: int) -> Tensor:
    """Pad as `pad_to_multiple` does, by indices: an exported graph serves all sizes and cannot branch on them."""
    for dim in (-2, -1):
        side = x.shape[dim]
        longest = side if multiple >= minimum else torch.sym_max(side, minimum)
        position = torch.arange((longest + multiple - 1) // multiple * multiple, device=x.device)
        mirrored = 2 * (side - 1) - position
        reflected, repeated = torch.minimum(position, mirrored), position.clamp(max=side - 1)
        x = x.index_select(dim, torch.where(mirrored[-1:] >= 0, reflected, repeated))
    return x


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut [B, C, H, W] to its top left [B, C, h, w], the inverse of `pad_to_multiple`; no copy."""
    if torch.compiler.is_exporting():  # a slice would promise that the size is no larger, which export cannot prove
        rows, columns = (torch.arange(side, device=x.device) for side in size)
        return x.index_select(-2, rows).index_select(-1, columns)
    if tuple(x.shape[-2:]) == size:
        return x
    return x[..., : size[0], : size[1]]
