"""The faster ways give what the plain ones give, and leave the model as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.networks import fast_convolutions as module
from gan_style.networks.adain import AdaINDecoder
from gan_style.networks.fast_convolutions import by_rows, fast_convolutions
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.unet import UNetGenerator


@pytest.mark.parametrize("kernel", [(7, 7), (3, 5)])
def test_rows_of_a_kernel_sum_to_it(kernel: tuple[int, int]) -> None:
    x, weight, bias = torch.randn(2, 6, 15, 17), torch.randn(3, 6, *kernel), torch.randn(3)
    torch.testing.assert_close(by_rows(x, weight, bias), F.conv2d(x, weight, bias), atol=1e-4, rtol=1e-5)


def decibel(made: Tensor, reference: Tensor) -> float:
    """PSNR of pictures in [-1, 1]."""
    return float(10 * torch.log10(4 / (made.double() - reference).square().mean()))


@torch.no_grad()
@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (lambda: ResnetGenerator(filters=32, blocks=2, init_gain=0.1), (2, 3, 75, 68)),
        (lambda: ResnetGenerator(filters=32, blocks=1, norm="none", upsample="resize", init_gain=0.1), (1, 3, 64, 64)),
        (lambda: ResnetGenerator(filters=32, blocks=2, separable=True, init_gain=0.3), (2, 3, 75, 68)),
        (lambda: UNetGenerator(filters=16, depth=3, init_gain=0.1, upsample="pixelshuffle"), (1, 3, 64, 80)),
        (lambda: AdaINDecoder("relu2_1"), (1, 128, 33, 34)),
    ],
    ids=["resnet", "no norm", "mobile", "unet", "decoder"],
)
def test_networks_give_the_same(network: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    plain, x = network().eval(), torch.rand(shape) * 2 - 1
    whole, reference = plain(x), plain.double()(x.double())
    plain.float()
    with fast_convolutions(plain):
        made = plain(x)
    assert not torch.equal(made, whole)  # it did go another way
    assert decibel(made, reference) > 90
    assert torch.equal(plain(x), whole)
    assert all("forward" not in vars(part) for part in plain.modules())


@torch.no_grad()
def test_new_weights_and_replaced_modules_are_seen() -> None:
    convolution, x = nn.Conv2d(32, 32, 3), torch.randn(1, 32, 50, 50)
    for _ in range(2):
        with fast_convolutions(convolution):
            exact = F.conv2d(x, convolution.weight, convolution.bias)
            torch.testing.assert_close(convolution(x), exact, atol=1e-4, rtol=0)
            assert not torch.equal(convolution(x), exact)
        convolution.weight.mul_(2)
    convolution.forward = lambda x: x  # type: ignore[method-assign]
    with fast_convolutions(convolution):
        assert convolution(x) is x
    assert convolution(x) is x


def test_a_kernel_is_kept_for_looking_and_not_while_training() -> None:
    convolution, x = nn.Conv2d(32, 32, 3), torch.randn(1, 32, 40, 40)
    with fast_convolutions(convolution):
        with torch.no_grad():
            convolution(x)
        assert convolution in module._kernels
        convolution(x)
        assert convolution not in module._kernels


def test_weights_made_in_inference_mode() -> None:
    with torch.inference_mode():
        convolution, x = nn.Conv2d(32, 32, 3), torch.randn(1, 32, 40, 40)
        exact = convolution(x)
        with fast_convolutions(convolution):
            torch.testing.assert_close(convolution(x), exact, atol=1e-4, rtol=0)


def test_a_norm_far_from_zero_and_gradients_stay_right() -> None:
    x = (torch.randn(2, 64, 20, 20) + 1000).contiguous(memory_format=torch.channels_last)
    norm = module.InstanceNorm2d(64)
    with fast_convolutions(norm), torch.no_grad():
        torch.testing.assert_close(norm(x), F.instance_norm(x.double()).float(), atol=2e-3, rtol=0)
    convolution, x = nn.Conv2d(32, 32, 3), torch.randn(1, 32, 40, 40, requires_grad=True)
    with fast_convolutions(convolution):
        convolution(x).sum().backward()
    assert x.grad is not None


@torch.no_grad()
@pytest.mark.parametrize(
    ("network", "nearer"),
    [(ResnetGenerator(filters=32, blocks=3, init_gain=0.1), 3), (UNetGenerator(filters=32, depth=3), 0)],
    ids=["resnet", "unet"],
)
def test_bfloat16_is_for_products_alone(network: nn.Module, nearer: float) -> None:
    """What residual blocks add to keeps its digits, so the picture is nearer than under autocast."""
    network, x = network.eval(), torch.rand(1, 3, 64, 64) * 2 - 1
    exact = network.double()(x.double())
    network.float()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(x).float()
    seen: list[torch.dtype] = []
    hooks = [part.register_forward_hook(lambda *call: seen.append(call[2].dtype)) for part in network.modules()]
    with fast_convolutions(network, bf16=True):
        made = network(x)
    for hook in hooks:
        hook.remove()
    assert set(seen) == {torch.float32}
    assert decibel(rounded, exact) + nearer < decibel(made, exact) < 80  # rounded, but less


@torch.no_grad()
@pytest.mark.parametrize("groups", [2, 16, 32])
def test_narrow_groups_are_multiplied_as_one_matrix_in_bfloat16(groups: int) -> None:
    layer = nn.Conv2d(32, 64, 3, stride=2, padding=1, groups=groups).requires_grad_(False)
    x = torch.randn(2, 32, 24, 40, generator=torch.Generator().manual_seed(1))
    exact = layer.double()(x.double())
    layer.float()
    with fast_convolutions(layer, bf16=True):
        made = layer(x)
        layer.weight.mul_(2)  # what was made of the weight is made again
        doubled = layer(x)
    assert made.dtype == torch.float32
    scale = exact.abs().max()
    assert 1e-6 < (made - exact).abs().max() / scale < 0.01  # rounded once, and nothing else
    assert (doubled - layer.bias[:, None, None] - 2 * (exact - layer.bias[:, None, None])).abs().max() / scale < 0.02
    wide = nn.Conv2d(128, 128, 3, groups=128).requires_grad_(False)
    with fast_convolutions(wide, bf16=True):
        assert "forward" not in vars(wide)


def test_they_pay_in_training_where_matrices_are_multiplied_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.processor", lambda: "AMD64 Family 26 Model 2 Stepping 1, AuthenticAMD")
    for capability, slow in (("AVX512", True), ("AVX2", False)):
        monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda now=capability: now)
        assert module._has_slow_matmul.__wrapped__() is slow
    monkeypatch.setattr(module, "_has_slow_matmul", lambda: True)
    assert not module.is_faster(256)
    monkeypatch.setattr(module, "_has_slow_matmul", lambda: False)
    assert (module.is_faster(95), module.is_faster(96)) == (False, True)
