"""The official generators in plain functions: they make random weights under the official names as they run.

After the papers (Zhu et al. 2017, Isola et al. 2017, Zhang 2019) and the numbering of the published files: a layer of
the official `nn.Sequential` has the number of its place, and layers without weights have one, too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Weights(dict[str, Tensor]):
    """A state dict that draws what is asked for and not there yet; float64."""

    def take(self, name: str, *shape: int, low: float = -0.3, high: float = 0.3) -> Tensor:
        if name not in self:
            self[name] = (torch.rand(*shape, dtype=torch.float64) * (high - low) + low).float().double()
        return self[name]

    def convolution(
        self, x: Tensor, name: str, width: int, kernel: int, *, bias: bool = True, up: bool = False, **options: int
    ) -> Tensor:
        shape = (x.shape[1], width) if up else (width, x.shape[1])
        reach = 1.5 / (x.shape[1] * kernel**2) ** 0.5  # the last tanh then saturates nowhere
        weight = self.take(f"{name}.weight", *shape, kernel, kernel, low=-reach, high=reach)
        offset = self.take(f"{name}.bias", width) if bias else None
        return (F.conv_transpose2d if up else F.conv2d)(x, weight, offset, **options)

    def norm(self, x: Tensor, name: str, kind: str) -> Tensor:
        if kind == "none":
            return x
        if kind == "instance":
            mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
            return (x - mean) / (variance + 1e-5).sqrt()
        self[f"{name}.num_batches_tracked"] = torch.tensor(7)
        parts = ("weight", 0.5, 1.5), ("bias", -0.3, 0.3), ("running_mean", -0.3, 0.3), ("running_var", 0.5, 1.5)
        scale, shift, mean, variance = (
            self.take(f"{name}.{part}", x.shape[1], low=low, high=high)[:, None, None] for part, low, high in parts
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def file(self) -> dict[str, Tensor]:
        """As it is published: float32."""
        return {name: value.float() if value.is_floating_point() else value for name, value in self.items()}


def resnet(
    weights: Weights,
    x: Tensor,
    *,
    made: int = 3,
    ngf: int = 4,
    blocks: int = 3,
    norm: str = "instance",
    dropout: bool = False,
    antialias: bool = False,
    antialias_up: bool = False,
) -> Tensor:
    """resnet_Nblocks of CycleGAN; with anti-aliasing that of CUT. Sides are multiples of 4."""
    bias = norm == "instance"

    def layer(y: Tensor, place: int, width: int, kernel: int, **options: int) -> Tensor:
        y = weights.convolution(y, f"model.{place}", width, kernel, bias=bias, **options)
        return weights.norm(y, f"model.{place + 1}", norm).clamp(min=0)

    y = layer(F.pad(x, (3, 3, 3, 3), "reflect"), 1, ngf, 7)
    place = 4
    for width in (2 * ngf, 4 * ngf):
        y = layer(y, place, width, 3, padding=1, stride=1 if antialias else 2)
        place += 3
        if antialias:
            y = _halved(y)
            weights[f"model.{place}.filt"] = _square((1, 2, 1), width)
            place += 1
    for _ in range(blocks):
        z = y
        for number in (1, 5 + dropout):
            name = f"model.{place}.conv_block.{number}"
            z = weights.convolution(F.pad(z, (1, 1, 1, 1), "reflect"), name, 4 * ngf, 3, bias=bias)
            z = weights.norm(z, f"model.{place}.conv_block.{number + 1}", norm)
            z = z.clamp(min=0) if number == 1 else z
        y = y + z
        place += 1
    for width in (2 * ngf, ngf):
        if antialias_up:
            weights[f"model.{place}.filt"] = 4 * _square((1, 3, 3, 1), 2 * width)
            y = layer(_doubled(_doubled(y, 2), 3), place + 1, width, 3, padding=1)
            place += 4
        else:
            y = layer(y, place, width, 3, up=True, stride=2, padding=1, output_padding=1)
            place += 3
    y = weights.convolution(F.pad(y, (3, 3, 3, 3), "reflect"), f"model.{place + 1}", made, 7)
    return y.tanh()


def unet(weights: Weights, x: Tensor, *, made: int = 3, ngf: int = 4, depth: int = 5, norm: str = "instance") -> Tensor:
    """unet_128 (depth 7) and unet_256 (depth 8) of pix2pix. Sides are multiples of 2 ** depth."""
    bias = norm == "instance"

    def level(y: Tensor, number: int, name: str) -> Tensor:
        """What a level adds to its input, which the level around it puts beside it."""
        width, outermost, innermost = ngf * min(2**number, 8), number == 0, number == depth - 1
        outer = made if outermost else ngf * min(2 ** (number - 1), 8)
        place = 0 if outermost else 1
        z = y if outermost else F.leaky_relu(y, 0.2)
        z = weights.convolution(z, f"{name}.{place}", width, 4, bias=bias, stride=2, padding=1)
        place += 1
        if not outermost and not innermost:
            z = weights.norm(z, f"{name}.{place}", norm)
            place += 1
        if not innermost:
            z = torch.cat((F.leaky_relu(z, 0.2), level(z, number + 1, f"{name}.{place}.model")), dim=1)
            place += 1
        last = outermost or bias
        z = weights.convolution(
            z.clamp(min=0), f"{name}.{place + 1}", outer, 4, bias=last, up=True, stride=2, padding=1
        )
        return z.tanh() if outermost else weights.norm(z, f"{name}.{place + 2}", norm)

    return level(x, 0, "model.model")


def _square(row: tuple[int, ...], channels: int) -> Tensor:
    values = torch.tensor([[float(a * b) for a in row] for b in row], dtype=torch.float64)
    return (values / values.sum()).expand(channels, 1, -1, -1).clone()


def _halved(y: Tensor) -> Tensor:
    """Every second of the means 1-2-1 over rows and columns, mirrored at the border."""
    for dim in (2, 3):
        size = y.shape[dim]
        places = torch.arange(0, size, 2)
        before, after = (places - 1).abs(), (size - 1 - (size - 2 - places).abs())
        y = (y.index_select(dim, before) + 2 * y.index_select(dim, places) + y.index_select(dim, after)) / 4
    return y


def _doubled(y: Tensor, dim: int) -> Tensor:
    """1-3-3-1: each of two new rows takes 3/4 of its old one and 1/4 of the next, the border repeated."""
    size = y.shape[dim]
    places = torch.arange(size)
    before, after = (y.index_select(dim, (places + step).clamp(0, size - 1)) for step in (-1, 1))
    return torch.stack(((before + 3 * y) / 4, (3 * y + after) / 4), dim + 1).flatten(dim, dim + 1)
