"""3x3 convolutions by fewer products: the values and gradients of the plain ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.networks import winograd as module
from gan_style.networks.winograd import kernel_of, winograd

LAYOUTS = (torch.contiguous_format, torch.channels_last)


def drawn(batch: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    shapes: tuple[tuple[int, ...], ...] = ((batch, 5, *size), (7, 5, 3, 3), (7,))
    return tuple(torch.randn(shape, dtype=torch.float64) for shape in shapes)  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def several_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TILES_AT_ONCE", 8)


@pytest.mark.parametrize("size", [(18, 18), (19, 40), (6, 21), (3, 3)])
@pytest.mark.parametrize("batch", [1, 3])
def test_it_is_the_convolution(size: tuple[int, int], batch: int) -> None:
    x, weight, bias = drawn(batch, size)
    exact = F.conv2d(x, weight, bias)
    for layout in LAYOUTS:
        for kernel in (None, kernel_of(weight)):
            made = winograd(x.contiguous(memory_format=layout), weight, bias, kernel)
            torch.testing.assert_close(made, exact)
            assert made.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(18, 18), (19, 40), (3, 3)])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_its_gradients_are_those_of_the_convolution(
    size: tuple[int, int], batch: int, layout: torch.memory_format
) -> None:
    """Over layouts of the incoming gradient, and batches of one: where torch's own instance norm was once wrong."""
    inputs = [tensor.requires_grad_() for tensor in drawn(batch, size)]
    made, exact = winograd(*inputs), F.conv2d(*inputs)
    gradient = torch.randn_like(exact).contiguous(memory_format=layout)
    found, expected = (torch.autograd.grad(output, inputs, gradient) for output in (made, exact))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_only_what_is_asked_for_has_a_gradient() -> None:
    x, weight, bias = drawn(1, (10, 10))
    winograd(x, weight.requires_grad_(), None).sum().backward()
    assert x.grad is None
    torch.testing.assert_close(
        weight.grad, torch.nn.grad.conv2d_weight(x, weight.shape, torch.ones(1, 7, 8, 8).double())
    )
    frozen = weight.detach()
    winograd(x.requires_grad_(), frozen, bias).sum().backward()
    assert frozen.grad is None
    torch.testing.assert_close(x.grad, torch.nn.grad.conv2d_input(x.shape, frozen, torch.ones(1, 7, 8, 8).double()))


def test_in_float32_the_error_stays_small() -> None:
    """Relative to float64, with 256 channels as in the paper's residual blocks."""
    x, weight = torch.randn(1, 256, 34, 34), torch.randn(256, 256, 3, 3) * 0.02
    gradient = torch.randn(1, 256, 32, 32)
    inputs = [x.requires_grad_(), weight.requires_grad_()]
    made = winograd(inputs[0], inputs[1], None)
    wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
    exact = F.conv2d(*wide)
    found = [made, *torch.autograd.grad(made, inputs, gradient)]
    expected = [exact, *torch.autograd.grad(exact, wide, gradient.double())]
    for ours, theirs in zip(found, expected, strict=True):
        assert float((ours.double() - theirs).detach().norm() / theirs.detach().norm()) < 1e-5
