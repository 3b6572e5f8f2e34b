"""Stages give the values and gradients of their layers in turn, keep only inputs, and leave the model as it was."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from gan_style.core.devices import has_amx
from gan_style.networks import fast_convolutions
from gan_style.networks import stages as module
from gan_style.networks.blocks import InstanceNorm2d, ReLU
from gan_style.networks.padding import ReflectionPad2d
from gan_style.networks.patchgan import PatchDiscriminator
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.stages import stages

NETWORKS = {
    "resnet": lambda: ResnetGenerator(filters=32, blocks=2),
    "resize": lambda: ResnetGenerator(filters=32, blocks=1, upsample="resize", downsample="blur"),
    "affine": lambda: ResnetGenerator(filters=32, blocks=1, norm="instance_affine"),
    "no norm": lambda: ResnetGenerator(filters=32, blocks=1, norm="none"),
    "patches": lambda: PatchDiscriminator(filters=32),
}


def weights_of(network: nn.Module) -> list[nn.Parameter]:
    """All but biases: before a norm their gradient is 0 up to rounding."""
    return [p for name, p in network.named_parameters() if p.dim() > 1]


def results(network: nn.Module, x: Tensor, *, staged: bool) -> list[Tensor]:
    """The output, and the gradients of the input and of the weights."""
    x = x.clone().requires_grad_()
    with stages(network) if staged else nullcontext():
        y = network(x)
        direction = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).to(y.dtype)
        return [y.detach(), *torch.autograd.grad(y, [x, *weights_of(network)], direction)]


def errors(made: list[Tensor], exact: list[Tensor]) -> list[float]:
    return [float((a.double() - b).norm() / b.norm()) for a, b in zip(made, exact, strict=True)]


@pytest.mark.parametrize("winograd", [True, False])
@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (2, 3, 40, 52), (3, 3, 33, 47)])
@pytest.mark.parametrize("name", NETWORKS)
def test_values_and_gradients_are_exact(
    name: str, shape: tuple[int, ...], winograd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_convolutions, "MIN_TILES_FOR_WINOGRAD", 1 if winograd else 10**9)
    torch.manual_seed(0)
    network, x = NETWORKS[name]().double(), torch.rand(shape, dtype=torch.float64) * 2 - 1
    exact, made = (results(network, x, staged=staged) for staged in (False, True))
    assert max(errors(made, exact)) < 1e-11
    assert all("forward" not in vars(part) for part in network.modules())


LAYERS = {
    "stride": lambda: [nn.Conv2d(4, 5, 3, 2, 1)],
    "rectangle": lambda: [nn.Conv2d(4, 5, (3, 2), (1, 2), (0, 1), bias=False)],
    "few": lambda: [InstanceNorm2d(4), ReLU(inplace=True), ReflectionPad2d(2), nn.Conv2d(4, 3, 5)],
    "transposed": lambda: [InstanceNorm2d(4), ReLU(), nn.ConvTranspose2d(4, 5, 3, 2, 1, 1)],
    "leaky": lambda: [nn.Conv2d(4, 4, 3), nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(4, 5, 3), nn.LeakyReLU(0.2)],
    "norm last": lambda: [nn.Conv2d(4, 4, 3), InstanceNorm2d(4)],
    "others between": lambda: [InstanceNorm2d(4), nn.Tanh(), nn.Conv2d(4, 5, 3, padding="same"), nn.Dropout(0.0)],
    "groups": lambda: [ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2)],
}


@pytest.mark.parametrize("most", [0, 2**21])  # patches of a weight's gradient by one product
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_every_kind_of_stage_is_exact(name: str, batch: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PATCHES_AS_PRODUCT", most)
    network = nn.Sequential(*LAYERS[name]()).double()
    x = torch.randn(batch, 4, 9, 12, dtype=torch.float64)
    exact, made = (results(network, x, staged=staged) for staged in (False, True))
    assert max(errors(made, exact)) < 1e-12
    if name != "norm last":
        biases = [p for p in network.parameters() if p.dim() == 1]
        given = []
        for staged in (False, True):
            with stages(network) if staged else nullcontext():
                given.append(torch.autograd.grad(network(x).square().sum(), biases) if biases else ())
        for plain, ours in zip(*given, strict=True):
            torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", ["resnet", "patches"])
def test_in_bfloat16_nothing_is_further_off_than_by_autocast(name: str, batch: int) -> None:
    torch.manual_seed(0)
    network, x = NETWORKS[name](), torch.rand(batch, 3, 64, 72) * 2 - 1
    exact = results(network.double(), x.double(), staged=False)
    network.float()
    with torch.autocast("cpu", torch.bfloat16):
        plain, made = (results(network, x, staged=staged) for staged in (False, True))
    for ours, torchs in zip(errors(made, exact), errors(plain, exact), strict=True):
        assert 1e-4 < ours < 1.3 * torchs
    assert made[0].dtype == (torch.float32 if name == "resnet" else torch.bfloat16)
    assert {gradient.dtype for gradient in made[1:]} == {torch.float32}


@contextmanager
def counted_bytes() -> Iterator[dict[int, int]]:
    """What is kept for the backward pass, by address."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def test_only_inputs_of_stages_are_kept() -> None:
    network = nn.Sequential(
        ReflectionPad2d(1), *(nn.Conv2d(8, 8, 3), InstanceNorm2d(8), ReLU(), ReflectionPad2d(1)) * 4
    )
    x = torch.randn(1, 8, 32, 32, requires_grad=True)
    with counted_bytes() as plain:
        network(x)
    with stages(network), counted_bytes() as ours:
        network(x)
    weights = 4 * 8 * 8 * 9
    # Four outputs of convolutions and x; the plain way keeps the padded maps, too.
    assert sum(ours.values()) <= 5 * x.nbytes + weights
    assert sum(plain.values()) > 1.6 * sum(ours.values())


def test_a_step_of_the_optimiser_and_frozen_weights_are_seen() -> None:
    network, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)), torch.randn(1, 3, 9, 9)
    with stages(network):
        for _ in range(2):
            first, second = ((layer.weight, layer.bias) for layer in network)
            exact = F.conv2d(F.conv2d(x, *first), *second)
            torch.testing.assert_close(network(x), exact)
            (network(x) + network(x)).sum().backward()  # one cast of a weight, two passes
            with torch.no_grad():
                torch.testing.assert_close(network(x), exact)
                for parameter in network.parameters():
                    assert parameter.grad is not None
                    parameter.sub_(0.1 * parameter.grad)
        network.requires_grad_(False)
        assert not network(x).requires_grad
        inputs = x.clone().requires_grad_()
        network(inputs).sum().backward()
        assert inputs.grad is not None


def test_gradients_of_two_passes_add_up() -> None:
    network, x = nn.Sequential(nn.Conv2d(4, 6, 3)).double(), torch.randn(2, 4, 8, 8, dtype=torch.float64)
    given = []
    for staged in (False, True):
        with stages(network) if staged else nullcontext():
            total = network(x).square().sum() + network(2 * x).sin().sum()
            given.append(torch.autograd.grad(total, weights_of(network))[0])
    torch.testing.assert_close(given[1], given[0])


def test_a_second_derivative_is_refused() -> None:
    network, x = nn.Sequential(nn.Conv2d(4, 6, 3)), torch.randn(1, 4, 8, 8, requires_grad=True)
    with stages(network):
        (first,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            first.sum().backward()


def test_a_replaced_module_is_left_alone() -> None:
    convolution = nn.Conv2d(3, 3, 3)
    convolution.forward = lambda x: x  # type: ignore[method-assign]
    x = torch.randn(1, 3, 5, 5)
    with stages(convolution):
        assert convolution(x) is x
    assert convolution(x) is x


def test_units_are_asked_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for there in (True, False):
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda there=there: there)
        assert has_amx.__wrapped__() is there


def test_what_is_not_a_number_stays_so_in_bfloat16() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3), InstanceNorm2d(8), ReLU(), nn.Conv2d(8, 4, 3))
    with torch.no_grad():
        network[0].weight[0, 0, 0, 0] = math.nan
    with torch.autocast("cpu", torch.bfloat16), stages(network):
        assert network(torch.randn(1, 4, 12, 12)).isnan().any()


def test_layers_that_somebody_looks_at_are_computed_one_by_one() -> None:
    network, x, seen = nn.Sequential(nn.Conv2d(3, 4, 3), InstanceNorm2d(4), ReLU()), torch.randn(1, 3, 9, 9), []
    exact = network(x)
    network[1].register_forward_hook(lambda layer, inputs, output: seen.append(output.mean()))
    with stages(network):
        torch.testing.assert_close(network(x), exact)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], torch.zeros(()), atol=1e-5, rtol=0)


def test_a_layer_takes_keywords_and_sizes() -> None:
    up, x = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1), torch.randn(1, 3, 8, 8)
    with stages(up):
        torch.testing.assert_close(up(x, output_size=(16, 16)), nn.ConvTranspose2d.forward(up, x, [16, 16]))
        torch.testing.assert_close(up(input=x), nn.ConvTranspose2d.forward(up, x))


def test_weights_made_while_scoring_serve_a_backward_pass() -> None:
    network, x = nn.Sequential(nn.Conv2d(3, 4, 3)), torch.randn(1, 3, 8, 8)
    with stages(network):
        with torch.inference_mode():
            network(x)
        network(x).sum().backward()
    assert weights_of(network)[0].grad is not None
