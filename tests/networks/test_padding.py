"""Padding built of slices against torch's."""

import pytest
import torch
import torch.nn.functional as F

from gan_style.networks.padding import ReflectionPad2d, ReplicationPad2d, pad_by_slices


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (3, 3, 3, 3), (0, 2, 0, 3), (3, 0, 1, 2), (0, 0, 0, 0)])
def test_slices_give_torchs_value_and_gradient(mode: str, padding: tuple[int, int, int, int]) -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    expected, found = F.pad(x, padding, mode), pad_by_slices(x, padding, mode)
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    (wanted,) = torch.autograd.grad((expected * weights).sum(), x)
    (given,) = torch.autograd.grad((found * weights).sum(), x)
    torch.testing.assert_close(given, wanted, rtol=1e-13, atol=1e-13)


def test_the_layers_are_torchs_on_a_cpu() -> None:
    x = torch.randn(1, 2, 4, 5)
    assert torch.equal(ReflectionPad2d(2)(x), torch.nn.ReflectionPad2d(2)(x))
    assert torch.equal(ReplicationPad2d(2)(x), torch.nn.ReplicationPad2d(2)(x))
