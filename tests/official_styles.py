"""Published models of styles in plain functions: they make random weights under the official names as they run.

After the papers (Johnson et al. 2016, Huang and Belongie 2017, Wang et al. 2023) and the names in published files.
Pictures are in [0, 1], those of the fast style net in [0, 255].
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from tests.official_generators import Weights

EPS = 1e-5


def reflected(
    weights: Weights, x: Tensor, name: str, width: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> Tensor:
    """A convolution with a reflected border."""
    reach = 1.5 / (x.shape[1] // groups * kernel**2) ** 0.5
    weight = weights.take(f"{name}.weight", width, x.shape[1] // groups, kernel, kernel, low=-reach, high=reach)
    x = F.pad(x, (kernel // 2,) * 4, "reflect") if kernel > 1 else x
    return F.conv2d(x, weight, weights.take(f"{name}.bias", width), stride, groups=groups)


# MicroAST


def micro_encoder(weights: Weights, x: Tensor) -> list[Tensor]:
    def layer(x: Tensor, place: str, width: int, kernel: int, **options: int) -> Tensor:
        return reflected(weights, x, f"{place}.conv_layer", width, kernel, **options)

    def block(x: Tensor, place: str) -> Tensor:
        return x + layer(layer(x, f"{place}.conv1", 64, 3).relu(), f"{place}.conv2", 64, 3)

    x = layer(x, "enc1.0", 16, 9).relu()
    x = layer(x, "enc1.2", 32, 3, stride=2, groups=16).relu()
    x = layer(x, "enc1.4", 32, 1).relu()
    x = layer(x, "enc1.6", 64, 3, stride=2, groups=32).relu()
    near = block(layer(x, "enc1.8", 64, 1).relu(), "enc1.10")
    return [near, block(near, "enc2.0")]


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased deviation of each channel."""
    return x.mean((2, 3), keepdim=True), (x.var((2, 3), keepdim=True) + EPS).sqrt()


def restyled(x: Tensor, style: Tensor) -> Tensor:
    (mean, std), (new_mean, new_std) = moments(x), moments(style)
    return (x - mean) / std * new_std + new_mean


def microast(parts: Mapping[str, Weights], content: Tensor, style: Tensor) -> Tensor:
    """Stylize; `parts` are the weights of content_encoder, style_encoder, modulator and decoder."""
    x, styles = micro_encoder(parts["content_encoder"], content), micro_encoder(parts["style_encoder"], style)
    weights = parts["decoder"]

    def signal(kind: str, level: int) -> Tensor:
        one = reflected(parts["modulator"], styles[level], f"{kind}{level + 1}.0.conv_layer", 64, 3, groups=64)
        return one.mean((2, 3), keepdim=True)

    def block(x: Tensor, place: str, level: int) -> Tensor:
        weight, bias = signal("weight", level), signal("bias", level)
        y = (weight * reflected(weights, x, f"{place}.conv1.conv_layer", 64, 3) + bias * x).relu()
        return x + weight * reflected(weights, y, f"{place}.conv2.conv_layer", 64, 3) + bias * y

    y = block(restyled(x[1], styles[1]), "dec1", 1)
    y = block(restyled(y, styles[0]), "dec2", 0)
    for place, width in ((1, 32), (6, 16)):
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        y = reflected(weights, y, f"dec3.{place}.conv_layer", width, 3, groups=width).relu()
        y = reflected(weights, y, f"dec3.{place + 2}.conv_layer", width, 1).relu()
    return reflected(weights, y, "dec3.10.conv_layer", 3, 9)


# AdaIN and WCT: a VGG with normalised features, and a decoder that mirrors it

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 1))  # width, and convolutions up to relu4_1


def vgg(weights: Weights, x: Tensor, depth: int) -> Tensor:
    """The features after the first convolution of a block, pooled by ceil as published."""
    x = F.conv2d(x, weights.take("0.weight", 3, 3, 1, 1), weights.take("0.bias", 3))
    place = 2
    for block, (width, count) in enumerate(BLOCKS[:depth], 1):
        if block > 1:
            x, place = F.max_pool2d(x, 2, ceil_mode=True), place + 1
        for _ in range(1 if block == depth else count):
            x, place = reflected(weights, x, f"{place}", width, 3).relu(), place + 3
    return x


def features_decoder(weights: Weights, x: Tensor, depth: int) -> Tensor:
    """From the features of a block to a picture: a reflection, a convolution, a ReLU, and a doubling between blocks."""
    widths = [width for width, _ in BLOCKS]
    place = 1
    x, place = reflected(weights, x, f"{place}", widths[depth - 2], 3).relu(), place + 3
    for level in reversed(range(depth - 1)):
        x, place = F.interpolate(x, scale_factor=2), place + 1
        width, count = BLOCKS[level]
        for step in range(count):
            last = step + 1 == count
            x = reflected(weights, x, f"{place}", width if not last else widths[level - 1] if level else 3, 3)
            x, place = (x if last and not level else x.relu()), place + 3
    return x


def adain(parts: Mapping[str, Weights], content: Tensor, style: Tensor, depth: int) -> Tensor:
    """Stylize with the paper's deviations, which are biased."""
    x, y = (vgg(parts["vgg"], one, depth) for one in (content, style))

    def biased(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3), keepdim=True), (x.var((2, 3), keepdim=True, correction=0) + EPS).sqrt()

    (mean, std), (new_mean, new_std) = biased(x), biased(y)
    return features_decoder(parts["decoder"], (x - mean) / std * new_std + new_mean, depth)


# The fast style net


def fast_style(weights: Weights, x: Tensor, *, width: int = 4, blocks: int = 2) -> Tensor:
    def norm(x: Tensor, name: str) -> Tensor:
        return weights.norm(x, name, "instance_affine")

    def layer(x: Tensor, name: str, width: int, kernel: int, stride: int = 1) -> Tensor:
        return reflected(weights, x, f"{name}.conv2d", width, kernel, stride=stride)

    x = norm(layer(x, "conv1", width, 9), "in1").relu()
    x = norm(layer(x, "conv2", 2 * width, 3, 2), "in2").relu()
    x = norm(layer(x, "conv3", 4 * width, 3, 2), "in3").relu()
    for block in range(1, blocks + 1):
        y = norm(layer(x, f"res{block}.conv1", 4 * width, 3), f"res{block}.in1").relu()
        x = x + norm(layer(y, f"res{block}.conv2", 4 * width, 3), f"res{block}.in2")
    x = norm(layer(F.interpolate(x, scale_factor=2), "deconv1", 2 * width, 3), "in4").relu()
    x = norm(layer(F.interpolate(x, scale_factor=2), "deconv2", width, 3), "in5").relu()
    reach = 90 / (width * 81) ** 0.5
    weights.take("deconv3.conv2d.weight", 3, width, 9, 9, low=-reach, high=reach)
    weights.take("deconv3.conv2d.bias", 3, low=100, high=150)
    return layer(x, "deconv3", 3, 9)
