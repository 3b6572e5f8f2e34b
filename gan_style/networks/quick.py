"""Trained networks on a CPU in float32 by faster ways to the same numbers, up to rounding.

Maps are channels-last. A 3x3 convolution takes 36 products for 16 outputs where the plain one takes 144 (Lavin and
Gray 2016, arXiv:1509.09308, F(4x4, 3x3)); the few channels of a picture are made row by row of the kernel, so that the
vector units are filled; an instance norm of one picture is a batch norm, whose kernel keeps the layout.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gan_style.networks.blocks import InstanceNorm2d

WIDE, FEW = 32, 4  # channels from which on the first way pays, and up to which the second does
PLACES = 64, 1024  # 4x4 tiles from which on it pays, and how many are taken at once: their transforms are large
# The transforms of input, kernel and output, for the points 0, 1, -1, 2, -2 and infinity (section 4.2).
INPUT = (
    *((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0)),
    *((0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1)),
)
KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # times 24
OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))

_kernels: weakref.WeakKeyDictionary[nn.Module, tuple[int, Tensor]] = weakref.WeakKeyDictionary()


@contextmanager
def quick(model: nn.Module) -> Iterator[None]:
    """Inside, the parts of a model on a CPU that have a faster way take it; the model itself stays as it is.

    A module whose `forward` somebody else has replaced is left alone.
    """
    changed = []
    for module in model.modules():
        forward = _faster(module)
        if forward is not None and "forward" not in vars(module):
            module.forward = forward
            changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            vars(module).pop("forward", None)


def _faster(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    if isinstance(module, InstanceNorm2d) and not module.track_running_stats:
        return lambda x: _instance_norm(module, x)
    if isinstance(module, nn.Conv2d) and not parametrize.is_parametrized(module):
        if module.padding_mode != "zeros" or module.groups != 1 or module.dilation != (1, 1):
            return None
        return lambda x: _convolution(module, x)
    return None


def _ours(x: Tensor) -> bool:
    """Whether these ways are for such a map."""
    return isinstance(x, Tensor) and x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad


def _convolution(module: nn.Conv2d, x: Tensor) -> Tensor:
    if not _ours(x) or torch.is_autocast_enabled("cpu"):
        return nn.Conv2d.forward(module, x)
    x = x.contiguous(memory_format=torch.channels_last)
    plain = module.stride == (1, 1) and module.padding == (0, 0)
    few = module.out_channels <= FEW and module.kernel_size[0] > 1 and module.in_channels >= WIDE
    if plain and few:
        return by_rows(x, module.weight, module.bias)
    wide = module.kernel_size == (3, 3) and min(module.in_channels, module.out_channels) >= WIDE
    if plain and wide and len(x) * (x.shape[-2] - 2) * (x.shape[-1] - 2) >= 16 * PLACES[0]:
        version = -1 if module.weight.is_inference() else module.weight._version  # such weights never change
        kept = _kernels.get(module)
        if kept is None or kept[0] != version:
            kept = _kernels[module] = version, kernel_of(module.weight)
        return winograd(x, kept[1], module.bias)
    return nn.Conv2d.forward(module, x)


def _instance_norm(module: InstanceNorm2d, x: Tensor) -> Tensor:
    if not _ours(x) or x.dim() != 4 or not x.is_contiguous(memory_format=torch.channels_last):
        return InstanceNorm2d.forward(module, x)
    of_one = functools.partial(F.batch_norm, training=True, eps=module.eps)
    parts = [of_one(one, None, None, module.weight, module.bias) for one in x.split(1)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def kernel_of(weight: Tensor) -> Tensor:
    """[O, I, 3, 3] as `winograd` takes it, [36, I, O]; the sums are in float64."""
    transform = torch.tensor(KERNEL, dtype=torch.float64) / 24
    wide = torch.einsum("xa,oiab,yb->xyio", transform, weight.detach().double(), transform)
    return wide.reshape(36, weight.shape[1], weight.shape[0]).to(weight.dtype).contiguous()


def winograd(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """A 3x3 convolution without padding, [B, I, H, W] to channels-last [B, O, H - 2, W - 2]; see the top."""
    batch, channels, height, width = x.shape[0], x.shape[1], x.shape[2] - 2, x.shape[3] - 2
    rows, columns = -(-height // 4), -(-width // 4)
    x = F.pad(x, (0, 4 * columns - width, 0, 4 * rows - height)) if (height % 4 or width % 4) else x
    x = x.permute(0, 2, 3, 1).contiguous()
    forth, back = (torch.tensor(m, dtype=x.dtype) for m in (INPUT, OUTPUT))
    forth, back = torch.kron(forth, forth), torch.kron(back, back)
    output = x.new_empty(batch, rows, 4, columns, 4, kernel.shape[2])
    several = max(1, PLACES[1] // (batch * columns))
    for first in range(0, rows, several):
        some = min(several, rows - first)
        part = x[:, 4 * first : 4 * (first + some) + 2]
        b, h, w, c = part.stride()
        tiles = part.as_strided((6, 6, batch, some, columns, channels), (h, w, b, 4 * h, 4 * w, c))
        products = torch.bmm((forth @ tiles.reshape(36, -1)).view(36, -1, channels), kernel)
        made = (back @ products.view(36, -1)).view(4, 4, batch, some, columns, -1)
        output[:, first : first + some] = made.permute(2, 3, 0, 4, 1, 5)
    result = output.view(batch, 4 * rows, 4 * columns, -1)[:, :height, :width]
    result = result if bias is None else result.add_(bias)
    return result.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


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
