"""Pictures that go round: the left border continues at the right one, the upper at the lower one, or both.

Textures are repeated, and panoramas of 360 degrees close. Inside `wrapping`, whatever a network pads is padded by what
stands at the opposite border: by explicit paddings, by those of convolutions, and where an enlargement looks beyond the
border. A network then gives a rolled picture's translation for a rolled picture, if it is rolled by a multiple of the
network's stride. No network knows of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function_unary

from gan_style.core.errors import UserError
from gan_style.networks.contract import grid_means
from gan_style.networks.padding import pad as by_reflection

Pair = tuple[int, int]
OFF = "turn wrap off (--wrap off; in training, no data.wrap)"  # for whoever reads a sentence, wherever that is
SIDES = {"x": (-1, "width"), "y": (-2, "height")}


class _Here(threading.local):
    """The mode of this thread: torch keeps modes for each thread, too, whatever context it runs in."""

    mode: _Wrapping | None = None


_here = _Here()


def directions() -> str:
    """Return in which directions pictures go round here: "x", "y", "xy", or "" for none."""
    return _here.mode.wrap if _here.mode else ""


@contextmanager
def wrapping(wrap: str | None) -> Iterator[None]:
    """Let pictures go round in the directions "x", "y" or "xy" inside a `with` block of this thread; None in none."""
    active = _here.mode
    if active is not None:  # one mode is enough, which a block inside changes
        before, active.wrap = active.wrap, wrap or ""
        try:
            yield
        finally:
            active.wrap = before
    else:
        with wrapping_again(wrap):
            yield


@contextmanager
def wrapping_again(wrap: str | None) -> Iterator[None]:
    """Let pictures go round in what a backward pass recomputes.

    Torch leaves modes out in backward passes, and on a GPU a thread of its own computes them.
    """
    if not wrap:
        yield
        return
    before, _here.mode = _here.mode, _Wrapping(wrap)
    try:
        with _here.mode:
            yield
    finally:
        _here.mode = before


@contextmanager
def wrapping_but(wrap: str | None, *networks: nn.Module) -> Iterator[None]:
    """Let pictures go round, but not in networks that are called as such (not by a method), nor in their hooks."""
    entered: list[AbstractContextManager[None]] = []

    def enter(*_: Any) -> None:
        entered.append(wrapping(None))
        entered[-1].__enter__()

    def leave(*_: Any) -> None:
        entered.pop().__exit__(None, None, None)

    handles = []
    for network in networks if wrap else ():
        handles.append(network.register_forward_pre_hook(enter, prepend=True))
        handles.append(network.register_forward_hook(leave, always_call=True))
    try:
        with wrapping(wrap):
            yield
    finally:
        for handle in handles:
            handle.remove()


def circular(x: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    """Pad [B, C, H, W] by what stands at the opposite border.

    Args:
        x: also a feature map that is computed tile by tile.
        padding: left, right, above and below; each may be longer than the side, which is then repeated.
    """
    if has_torch_function_unary(x):
        result: Tensor = handle_torch_function(circular, (x,), x, padding)
        return result
    for dim, before, after in ((-1, *padding[:2]), (-2, *padding[2:])):
        side = x.shape[dim]
        if before or after:
            if max(before, after) > side:
                x = x.index_select(dim, torch.arange(-before, side + after, device=x.device) % side)
            else:
                x = torch.cat([x.narrow(dim, side - before, before), x, x.narrow(dim, 0, after)], dim)
    return x


def require_whole_steps(side: int, multiple: int, dim: int) -> None:
    """Raise a UserError if pictures go round along a dimension, -1 or -2, whose side is not such a multiple."""
    if side % multiple and any(SIDES[letter][0] == dim for letter in directions()):
        raise _not_whole(side, multiple, dim)


def _not_whole(side: int, multiple: int, dim: int) -> UserError:
    below, above = side // multiple * multiple, -(-side // multiple) * multiple
    nearest = f"{below} or {above}" if below else str(above)
    return UserError(
        f"wrap={directions()} wants a {dict(SIDES.values())[dim]} that is a multiple of {multiple}, the stride of this "
        f"network, and not {side} pixels: resize the picture to {nearest}, or {OFF}"
    )


def _refused(what: str) -> UserError:
    return UserError(f"wrap={directions()} cannot be, because this network has {what}: take another one, or {OFF}")


class _Wrapping(TorchFunctionMode):
    """Torch's functions with circular padding, while it is active.

    Args:
        wrap: the directions.
    """

    def __init__(self, wrap: str) -> None:
        super().__init__()
        self.wrap = wrap
        self._sides: dict[int, int] = {}  # of the first feature map along each dimension, which is the picture's
        self._padded: dict[int, tuple[int, int]] = {}  # along each, the side before and after the newest padding

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = _FUNCTIONS.get(function) if self.wrap else None
        return function(*args, **(kwargs or {})) if known is None else known(self, *args, **(kwargs or {}))

    @property
    def round(self) -> tuple[bool, bool]:
        """Pair of flags: rows go round, columns go round."""
        return "y" in self.wrap, "x" in self.wrap

    def padded(self, x: Tensor, rows: Pair, columns: Pair) -> Tensor:
        """Pad rows above and below and columns at the left and right, where they go round."""
        rows, columns = (one if goes else (0, 0) for one, goes in zip((rows, columns), self.round, strict=True))
        for dim, amounts in ((-2, rows), (-1, columns)):
            self._sides.setdefault(dim, x.shape[dim])
            if any(amounts):
                self._padded[dim] = (x.shape[dim], x.shape[dim] + sum(amounts))
        return circular(x, (*columns, *rows)) if any((*columns, *rows)) else x

    def require_whole_steps(self, x: Tensor, kernel: Pair, stride: Pair) -> None:
        """Refuse a stride that does not divide the side which a feature map had before it was padded."""
        for dim, size, step, goes in zip((-2, -1), kernel, stride, self.round, strict=True):
            before, after = self._padded.get(dim, (0, 0))
            side = before if after == x.shape[dim] else x.shape[dim] if size == step else 0  # 0 is not known
            if goes and side % step:
                whole = self._sides.get(dim, side)
                scale = whole // side if whole % side == 0 else 1  # 1 where that was the side of another picture
                raise _not_whole(side * scale, step * scale, dim)

    def left(self, amounts: Pair) -> Pair:
        """Return amounts for rows and columns that do not go round; the others get 0."""
        return 0 if self.round[0] else amounts[0], 0 if self.round[1] else amounts[1]

    def cut(self, y: Tensor, starts: Pair, sides: Pair) -> Tensor:
        """Cut what was padded from rows and columns that go round."""
        spans = [
            slice(start, start + side) if goes else slice(0, whole)
            for goes, start, side, whole in zip(self.round, starts, sides, y.shape[-2:], strict=True)
        ]
        return y[..., spans[0], spans[1]]


def _pair(value: Any) -> Pair:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _pad(around: _Wrapping, x: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    left, right, top, bottom = (*pad, 0, 0)[:4]
    if len(pad) > 4 or x.dim() != 4 or min(left, right, top, bottom) < 0:
        return F.pad(x, pad, mode, value)
    x = around.padded(x, (top, bottom), (left, right))
    (top, left), (bottom, right) = around.left((top, left)), around.left((bottom, right))
    if not any((left, right, top, bottom)):
        return x
    others = (left, right, top, bottom)
    return F.pad(x, others, mode, value) if mode == "constant" else by_reflection(x, others, mode)


def _conv2d(
    around: _Wrapping,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str):
        raise _refused(f"a convolution with padding={padding}")
    rows, columns = _pair(padding)
    x = around.padded(x, (rows, rows), (columns, columns))
    around.require_whole_steps(x, _pair(weight.shape[2:]), _pair(stride))
    return F.conv2d(x, weight, bias, stride, around.left((rows, columns)), dilation, groups)


def _conv_transpose2d(
    around: _Wrapping,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Make s outputs of each input, of which every one gets its share of the inputs beyond the border, too."""
    if _pair(dilation) != (1, 1):
        raise _refused("a transposed convolution with dilation")
    steps, cut, more, sides = _pair(stride), _pair(padding), _pair(output_padding), _pair(x.shape[-2:])
    sizes = zip(weight.shape[2:], more, cut, steps, around.round, strict=True)
    if any(goes and k + e - 2 * p != s for k, e, p, s, goes in sizes):
        raise _refused("a transposed convolution that does not enlarge by its stride alone")
    # Input i gives to the outputs from i s - p to i s - p + k - 1.
    rows, columns = (-(-max(p, k - 1 - p) // s) for k, s, p in zip(weight.shape[2:], steps, cut, strict=True))
    x = around.padded(x, (rows, rows), (columns, columns))
    y = F.conv_transpose2d(x, weight, bias, stride, around.left(cut), around.left(more), groups)
    starts = (rows * steps[0] + cut[0], columns * steps[1] + cut[1])
    return around.cut(y, starts, (sides[0] * steps[0], sides[1] * steps[1]))


def _interpolate(
    around: _Wrapping, x: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", **others: Any
) -> Tensor:
    if mode == "nearest":
        return F.interpolate(x, size, scale_factor, mode, **others)
    factor = int(scale_factor or 0)
    if mode != "bilinear" or factor < 2 or factor != scale_factor or any(others.values()):
        raise _refused(f"an interpolation {mode} by {scale_factor}")
    sides = x.shape[-2:]
    y = F.interpolate(around.padded(x, (1, 1), (1, 1)), scale_factor=factor, mode=mode)
    return around.cut(y, (factor, factor), (sides[0] * factor, sides[1] * factor))


def _pool(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(around: _Wrapping, x: Tensor, kernel_size: Any, stride: Any = None, *args: Any, **kwargs: Any) -> Tensor:
        if any(args) or kwargs.get("padding"):
            raise _refused("a pooling with padding")
        around.require_whole_steps(x, _pair(kernel_size), _pair(stride or kernel_size))
        return function(x, kernel_size, stride, **kwargs)

    return run


def _grid_means(around: _Wrapping, x: Tensor, sides: Pair) -> Tensor:
    raise _refused("weights for each place of a picture")


_FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    F.pad: _pad,
    F.conv2d: _conv2d,
    F.conv_transpose2d: _conv_transpose2d,
    F.interpolate: _interpolate,
    F.avg_pool2d: _pool(F.avg_pool2d),
    F.max_pool2d: _pool(F.max_pool2d),
    grid_means: _grid_means,
}
