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
        if kind == "instance_affine":
            scale, shift = (
                self.take(f"{name}.{part}", x.shape[1], low=low, high=high)[:, None, None]
                for part, low, high in (("weight", 0.5, 1.5), ("bias", -0.3, 0.3))
            )
            return self.norm(x, name, "instance") * scale + shift
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
    bias = norm.startswith("instance")

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
    bias = norm.startswith("instance")

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


def _norm(y: Tensor, eps: float = 1e-5) -> Tensor:
    return (y - y.mean((2, 3), keepdim=True)) / (y.var((2, 3), keepdim=True, correction=0) + eps).sqrt()


def _linear(weights: Weights, x: Tensor, name: str, width: int, *, bias: bool = True) -> Tensor:
    reach = 1 / x.shape[1] ** 0.5
    y = x @ weights.take(f"{name}.weight", width, x.shape[1], low=-reach, high=reach).T
    return y + weights.take(f"{name}.bias", width) if bias else y


def _reflected(y: Tensor, pad: int) -> Tensor:
    return F.pad(y, (pad,) * 4, "reflect")


def _anti_aliased_stem(weights: Weights, x: Tensor, name: str, ngf: int) -> Tensor:
    y = _norm(weights.convolution(_reflected(x, 3), f"{name}.1", ngf, 7)).clamp(min=0)
    for place, width in ((4, 2 * ngf), (8, 4 * ngf)):
        y = _halved(_norm(weights.convolution(y, f"{name}.{place}", width, 3, padding=1)).clamp(min=0))
        weights[f"{name}.{place + 3}.filt"] = _square((1, 2, 1), width)
    return y


def _enlarged(weights: Weights, y: Tensor, name: str, place: int) -> Tensor:
    weights[f"{name}.{place}.filt"] = 4 * _square((1, 3, 3, 1), y.shape[1])
    width = y.shape[1] // 2
    return weights.convolution(_doubled(_doubled(y, 2), 3), f"{name}.{place + 1}", width, 3, padding=1)


def santa(weights: Weights, x: Tensor, *, made: int = 3, ngf: int = 4, blocks: int = 5, size: int = 3) -> Tensor:
    """SANTA's G(x, 1) (Xie et al. 2023); half of the blocks, rounded down, are the encoder's."""
    code = weights.take("domain_embedding.weight", 2, size)[1:]

    def styled(y: Tensor, name: str) -> Tensor:
        both = _linear(weights, code, f"{name}.fc", 2 * y.shape[1])[:, :, None, None]
        return (1 + both[:, : y.shape[1]]) * _norm(y) + both[:, y.shape[1] :]

    y = _anti_aliased_stem(weights, x, "encoder", ngf)
    for block in range(blocks):
        encodes = block < blocks // 2
        name = f"encoder.{12 + block}" if encodes else f"decoder.{block - blocks // 2}"
        z = y
        for place in (1, 5):
            z = weights.convolution(_reflected(z, 1), f"{name}.conv_block.{place}", 4 * ngf, 3)
            z = _norm(z) if encodes else styled(z, f"{name}.conv_block.{place + 1}")
            z = z.clamp(min=0) if place == 1 else z
        y = y + z
    place = blocks - blocks // 2
    for _ in range(2):
        y = styled(_enlarged(weights, y, "decoder", place), f"decoder.{place + 2}").clamp(min=0)
        place += 4
    return weights.convolution(_reflected(y, 3), f"decoder.{place + 1}", made, 7).tanh()


def unsb(
    weights: Weights, x: Tensor, *, made: int = 3, ngf: int = 4, blocks: int = 3, z: Tensor | None = None
) -> Tensor:
    """One prediction of UNSB's G (Kim et al. 2024), as its code computes it, by the code z, or by ones."""
    wide = 4 * ngf
    code = torch.ones(1, wide, dtype=x.dtype) if z is None else z
    code = code / (code.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for place in (1, 3, 5, 7):
        code = F.leaky_relu(_linear(weights, code, f"z_transform.{place}", wide), 0.2)
    y = _anti_aliased_stem(weights, x, "model", ngf)
    for block in range(blocks):
        name = f"model_res.{block}"
        both = _linear(weights, code, f"{name}.adaptive.style_net", 2 * wide)[:, :, None, None]
        h = (both[:, :wide] * _norm(y) + both[:, wide:]).clamp(min=0)
        y = y + _norm(weights.convolution(_reflected(h, 1), f"{name}.conv_fin.2", wide, 3))
        weights.take(f"{name}.conv_block.1.weight", wide, wide, 3, 3)  # what is there and not used
        weights.take(f"{name}.Dense_time.bias", wide)
        weights.take(f"{name}.style.bias", 2 * wide)
    for place in (0, 4):
        y = _norm(_enlarged(weights, y, "model_upsample", place)).clamp(min=0)
    weights.take("time_embed.0.weight", wide, ngf)
    return weights.convolution(_reflected(y, 3), "model_upsample.9", made, 7).tanh()


def ugatit(weights: Weights, x: Tensor, *, made: int = 3, ngf: int = 4, blocks: int = 2, light: bool = False) -> Tensor:
    """U-GAT-IT's generator (Kim et al. 2020); of the full one the picture is of the size that it was made for."""
    wide = 4 * ngf

    def convolution(y: Tensor, name: str, width: int, kernel: int, pad: int, **options: int) -> Tensor:
        return weights.convolution(_reflected(y, pad), name, width, kernel, bias=False, **options)

    def blended(y: Tensor, name: str) -> Tensor:
        rho = weights.take(f"{name}.rho", 1, y.shape[1], 1, 1, low=0, high=1)
        parts = [(y - y.mean(d, keepdim=True)) / (y.var(d, keepdim=True) + 1e-5).sqrt() for d in ((2, 3), (1, 2, 3))]
        return rho * parts[0] + (1 - rho) * parts[1]

    y = _norm(convolution(x, "DownBlock.1", ngf, 7, 3)).clamp(min=0)
    for place, width in ((5, 2 * ngf), (9, wide)):
        y = _norm(convolution(y, f"DownBlock.{place}", width, 3, 1, stride=2)).clamp(min=0)
    for block in range(blocks):
        h = _norm(convolution(y, f"DownBlock.{12 + block}.conv_block.1", wide, 3, 1)).clamp(min=0)
        y = y + _norm(convolution(h, f"DownBlock.{12 + block}.conv_block.5", wide, 3, 1))
    maps = [y * weights.take(f"{name}.weight", 1, wide)[0, :, None, None] for name in ("gap_fc", "gmp_fc")]
    y = weights.convolution(torch.cat(maps, 1), "conv1x1", wide, 1).clamp(min=0)
    code = y.mean((2, 3)) if light else y.flatten(1)
    for place in (0, 2):
        code = _linear(weights, code, f"FC.{place}", wide, bias=False).clamp(min=0)
    gamma, beta = (_linear(weights, code, name, wide, bias=False)[:, :, None, None] for name in ("gamma", "beta"))
    for block in range(1, blocks + 1):
        name, h = f"UpBlock1_{block}", y
        for half in (1, 2):
            h = gamma * blended(convolution(h, f"{name}.conv{half}", wide, 3, 1), f"{name}.norm{half}") + beta
            h = h.clamp(min=0) if half == 1 else h
        y = y + h
    for place, width in ((2, 2 * ngf), (7, ngf)):
        y = convolution(y.repeat_interleave(2, 2).repeat_interleave(2, 3), f"UpBlock2.{place}", width, 3, 1)
        name = f"UpBlock2.{place + 1}"
        scale, shift = (weights.take(f"{name}.{part}", 1, width, 1, 1, low=0.5, high=1.0) for part in ("gamma", "beta"))
        y = (scale * blended(y, name) + shift).clamp(min=0)
    return convolution(y, "UpBlock2.11", made, 7, 3).tanh()
