"""Fast convolutions and norms for float32 on a CPU: the same values up to rounding, or nearly the same in bfloat16.

Feature maps are channels-last. A 3x3 convolution by Winograd's algorithm needs a quarter of the multiplications
(`winograd`). A convolution to the few channels of a picture is computed row by row of its kernel, which fills the
vector units (`by_rows`). An instance norm of one picture is computed as a batch norm, which keeps the memory layout.
Training computes whole stages instead (`networks.stages`).
"""

from __future__ import annotations

import functools
import itertools
import platform
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gan_style.core.precision import at_least_float32
from gan_style.core.sizes import Size, pixels_of
from gan_style.networks.blocks import InstanceNorm2d
from gan_style.networks.winograd import kernel_of, winograd

MIN_CHANNELS_FOR_WINOGRAD = 32  # of input and output; also for bfloat16
MIN_CHANNELS_BY_ROWS = 16  # of the input
MIN_TILES_FOR_WINOGRAD = 64  # of 4x4 output pixels
MAX_CHANNELS_BY_ROWS = 4  # of the output
MAX_CHANNELS_UNGROUPED = 64  # of the input: above, the zeros of an ungrouped kernel cost more than they save
MIN_CROP_PIXELS = 96**2  # from which on training on crops is faster by fast convolutions
# The kernel transformed by `kernel_of`, with the version of the weight that it was computed from.
_kernels: weakref.WeakKeyDictionary[nn.Module, tuple[int, Tensor]] = weakref.WeakKeyDictionary()


def is_faster(image_size: Size) -> bool:
    """Check whether training on crops of `image_size` is faster by fast convolutions (docs/performance.md)."""
    return pixels_of(image_size) >= MIN_CROP_PIXELS and not _has_slow_matmul()


@functools.cache
def _has_slow_matmul() -> bool:
    """Check whether MKL multiplies matrices at half the speed of convolutions: it does not use AVX-512 on AMD."""
    cpus = Path("/proc/cpuinfo")
    about = platform.processor() + (cpus.read_text(encoding="utf-8", errors="replace") if cpus.is_file() else "")
    return "AuthenticAMD" in about and torch.backends.cpu.get_cpu_capability() == "AVX512"


@contextmanager
def fast_convolutions(*models: nn.Module, bf16: bool = False) -> Iterator[None]:
    """Compute the layers of models on a CPU that have a fast implementation by it, inside a `with` block.

    The weights are not touched, and the models are as before at the end of the block. Gradients are fast, too, but
    only once differentiable: a gradient of a gradient is refused. A module whose `forward` was replaced before is left
    alone.

    Args:
        *models: any modules.
        bf16: compute convolutions with at least 32 input and output channels, transposed convolutions, and those in
            groups of at most 64 input channels, in bfloat16. The layers between them and the sums of residual blocks
            stay in float32; so do 3x3 convolutions of stride 2 without groups, which in bfloat16 would cost 1.5 dB of
            a ResNet's PSNR.
    """
    with replaced_forwards(models, lambda module: _faster(module, bf16)):
        yield


@contextmanager
def replaced_forwards(
    models: Sequence[nn.Module], make: Callable[[nn.Module], Callable[..., Tensor] | None]
) -> Iterator[None]:
    """Give modules other `forward`s inside a `with` block; those that have one of their own are left alone.

    Args:
        models: whose modules are meant.
        make: module -> what computes it, None where it stays as it is.
    """
    changed = []
    for module in itertools.chain.from_iterable(model.modules() for model in models):
        forward = make(module)
        if forward is not None and "forward" not in vars(module):
            module.forward = forward
            changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            vars(module).pop("forward", None)


def _faster(module: nn.Module, bf16: bool) -> Callable[..., Tensor] | None:
    if isinstance(module, InstanceNorm2d) and not module.track_running_stats:
        return functools.partial(instance_norm, module)
    if is_plain(module):
        return functools.partial(_convolution, module, bf16=bf16)
    if bf16 and isinstance(module, nn.ConvTranspose2d) and not parametrize.is_parametrized(module):
        return functools.partial(_in_bf16, module)
    if bf16 and _is_narrow_grouped(module):
        return functools.partial(_ungrouped_in_bf16, module)
    return None


def _is_narrow_grouped(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    if not isinstance(module, nn.Conv2d) or parametrize.is_parametrized(module) or module.padding_mode != "zeros":
        return False
    return module.groups > 1 and module.in_channels <= MAX_CHANNELS_UNGROUPED and not module.weight.requires_grad


def is_plain(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Check whether a module is a convolution without groups, dilation, parametrization or padding mode."""
    if not isinstance(module, nn.Conv2d) or parametrize.is_parametrized(module):
        return False
    return module.padding_mode == "zeros" and module.groups == 1 and module.dilation == (1, 1)


def _is_supported(x: Tensor) -> bool:
    """Check whether a feature map is in float32 on a CPU."""
    return isinstance(x, Tensor) and x.device.type == "cpu" and x.dtype == torch.float32


def _convolution(module: nn.Conv2d, x: Tensor, *, bf16: bool) -> Tensor:
    wide = min(module.in_channels, module.out_channels) >= MIN_CHANNELS_FOR_WINOGRAD
    is_3x3 = module.kernel_size == (3, 3)
    if bf16 and wide and not (is_3x3 and module.stride != (1, 1)):
        return _in_bf16(module, x)
    if not _is_supported(x) or torch.is_autocast_enabled("cpu"):
        return nn.Conv2d.forward(module, x)
    x = x.contiguous(memory_format=torch.channels_last)
    plain = module.stride == (1, 1) and module.padding == (0, 0)
    to_few = module.out_channels <= MAX_CHANNELS_BY_ROWS and module.in_channels >= MIN_CHANNELS_BY_ROWS
    if plain and to_few and module.kernel_size[0] > 1:
        return by_rows(x, module.weight, module.bias)
    if takes_winograd(module, x):
        if torch.is_grad_enabled() and (x.requires_grad or module.weight.requires_grad):
            _kernels.pop(module, None)  # training changes the weight: a kernel kept by a validation only takes memory
            return winograd(x, module.weight, module.bias)
        return winograd(x, module.weight, module.bias, _kept(module, kernel_of))
    return nn.Conv2d.forward(module, x)


def takes_winograd(layer: nn.Conv2d, x: Tensor) -> bool:
    """Check whether a plain convolution of x is faster by Winograd's algorithm, which is not for bfloat16."""
    plain = layer.kernel_size == (3, 3) and layer.stride == (1, 1) and layer.padding == (0, 0)
    if not plain or x.dtype == torch.bfloat16:
        return False
    tiles = len(x) * (x.shape[-2] - 2) * (x.shape[-1] - 2) / 16
    wide = min(layer.in_channels, layer.out_channels) >= MIN_CHANNELS_FOR_WINOGRAD
    return wide and tiles >= MIN_TILES_FOR_WINOGRAD


def _kept(module: nn.Conv2d, make: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what is made of the weight of a module, made again only after the weight has changed."""
    version = -1 if module.weight.is_inference() else module.weight._version  # inference tensors have no version
    kept = _kernels.get(module)
    if kept is None or kept[0] != version:
        kept = _kernels[module] = version, make(module.weight)
    return kept[1]


def _ungrouped_in_bf16(module: nn.Conv2d, x: Tensor) -> Tensor:
    """Compute a convolution in groups as one without, in bfloat16, from float32 to float32.

    Units that multiply whole matrices leave narrow groups mostly empty: the zeros cost less than the groups.
    """
    if not _is_supported(x) or torch.is_autocast_enabled("cpu"):
        return nn.Conv2d.forward(module, x)
    x = x.to(torch.bfloat16, memory_format=torch.channels_last)
    weight = _kept(module, functools.partial(_ungrouped, groups=module.groups))
    bias = None if module.bias is None else module.bias.bfloat16()
    return F.conv2d(x, weight, bias, module.stride, module.padding, module.dilation).float()


def _ungrouped(weight: Tensor, groups: int) -> Tensor:
    """Return the kernel [O, I, k, l] in bfloat16 of a convolution whose kernel in groups is [O, I / groups, k, l]."""
    parts = weight.detach().bfloat16().chunk(groups)
    outputs, inputs = parts[0].shape[:2]
    whole = weight.new_zeros(len(weight), inputs * groups, *weight.shape[2:], dtype=torch.bfloat16)
    for group, part in enumerate(parts):
        whole[group * outputs : (group + 1) * outputs, group * inputs : (group + 1) * inputs] = part
    return whole.contiguous(memory_format=torch.channels_last)


def _in_bf16(module: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Compute a module in bfloat16, from float32 to float32."""
    x = x.contiguous(memory_format=torch.channels_last) if _is_supported(x) else x
    forward: Callable[..., Tensor] = type(module).forward
    with torch.autocast("cpu", torch.bfloat16):
        return forward(module, x, *args, **kwargs).float()


def instance_norm(module: InstanceNorm2d, x: Tensor) -> Tensor:
    """Compute an instance norm as a batch norm of each picture where the map is channels-last and in float32."""
    if not _is_supported(x) or x.dim() != 4 or not x.is_contiguous(memory_format=torch.channels_last):
        return InstanceNorm2d.forward(module, x)
    of_one = functools.partial(F.batch_norm, training=True, eps=module.eps)
    parts = [of_one(one, None, None, module.weight, module.bias) for one in x.split(1)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def by_rows(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve to few channels without padding: one 1D convolution for each row of the kernel, shifted and added.

    Args:
        x: [B, I, H, W].
        weight: [O, I, k, l].
        bias: [O].

    Returns: [B, O, H - k + 1, W - l + 1].
    """
    outputs, _, height, _ = weight.shape
    rows = F.conv2d(x, rows_of_kernel(weight))
    rows = rows.reshape(x.shape[0], outputs, height, x.shape[2], -1)
    length = x.shape[2] - height + 1
    result = at_least_float32(rows[:, :, 0, :length].clone())
    for row in range(1, height):
        result += rows[:, :, row, row : row + length]
    return result if bias is None else result.add_(bias[:, None, None])


def rows_of_kernel(weight: Tensor) -> Tensor:
    """Lay the rows of a kernel [O, I, k, l] side by side: [O k, I, 1, l]."""
    outputs, inputs, height, width = weight.shape
    return weight.transpose(1, 2).reshape(outputs * height, inputs, 1, width)


def rows_of_output(gradient: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient [B, O k, H, W] of the rows in `by_rows` from that of its output [B, O, H - k + 1, W]."""
    height = weight.shape[2]
    shape = len(gradient), gradient.shape[1], height, gradient.shape[2] + height - 1, gradient.shape[3]
    rows = weight.new_zeros(shape)
    for row in range(height):
        rows[:, :, row, row : row + gradient.shape[2]] = gradient
    return rows.flatten(1, 2)
