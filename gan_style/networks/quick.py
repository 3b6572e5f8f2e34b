"""Networks on a CPU in float32 by faster ways to the same numbers, up to rounding, or to nearly the same in bfloat16.

Maps are channels-last. A 3x3 convolution takes a quarter of the products (`winograd`); the few channels of a picture
are made row by row of the kernel, so that the vector units are filled; an instance norm of one picture is a batch norm,
whose kernel keeps the layout. In training, what stands between two convolutions is made again in the backward pass
instead of being kept (`recomputed`).
"""

from __future__ import annotations

import functools
import itertools
import platform
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gan_style.networks.blocks import InstanceNorm2d
from gan_style.networks.recomputed import recomputed
from gan_style.networks.winograd import kernel_of, winograd

WIDE, FEW = 32, 4  # channels from which on the first way pays, and up to which the second does
CONVOLUTIONS = nn.Conv2d, nn.ConvTranspose2d
BETWEEN = nn.ReLU, nn.LeakyReLU, nn.ReflectionPad2d  # a norm and a convolution
PLACES = 64  # 4x4 tiles from which on it pays
PIXELS = 96**2  # of a crop, from which on these ways pay in training
_kernels: weakref.WeakKeyDictionary[nn.Module, tuple[int, Tensor]] = weakref.WeakKeyDictionary()


def pays(image_size: int) -> bool:
    """Whether a training on crops of such a side is faster by these ways (docs/performance.md)."""
    return image_size**2 >= PIXELS and not _slow_products()


@functools.cache
def _slow_products() -> bool:
    """Whether matrices are multiplied at half the speed of convolutions: MKL leaves AVX-512 out on an AMD processor."""
    cpus = Path("/proc/cpuinfo")
    about = platform.processor() + (cpus.read_text(errors="replace") if cpus.is_file() else "")
    return "AuthenticAMD" in about and torch.backends.cpu.get_cpu_capability() == "AVX512"


@contextmanager
def quick(*models: nn.Module, bf16: bool = False) -> Iterator[None]:
    """Inside, the parts of models on a CPU that have a faster way take it; the models themselves stay as they are.

    Gradients go the faster ways, too, once: a gradient of a gradient is refused. A module whose `forward` somebody else
    has replaced is left alone.

    Args:
        *models: any modules.
        bf16: products of convolutions with at least 32 channels on both sides, and of the transposed ones, in
            bfloat16. What stands between them, and the sums that residual blocks add to, stay in float32; so do 3x3
            convolutions of stride 2, with which a ResNet's pictures would be 1.5 dB further off.
    """
    changed = []
    for module in itertools.chain.from_iterable(model.modules() for model in models):
        forward = _faster(module, bf16)
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
        return functools.partial(_instance_norm, module)
    if _is_plain(module):
        return functools.partial(_convolution, module, bf16=bf16)
    if bf16 and isinstance(module, nn.ConvTranspose2d) and not parametrize.is_parametrized(module):
        return functools.partial(_in_bf16, module)
    if _is_sequence(module):
        return functools.partial(_sequence, module)
    return None


def _is_plain(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether it is a convolution that does nothing else."""
    if not isinstance(module, nn.Conv2d) or parametrize.is_parametrized(module):
        return False
    return module.padding_mode == "zeros" and module.groups == 1 and module.dilation == (1, 1)


def _is_sequence(module: nn.Module) -> TypeGuard[nn.Sequential]:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _flat(module: nn.Sequential) -> Iterator[nn.Module]:
    for layer in module:
        if _is_sequence(layer):
            yield from _flat(layer)
        else:
            yield layer


def _sequence(module: nn.Sequential, x: Tensor) -> Tensor:
    """Norms that a convolution follows, and what is between, are made again in the backward pass."""
    light: list[nn.Module] = []
    for layer in _flat(module):
        if isinstance(layer, CONVOLUTIONS) and light and _ours(x):
            x, light = recomputed(light, layer, x), []
        elif (isinstance(layer, InstanceNorm2d) and not light) or (isinstance(layer, BETWEEN) and light):
            light.append(layer)
        else:
            for one in (*light, layer):
                x = one(x)
            light = []
    for one in light:
        x = one(x)
    return x


def _ours(x: Tensor) -> bool:
    """Whether these ways are for such a map."""
    return isinstance(x, Tensor) and x.device.type == "cpu" and x.dtype == torch.float32


def _convolution(module: nn.Conv2d, x: Tensor, *, bf16: bool) -> Tensor:
    wide, three = min(module.in_channels, module.out_channels) >= WIDE, module.kernel_size == (3, 3)
    if bf16 and wide and not (three and module.stride != (1, 1)):
        return _in_bf16(module, x)
    if not _ours(x) or torch.is_autocast_enabled("cpu"):
        return nn.Conv2d.forward(module, x)
    x = x.contiguous(memory_format=torch.channels_last)
    plain = module.stride == (1, 1) and module.padding == (0, 0)
    few = module.out_channels <= FEW and module.kernel_size[0] > 1 and module.in_channels >= WIDE
    if plain and few:
        return by_rows(x, module.weight, module.bias)
    if plain and wide and three and len(x) * (x.shape[-2] - 2) * (x.shape[-1] - 2) >= 16 * PLACES:
        if torch.is_grad_enabled() and (x.requires_grad or module.weight.requires_grad):
            _kernels.pop(module, None)  # training changes it: what a validation kept would only take memory
            return winograd(x, module.weight, module.bias)
        version = -1 if module.weight.is_inference() else module.weight._version  # such weights never change
        kept = _kernels.get(module)
        if kept is None or kept[0] != version:
            kept = _kernels[module] = version, kernel_of(module.weight)
        return winograd(x, module.weight, module.bias, kept[1])
    return nn.Conv2d.forward(module, x)


def _in_bf16(module: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, *more: Any, **named: Any) -> Tensor:
    """The module in bfloat16, between maps in float32."""
    x = x.contiguous(memory_format=torch.channels_last) if _ours(x) else x
    forward: Callable[..., Tensor] = type(module).forward
    with torch.autocast("cpu", torch.bfloat16):
        return forward(module, x, *more, **named).float()


def _instance_norm(module: InstanceNorm2d, x: Tensor) -> Tensor:
    if not _ours(x) or x.dim() != 4 or not x.is_contiguous(memory_format=torch.channels_last):
        return InstanceNorm2d.forward(module, x)
    of_one = functools.partial(F.batch_norm, training=True, eps=module.eps)
    parts = [of_one(one, None, None, module.weight, module.bias) for one in x.split(1)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def by_rows(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution without padding to few channels: each row of the kernel to its own channels, then shifted sums.

    [B, I, H, W] and [O, I, k, l] to [B, O, H - k + 1, W - l + 1].
    """
    outputs, inputs, height, width = weight.shape
    rows = F.conv2d(x, weight.transpose(1, 2).reshape(outputs * height, inputs, 1, width))
    rows = rows.reshape(x.shape[0], outputs, height, x.shape[2], -1)
    length = x.shape[2] - height + 1
    result = rows[:, :, 0, :length].clone()
    for row in range(1, height):
        result += rows[:, :, row, row : row + length]
    return result if bias is None else result.add_(bias[:, None, None])
