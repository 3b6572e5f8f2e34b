"""What is made again in the backward pass gives the same gradients, and is not kept."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor, nn

from gan_style.networks.blocks import InstanceNorm2d, ReLU
from gan_style.networks.recomputed import recomputed


def layers() -> tuple[list[nn.Module], nn.Module]:
    return [InstanceNorm2d(4), ReLU(inplace=True), nn.ReflectionPad2d(1)], nn.Conv2d(4, 5, 3)


def gradients(output: Tensor, x: Tensor, last: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(output.square().sum(), [x, *last.parameters()]))


def test_values_and_gradients_are_those_of_the_layers_in_turn() -> None:
    light, last = layers()
    x = torch.randn(2, 4, 6, 7, requires_grad=True)
    y = x
    for layer in (*light, last):
        y = layer(y)
    made = recomputed(light, last, x)
    assert torch.equal(made, y)
    for ours, theirs in zip(gradients(made, x, last), gradients(y, x, last), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("ahead", [0, 1])
def test_nothing_between_is_kept_and_each_is_made_again_once(ahead: int) -> None:
    light, last = layers()
    made: list[weakref.ref[Tensor]] = []
    for layer in light:
        layer.register_forward_hook(lambda _module, _given, output: made.append(weakref.ref(output)))
    x = torch.randn(1, 4, 6, 7, requires_grad=True)
    y = recomputed(light, last, x * 2 if ahead else x)
    assert len(made) == 3
    assert not any(reference() is not None for reference in made)
    y.sum().backward()
    assert len(made) == 6
    assert x.grad is not None


def test_without_gradients_it_is_the_layers_in_turn() -> None:
    light, last = layers()
    x = torch.randn(1, 4, 6, 7)
    with torch.no_grad():
        assert torch.equal(recomputed(light, last, x), last(nn.Sequential(*light)(x)))
