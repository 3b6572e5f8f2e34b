"""Gradients do not depend on memory layout or batch size.

In torch 2.15 on the CPU the backward of ``F.instance_norm`` is wrong, without a word, for a batch of one when
the incoming gradient is channels-last. Batch one with instance norm is CycleGAN's default setting.
"""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gan_style.networks.blocks import UPSAMPLES, InstanceNorm2d
from gan_style.networks.patchgan import PatchDiscriminator
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.unet import UNetGenerator

LAYOUTS = [torch.contiguous_format, torch.channels_last]


class PlainNorm(nn.Module):
    """Instance norm in plain operations, whose gradients autograd derives."""

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean((2, 3), keepdim=True)
        return centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def with_plain_norms(net: nn.Module) -> nn.Module:
    net = copy.deepcopy(net)
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.InstanceNorm2d):
                setattr(parent, name, PlainNorm())
    assert any(isinstance(layer, PlainNorm) for layer in net.modules())
    return net


def gradients(net: nn.Module, x: Tensor, direction: Tensor) -> list[Tensor]:
    """Of the input and of all parameters, for an incoming gradient ``direction`` in its own layout."""
    x = x.detach().clone().requires_grad_()
    net.zero_grad()
    net(x).backward(direction)
    return [x.grad, *(parameter.grad.clone() for parameter in net.parameters())]


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    scale = max(one.abs().max() for one in expected)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-9 * scale


BUILDERS = {
    **{f"resnet-{mode}": partial(ResnetGenerator, filters=4, blocks=2, upsample=mode) for mode in UPSAMPLES},
    "unet": partial(UNetGenerator, filters=4, depth=3),
    "patchgan": partial(PatchDiscriminator, filters=4, layers=2),
}


@pytest.fixture(params=BUILDERS)
def net(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return BUILDERS[request.param]().double()


@pytest.mark.parametrize("incoming", LAYOUTS, ids=["contiguous", "channels_last"])
def test_a_batch_of_one_gets_the_gradient_of_a_batch_of_two(net: nn.Module, incoming: torch.memory_format) -> None:
    x = torch.randn(2, 3, 24, 32, dtype=torch.float64)
    direction = torch.randn_like(net(x)).contiguous(memory_format=incoming)
    both = gradients(net, x, direction)
    first, second = (gradients(net, x[i : i + 1], direction[i : i + 1]) for i in range(2))
    assert_close([torch.cat((first[0], second[0]))], both[:1])
    assert_close([one + other for one, other in zip(first[1:], second[1:], strict=True)], both[1:])


@pytest.mark.parametrize("incoming", LAYOUTS, ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=["x_contiguous", "x_channels_last"])
@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_are_those_of_the_formula(
    net: nn.Module, batch: int, layout: torch.memory_format, incoming: torch.memory_format
) -> None:
    x = torch.randn(batch, 3, 24, 32, dtype=torch.float64)
    direction = torch.randn_like(net(x))
    expected = gradients(with_plain_norms(net), x, direction)
    net.to(memory_format=layout)
    found = gradients(net, x.contiguous(memory_format=layout), direction.contiguous(memory_format=incoming))
    assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("incoming", LAYOUTS, ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=["x_contiguous", "x_channels_last"])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_norm_alone(
    batch: int, layout: torch.memory_format, incoming: torch.memory_format, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, 8, 6, 5, dtype=dtype).contiguous(memory_format=layout)
    direction = torch.randn(batch, 8, 6, 5, dtype=dtype).contiguous(memory_format=incoming)
    (found,), (expected,) = gradients(InstanceNorm2d(8), x, direction), gradients(PlainNorm(), x, direction)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])
def test_a_large_mean_costs_no_digits(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = (1000 + torch.randn(1, 4, 32, 32)).contiguous(memory_format=layout)
    exact = PlainNorm()(x.double()).float()
    torch.testing.assert_close(InstanceNorm2d(4)(x), exact, rtol=0, atol=1e-3)


def test_second_derivatives_are_right_too() -> None:
    """Gradient penalties differentiate the norm twice."""
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(InstanceNorm2d(2), x)
