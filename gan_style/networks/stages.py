"""Training on a CPU in stages: a norm, an activation, a padding and the convolution after them are computed as one.

Maps and weights are channels-last, which oneDNN reads without reordering, and weights are brought into that layout once
per iteration. Only outputs of convolutions are kept for the backward pass, which recomputes the rest. In float32 wide
3x3 convolutions are Winograd's (`networks.winograd`). Where autocast to bfloat16 is on, maps stay in bfloat16 from one
convolution to the next, with statistics in float32; torch's own autocast takes every padding through float32.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeGuard, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gan_style.core.precision import at_least_float32
from gan_style.networks.blocks import InstanceNorm2d
from gan_style.networks.fast_convolutions import (
    MAX_CHANNELS_BY_ROWS,
    by_rows,
    instance_norm,
    is_plain,
    replaced_forwards,
    rows_of_kernel,
    rows_of_output,
    takes_winograd,
)
from gan_style.networks.winograd import winograd, winograd_gradients

LAST = torch.channels_last
MAX_PATCHES_AS_PRODUCT = 2**21  # numbers in all patches that a convolution sees: more do not stay in the cache
_aten = torch.ops.aten


class _Stage(NamedTuple):
    """Layers computed as one, of a map [B, C, H, W]: norm, activation, reflection padding, convolution, in order."""

    eps: float | None = None  # of an instance norm; None: none
    slope: float | None = None  # of a leaky ReLU, 0 of a ReLU; None: none
    pad: int = 0
    layer: nn.Conv2d | nn.ConvTranspose2d | None = None

    @property
    def by_rows(self) -> bool:
        """True if the convolution has so few outputs that it is computed row by row of its kernel."""
        layer = self.layer
        if not isinstance(layer, nn.Conv2d) or layer.out_channels > MAX_CHANNELS_BY_ROWS:
            return False
        return (layer.stride, layer.padding) == ((1, 1), (0, 0))


class _Kept:
    """Shared by the passes of an iteration: weights as they are computed with, and memory that stays in the cache."""

    def __init__(self) -> None:
        self._weights: dict[Tensor, tuple[Any, Tensor]] = {}  # weight -> its version; as it is computed with
        self._trained: dict[Tensor, tuple[Any, Tensor]] = {}  # the same, connected to the weight by autograd
        self._scratch: dict[torch.dtype, Tensor] = {}

    def weight(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a weight in a type, channels-last, made anew only after a step of the optimiser.

        All passes of a turn have the same one, so that their gradients are summed before they are cast back.
        """
        version = dtype, -1 if weight.is_inference() else weight._version  # inference tensors have none
        made = _latest(self._weights, weight, version, lambda w: _as_computed(w, dtype))
        if not (weight.requires_grad and torch.is_grad_enabled()):
            return made
        return _latest(self._trained, weight, version, lambda w: _Connected.apply(w, made))

    def patches(self, views: Tensor) -> Tensor:
        """Copy overlapping views of a map into the shared memory, valid until the next call."""
        kept = self._scratch.get(views.dtype)
        if kept is None or kept.numel() < views.numel():
            kept = self._scratch[views.dtype] = views.new_empty(views.numel())
        return kept[: views.numel()].view(views.shape).copy_(views)


def _latest(
    kept: dict[Tensor, tuple[Any, Tensor]], weight: Tensor, version: Any, make: Callable[[Tensor], Tensor]
) -> Tensor:
    if weight not in kept or kept[weight][0] != version:
        kept[weight] = version, make(weight)
    return kept[weight][1]


def _as_computed(weight: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(weight.is_inference()):  # what is made while scoring may be kept for a backward pass
        # Reordered first: one copy that also casts takes a third longer.
        return weight.detach().contiguous(memory_format=LAST).to(dtype)


class _Connected(torch.autograd.Function):
    """Autograd function: returns what was made of a weight; the gradient goes to the weight, in its type and layout."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, made: Tensor) -> Tensor:
        ctx.dtype = weight.dtype
        return made.view_as(made)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.empty(gradient.shape, dtype=ctx.dtype).copy_(gradient), None


@contextmanager
def stages(*models: nn.Module) -> Iterator[None]:
    """Compute models on a CPU in stages inside a `with` block.

    Gradients are only once differentiable. Weights, their gradients and the outputs of convolutions to few channels, as
    those of pictures, are in float32. A module whose `forward` was replaced before is left alone.
    """
    kept = _Kept()
    with replaced_forwards(models, lambda module: _forward_of(module, kept)):
        yield


def _forward_of(module: nn.Module, kept: _Kept) -> Callable[..., Tensor] | None:
    if _is_sequence(module):
        return functools.partial(_sequence, module, kept)
    if (stage := _extended(_Stage(), module)) is not None and (stage.layer is not None or stage.eps is not None):
        return functools.partial(_one, module, stage, kept)
    if isinstance(module, InstanceNorm2d) and not module.track_running_stats:  # with weights of its own
        return functools.partial(instance_norm, module)
    return None


def _one(module: nn.Module, stage: _Stage, kept: _Kept, *inputs: Any, **named: Any) -> Tensor:
    if named or len(inputs) != 1:
        y: Tensor = type(module).forward(module, *inputs, **named)
        return y
    return _computed(stage, inputs[0], (module,), kept)


def _sequence(module: nn.Sequential, kept: _Kept, x: Tensor) -> Tensor:
    """Compute a sequence in stages."""
    stage, pending = _Stage(), list[nn.Module]()
    for layer in _flat(module):
        longer = None if _has_hooks(layer) else _extended(stage, layer)
        if longer is None and pending:
            x, stage, pending = _computed(stage, x, pending, kept), _Stage(), []
            longer = None if _has_hooks(layer) else _extended(stage, layer)
        if longer is None:
            x = layer(x)
        else:
            stage, pending = longer, [*pending, layer]
    return _computed(stage, x, pending, kept) if pending else x


def _is_sequence(module: nn.Module) -> TypeGuard[nn.Sequential]:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _flat(module: nn.Sequential) -> Iterator[nn.Module]:
    for layer in module:
        if _is_sequence(layer) and not _has_hooks(layer):
            yield from _flat(layer)
        else:
            yield layer


def _has_hooks(layer: nn.Module) -> bool:
    """Check whether somebody looks at a layer's input or output, which a stage of several layers does not show."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)


def _extended(stage: _Stage, layer: nn.Module) -> _Stage | None:
    """Return the stage with one more layer, or None if that layer cannot be its next."""
    if stage.layer is not None:
        return None
    if (is_plain(layer) and not isinstance(layer.padding, str)) or _is_plain_transposed(layer):
        return stage._replace(layer=layer)
    if stage.pad:
        return None
    if isinstance(layer, nn.ReflectionPad2d) and len(set(layer.padding)) == 1 and layer.padding[0] > 0:
        return stage._replace(pad=layer.padding[0])
    if stage.slope is not None:
        return None
    if isinstance(layer, nn.ReLU | nn.LeakyReLU):
        return stage._replace(slope=getattr(layer, "negative_slope", 0.0))
    if isinstance(layer, InstanceNorm2d) and stage.eps is None and not (layer.affine or layer.track_running_stats):
        return stage._replace(eps=layer.eps)
    return None


def _is_plain_transposed(layer: nn.Module) -> TypeGuard[nn.ConvTranspose2d]:
    """Check whether a module is a transposed convolution without groups, dilation or parametrization."""
    if not isinstance(layer, nn.ConvTranspose2d) or parametrize.is_parametrized(layer):
        return False
    return layer.groups == 1 and layer.dilation == (1, 1)


def _computed(stage: _Stage, x: Tensor, layers: Sequence[nn.Module], kept: _Kept) -> Tensor:
    """Compute a stage, or its layers one by one where there is nothing to gain or the maps are of another kind."""
    alone = stage.layer is None and stage.eps is None
    dtype = _dtype_of(x) if x.dim() == 4 else None
    if alone or dtype is None or (stage.eps is not None and x.shape[-2:].numel() == 1):  # which a norm refuses
        if len(layers) == 1:
            return type(layers[0]).forward(layers[0], x)  # its own `forward` leads here
        return functools.reduce(lambda y, layer: layer(y), layers, x)
    x = x.to(dtype, memory_format=LAST).contiguous(memory_format=LAST)
    if stage.layer is None:
        y: Tensor = _Computation.apply(x, None, None, stage, kept)
    else:
        y = _Computation.apply(x, kept.weight(stage.layer.weight, dtype), stage.layer.bias, stage, kept)
    return y


def _dtype_of(x: Tensor) -> torch.dtype | None:
    """Return the type that a convolution of x computes in; None if stages do not."""
    if x.device.type != "cpu" or not x.is_floating_point():
        return None
    if torch.is_autocast_enabled("cpu"):
        in_bf16 = torch.get_autocast_dtype("cpu") == torch.bfloat16 and x.dtype in (torch.float32, torch.bfloat16)
        return torch.bfloat16 if in_bf16 else None
    return x.dtype if x.dtype in (torch.float32, torch.float64) else None


class _Computation(torch.autograd.Function):
    """Autograd function of one `_Stage`, which keeps its input and recomputes all but the convolution."""

    @staticmethod
    @torch.autocast("cpu", enabled=False)
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, stage: _Stage, kept: _Kept) -> Tensor:
        ctx.stage, ctx.kept, ctx.statistics = stage, kept, [] if stage.eps is None else _statistics(x)
        ctx.save_for_backward(x, weight)
        light = _light(stage, x, ctx.statistics)
        return light if weight is None else _convolve(stage, light, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    @torch.autocast("cpu", enabled=False)
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        stage, (of_input, of_weight, of_bias) = ctx.stage, ctx.needs_input_grad[:3]
        light = _light(stage, x, ctx.statistics) if of_weight or stage.slope is not None else x
        into_bias = gradient.sum((0, 2, 3), dtype=at_least_float32(x[:0]).dtype) if of_bias else None
        into_light: Tensor | None = gradient
        into_weight: Tensor | None = None
        if weight is not None:
            into_light, into_weight = _gradients(stage, gradient, light, weight, (of_input, of_weight), ctx.kept)
        into_x = None
        if of_input and into_light is not None:
            into_x = _light_backward(stage, into_light, x, light, ctx.statistics)
        return into_x, into_weight, into_bias, None, None


def _statistics(x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return mean and variance [C] of every channel, at least in float32, for each picture of a batch."""
    return [_aten.batch_norm_update_stats(one, None, None, 0.0) for one in x.split(1)]


def _are_finite(values: tuple[Tensor, Tensor]) -> bool:
    return math.isfinite(sum(float(one.sum()) for one in values))


def _light(stage: _Stage, x: Tensor, statistics: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Compute the layers of a stage before its convolution."""
    y = x
    if stage.eps is not None:
        parts = [
            _aten.native_batch_norm(one, None, None, *values, False, 0.0, stage.eps)[0]
            for one, values in zip(x.split(1), statistics, strict=True)
        ]
        y = parts[0] if len(parts) == 1 else torch.cat(parts)
    if stage.slope == 0:
        # The sign of a number in bfloat16 is that of the integer with the same bits, and integers are compared faster;
        # but NaN, which would become 0, may have either sign, and shows in the statistics of its channel.
        by_bits = y.dtype == torch.bfloat16 and statistics and all(map(_are_finite, statistics))
        bits = y.view(torch.int16) if by_bits else y
        y = (bits.clamp_min(0) if y is x else bits.clamp_min_(0)).view(y.dtype)
    elif stage.slope is not None:
        y = F.leaky_relu(y, stage.slope, inplace=y is not x)
    return F.pad(y, (stage.pad,) * 4, "reflect") if stage.pad else y


def _light_backward(
    stage: _Stage, gradient: Tensor, x: Tensor, light: Tensor, statistics: Sequence[tuple[Tensor, Tensor]]
) -> Tensor:
    """Compute the gradient of `_light` from that of its output; x is its input and `light` its output."""
    if stage.pad:
        gradient = _aten.reflection_pad2d_backward(gradient, x, [stage.pad] * 4)
        light = light[..., stage.pad : -stage.pad, stage.pad : -stage.pad]
    if stage.slope:
        gradient = _aten.leaky_relu_backward(gradient, light, stage.slope, True)
    elif stage.slope is not None:
        gradient = _aten.threshold_backward(gradient, light, 0)
    if stage.eps is None:
        return gradient
    gradient = gradient.contiguous(memory_format=LAST)
    parts = [
        _aten.native_batch_norm_backward(
            given, one, None, None, None, mean, (variance + stage.eps).rsqrt(), True, stage.eps, [True, False, False]
        )[0]
        for given, one, (mean, variance) in zip(gradient.split(1), x.split(1), statistics, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _convolve(stage: _Stage, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    layer = stage.layer
    assert layer is not None
    if stage.by_rows:
        return by_rows(x, weight, bias)
    bias = None if bias is None else bias.to(x.dtype)
    if isinstance(layer, nn.ConvTranspose2d):
        padding = cast(tuple[int, int], layer.padding)
        return F.conv_transpose2d(x, weight, bias, layer.stride, padding, layer.output_padding)
    if takes_winograd(layer, x):
        return winograd(x, weight, bias)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding)


def _gradients(
    stage: _Stage, gradient: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool], kept: _Kept
) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of a convolution's input and weight that are wanted, in the type of the weight."""
    layer, (of_input, of_weight), kernel = stage.layer, wanted, weight
    assert layer is not None
    if isinstance(layer, nn.Conv2d) and not stage.by_rows and takes_winograd(layer, x):
        return winograd_gradients(gradient, x, weight, of_input, of_weight)
    if stage.by_rows:
        gradient, kernel = rows_of_output(gradient, weight), rows_of_kernel(weight)
    gradient = gradient.contiguous(memory_format=LAST)
    as_product = of_weight and isinstance(layer, nn.Conv2d) and not stage.by_rows and _is_small(gradient, weight)
    into_x, into_weight, _ = _aten.convolution_backward(
        *(gradient, x, kernel, None, layer.stride, layer.padding, layer.dilation),
        *(isinstance(layer, nn.ConvTranspose2d), layer.output_padding, layer.groups),
        [of_input, of_weight and not as_product, False],
    )
    if as_product and isinstance(layer, nn.Conv2d):
        into_weight = _weight_gradient(gradient, x, layer, kept)
    elif stage.by_rows and of_weight:
        outputs, inputs, height, width = weight.shape
        into_weight = into_weight.view(outputs, height, inputs, width).transpose(1, 2)
    return into_x, into_weight


def _is_small(gradient: Tensor, weight: Tensor) -> bool:
    """Check whether the patches that a convolution sees stay in the cache as a matrix."""
    return gradient.shape[0] * gradient.shape[2:].numel() * weight[0].numel() <= MAX_PATCHES_AS_PRODUCT


def _weight_gradient(gradient: Tensor, x: Tensor, layer: nn.Conv2d, kept: _Kept) -> Tensor:
    """Compute the gradient [O, I, k, l] of a small convolution's weight as one matrix product.

    oneDNN's takes up to four times as long where a map has fewer pixels than channels (docs/performance.md).
    """
    (above, left), (height, width) = cast(tuple[int, int], layer.padding), layer.kernel_size
    views = F.pad(x, (left, left, above, above)).unfold(2, height, layer.stride[0]).unfold(3, width, layer.stride[1])
    patches = kept.patches(views.permute(0, 2, 3, 4, 5, 1))
    by_output = gradient.transpose(0, 1).reshape(gradient.shape[1], -1)  # contiguous: a transposed factor is slower
    product = by_output @ patches.view(by_output.shape[1], -1)
    return product.view(-1, height, width, x.shape[1]).permute(0, 3, 1, 2)
