"""Separable convolutions, and the generator that is made of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gan_style.core.config import build
from gan_style.networks.blocks import UPSAMPLES, SeparableConv2d, Upsample
from gan_style.networks.resnet import ResnetGenerator
from tests.conftest import small_config


def multiplications(network: nn.Module, side: int = 64) -> int:
    """Of a picture, as torch counts them; it takes a multiplication and an addition for two."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    return counter.get_total_flops() // 2


def configured(name: str) -> Any:
    """A generator of conf/model/generator as it is, of no other size."""
    sizes = {"filters": {"mobile": 32}.get(name, 64), "blocks": 9}
    words = [f"model.generator.{key}={value}" for key, value in sizes.items()]
    factory = build(small_config("model=cyclegan", f"model/generator={name}", *words)["model"]["generator"])
    return factory(in_channels=3, out_channels=3)


@torch.no_grad()
def test_a_separable_convolution_is_one_of_a_product_of_kernels() -> None:
    layer, x = SeparableConv2d(4, 6, 3, 2, 1).double(), torch.randn(2, 4, 9, 11, dtype=torch.float64)
    depthwise, mixing = (layer.get_parameter(f"{index}.weight") for index in range(2))
    weight: Tensor = mixing * depthwise[None, :, 0]  # [6, 4, 1, 1] and [1, 4, 3, 3]
    whole = torch.nn.functional.conv2d(x, weight, layer.get_parameter("1.bias"), 2, 1)
    torch.testing.assert_close(layer(x), whole, atol=1e-12, rtol=0)
    assert sum(p.numel() for p in layer.parameters()) == 4 * 9 + 4 * 6 + 6


@torch.no_grad()
@pytest.mark.parametrize("mode", [mode for mode in UPSAMPLES if mode != "pixelshuffle"])
def test_channels_may_be_mixed_before_enlarging(mode: str) -> None:
    """The same as mixing at twice the size, of which it takes a quarter of the multiplications."""
    layer, x = Upsample(5, 3, mode, separable=True, bias=False).double(), torch.randn(2, 5, 8, 6, dtype=torch.float64)
    mixing, *others = layer
    late = x
    for one in others:  # each of five channels by the mean kernel of the three, which they share here
        if isinstance(one, nn.Conv2d | nn.ConvTranspose2d):
            one.weight.copy_(one.weight.mean(0, keepdim=True).expand_as(one.weight))
            wide = type(one)(5, 5, one.kernel_size, one.stride, one.padding, groups=5, bias=False).double()
            if isinstance(wide, nn.ConvTranspose2d):
                wide.output_padding = one.output_padding
            wide.weight.copy_(one.weight[:1].expand_as(wide.weight))
            late = wide(late)
        else:
            late = one(late)
    assert layer(x).shape == (2, 3, 16, 12)
    torch.testing.assert_close(layer(x), mixing(late), atol=1e-12, rtol=0)


def test_it_takes_at_most_a_tenth_of_the_multiplications_of_resnet9() -> None:
    assert multiplications(configured("mobile")) < 0.1 * multiplications(configured("resnet9"))


@pytest.mark.parametrize("mode", UPSAMPLES)
def test_every_weight_gets_a_gradient(mode: str) -> None:
    torch.manual_seed(0)
    network = ResnetGenerator(filters=4, blocks=1, separable=True, upsample=mode, head="band", init_gain=0.3)
    network(torch.rand(1, 3, 16, 24) * 2 - 1).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in network.named_parameters() if "weight" in n)


def test_subpixels_begin_alike() -> None:
    network = ResnetGenerator(filters=4, blocks=0, separable=True, upsample="pixelshuffle")
    wide = next(m for m in network.modules() if isinstance(m, Upsample))
    weight = [m for m in wide.modules() if isinstance(m, nn.Conv2d)][-1].weight
    assert all(torch.equal(weight[::4], weight[k::4]) for k in range(4))
