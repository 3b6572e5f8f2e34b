"""Torch's functions on streamed feature maps: each one that our networks use, as steps.

Any other function is refused by name, since a wrong result is worse than no tiling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.inference.tiling.known_functions import FUNCTIONS, METHODS, unknown
from gan_style.inference.tiling.statistics import (
    amax,
    amin,
    flatten,
    group_norm,
    instance_norm,
    mean,
    tiled_grid_means,
)
from gan_style.inference.tiling.steps import Around, ByPlace, Convolution, Crop, Enlargement, Pad
from gan_style.inference.tiling.streamed import Streamed, pointwise
from gan_style.networks.contract import by_place, grid_means
from gan_style.networks.wrap import circular

Pair = tuple[int, int]


def sliced(x: Streamed, key: Any) -> Streamed:
    """Return `x[..., a:b, c:d]`, or the channels `x[:, a:b]`."""
    if isinstance(key, tuple) and len(key) == 2 and key[0] == slice(None) and isinstance(key[1], slice):
        channels = len(range(*key[1].indices(x.channels)))
        return pointwise(lambda tile: tile[key], x, channels=channels)
    if not (isinstance(key, tuple) and len(key) == 3 and key[0] is Ellipsis):
        raise unknown(f"[{key}]")
    spans = [one.indices(side) for one, side in zip(key[1:], x.sides, strict=True)]
    if any(span[2] != 1 for span in spans):
        raise unknown(f"[{key}]")
    size = tuple(span[1] - span[0] for span in spans)
    return Streamed(x.work, (x.channels, size[0], size[1]), Crop((spans[0][0], spans[1][0])), [x])


def _pair(value: Any) -> Pair:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _precise(x: Streamed, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Wrap a function in the current autocast: it is called later, when the network's own has ended."""
    kind = x.device.type
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)

    def run(tile: Tensor) -> Tensor:
        with torch.autocast(kind, dtype=dtype, enabled=enabled):
            return function(tile)

    return run


def _elementwise(function: Callable[..., Tensor]) -> Callable[..., Streamed]:
    """Wrap an elementwise function of feature maps, numbers and tensors with one value per channel."""

    def run(*args: Any, **kwargs: Any) -> Streamed:
        maps = [a for a in args if isinstance(a, Streamed)]
        fixed = [a for a in args if isinstance(a, Tensor)]
        if any(isinstance(a, Streamed) for a in kwargs.values()) or any(t.shape[-2:].numel() != 1 for t in fixed):
            raise unknown(f"{getattr(function, '__name__', function)} with a picture that is not tiled")
        kwargs.pop("inplace", None)
        channels = torch.broadcast_shapes(*((1, m.channels, 1, 1) for m in maps), *(t.shape for t in fixed))[1]

        def apply(*tiles: Tensor) -> Tensor:
            left = iter(tiles)
            return function(*(next(left) if isinstance(a, Streamed) else a for a in args), **kwargs)

        # A sum, such as a residual, is kept: else each later block would compute all sums before it again.
        return pointwise(apply, *maps, channels=channels, heavy=function is torch.add and len(maps) > 1)

    return run


def _conv2d(
    x: Streamed,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Streamed:
    if isinstance(padding, str):
        raise unknown(f"a convolution with padding={padding}")
    stride, padding, dilation = _pair(stride), _pair(padding), _pair(dilation)
    x = _pad(x, (padding[1], padding[1], padding[0], padding[0])) if any(padding) else x
    reach = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    size = [(side - k) // s + 1 for side, k, s in zip(x.sides, reach, stride, strict=True)]
    function = _precise(x, lambda tile: F.conv2d(tile, weight, bias, stride, 0, dilation, groups))
    step = Convolution(function, (reach[0], reach[1]), stride, (x.sides[0], x.sides[1]))
    return Streamed(x.work, (weight.shape[0], size[0], size[1]), step, [x], heavy=True)


def _conv_transpose2d(
    x: Streamed,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Streamed:
    stride, padding, extra = _pair(stride), _pair(padding), _pair(output_padding)
    if _pair(dilation) != (1, 1) or any(e > p for e, p in zip(extra, padding, strict=True)):
        raise unknown("a transposed convolution with dilation or more output padding than padding")
    sides = zip(x.sides, weight.shape[2:], stride, padding, extra, strict=True)
    size = [(side - 1) * s - 2 * p + k + e for side, k, s, p, e in sides]
    # input position i contributes to outputs s i - p to s i - p + k - 1
    halo = [-(-max(p, k - 1 - p) // s) for k, s, p in zip(weight.shape[2:], stride, padding, strict=True)]
    function = _precise(x, lambda tile: F.conv_transpose2d(tile, weight, bias, stride, groups=groups))
    step = Enlargement(function, stride, (halo[0], halo[1]), (x.sides[0], x.sides[1]), padding)
    return Streamed(x.work, (weight.shape[1] * groups, size[0], size[1]), step, [x], heavy=True)


def _pad(x: Streamed, pad: Any, mode: str = "constant", value: float | None = None) -> Streamed:
    left, right, top, bottom = (*pad, 0, 0)[:4]
    if len(pad) > 4 or mode not in ("reflect", "replicate", "constant") or min(pad) < 0:
        raise unknown(f"a padding {tuple(pad)} of mode {mode}")
    size = (x.sides[0] + top + bottom, x.sides[1] + left + right)
    step = Pad((top, left), (x.sides[0], x.sides[1]), mode, value or 0.0)
    return Streamed(x.work, (x.channels, *size), step, [x])


def _circular(x: Streamed, padding: tuple[int, int, int, int]) -> Streamed:
    left, right, top, bottom = padding
    size = (x.sides[0] + top + bottom, x.sides[1] + left + right)
    return Streamed(x.work, (x.channels, *size), Around((top, left), (x.sides[0], x.sides[1])), [x])


def _pool(function: Callable[..., Tensor]) -> Callable[..., Streamed]:
    def run(x: Streamed, kernel_size: Any, stride: Any = None, padding: Any = 0, **kwargs: Any) -> Streamed:
        kernel, stride, dilation = _pair(kernel_size), _pair(stride or kernel_size), _pair(kwargs.pop("dilation", 1))
        other = kwargs.keys() - {"ceil_mode", "return_indices"}
        if kernel != stride or any(_pair(padding)) or dilation != (1, 1) or other:
            raise unknown("a pooling with overlap or padding")
        ceil = bool(kwargs.get("ceil_mode"))
        size = [-(-side // k) if ceil else side // k for side, k in zip(x.sides, kernel, strict=True)]
        step = Convolution(
            lambda tile: function(tile, kernel, stride, ceil_mode=ceil), kernel, stride, (x.sides[0], x.sides[1])
        )
        return Streamed(x.work, (x.channels, size[0], size[1]), step, [x])

    return run


def _interpolate(
    x: Streamed, size: Any = None, scale_factor: Any = None, mode: str = "nearest", *args: Any, **kwargs: Any
) -> Streamed:
    factor = int(scale_factor or 0)
    if factor < 2 or factor != scale_factor or mode not in ("nearest", "bilinear") or any(kwargs.values()) or any(args):
        raise unknown(f"an interpolation {mode} by {scale_factor}")
    halo = (1, 1) if mode == "bilinear" else (0, 0)
    return _enlarged(x, factor, x.channels, lambda tile: F.interpolate(tile, scale_factor=factor, mode=mode), halo)


def _pixel_shuffle(x: Streamed, upscale_factor: int) -> Streamed:
    factor = upscale_factor
    return _enlarged(x, factor, x.channels // factor**2, lambda tile: F.pixel_shuffle(tile, factor))


def _enlarged(
    x: Streamed, factor: int, channels: int, function: Callable[[Tensor], Tensor], halo: Pair = (0, 0)
) -> Streamed:
    step = Enlargement(function, (factor, factor), halo, (x.sides[0], x.sides[1]))
    return Streamed(x.work, (channels, x.sides[0] * factor, x.sides[1] * factor), step, [x])


def _cat(maps: Any, dim: int = 0) -> Streamed:
    if dim not in (1, -3) or not all(isinstance(one, Streamed) for one in maps):
        raise unknown(f"torch.cat along {dim}")
    return pointwise(lambda *tiles: torch.cat(tiles, 1), *maps, channels=sum(one.channels for one in maps))


def _batch_norm(
    x: Streamed,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Streamed:
    if training or running_mean is None:
        raise unknown("a batch norm in training")
    return pointwise(
        lambda tile: F.batch_norm(tile, running_mean, running_var, weight, bias, eps=eps), x, channels=x.channels
    )


def _dropout(x: Streamed, p: float = 0.5, training: bool = True, inplace: bool = False) -> Streamed:
    if training and p > 0:
        raise unknown("dropout in training")
    return x


def _expand(x: Streamed, *sizes: int) -> Streamed:
    if len(sizes) != 4 or sizes[0] not in (-1, 1) or sizes[2:] != (-1, -1):
        raise unknown(f"expand to {sizes}")
    channels = x.channels if sizes[1] == -1 else sizes[1]
    return x if channels == x.channels else pointwise(lambda t: t.repeat(1, channels, 1, 1), x, channels=channels)


def _by_place(function: Callable[[Tensor, int, int], Tensor], x: Streamed) -> Streamed:
    return Streamed(x.work, (x.channels, x.sides[0], x.sides[1]), ByPlace(function), [x])


TILED_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    F.conv2d: _conv2d,
    F.conv_transpose2d: _conv_transpose2d,
    F.pad: _pad,
    F.max_pool2d: _pool(F.max_pool2d),
    F.avg_pool2d: _pool(F.avg_pool2d),
    F.interpolate: _interpolate,
    F.pixel_shuffle: _pixel_shuffle,
    torch.cat: _cat,
    F.group_norm: group_norm,
    F.instance_norm: instance_norm,
    F.batch_norm: _batch_norm,
    F.dropout: _dropout,
    by_place: _by_place,
    circular: _circular,
    grid_means: tiled_grid_means,
    **{
        function: _elementwise(function)
        for function in (
            *(
                F.relu,
                torch.relu,
                F.leaky_relu,
                torch.tanh,
                torch.atanh,
                torch.sigmoid,
                torch.clamp,
                torch.lerp,
                torch.addcmul,
            ),
            *(F.elu, F.gelu, F.silu, F.softplus),
            *(torch.add, torch.sub, torch.mul, torch.div),
        )
    },
}
FUNCTIONS.update(TILED_FUNCTIONS)
METHODS |= {
    "__getitem__": sliced,
    "flatten": flatten,
    "mean": mean,
    "amax": amax,
    "amin": amin,
    "expand": _expand,
    **{f.__name__: TILED_FUNCTIONS[f] for f in (torch.clamp, torch.relu, torch.sigmoid, torch.tanh)},
}
