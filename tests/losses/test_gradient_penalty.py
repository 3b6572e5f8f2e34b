"""Gradient penalties of discriminators whose gradient is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.data.scenes import TASKS
from gan_style.losses.gradient_penalty import r1_penalty, wgan_gp, zero_centred
from gan_style.metrics.filters import from_grey_levels
from gan_style.networks.patchgan import MultiScaleDiscriminator, PatchDiscriminator

SHAPE = (3, 2, 4, 5)


@pytest.fixture
def real() -> Tensor:
    return torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Linear(nn.Module):
    """``sum of w * x``: the gradient is w everywhere."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.w = nn.Parameter(torch.randn(SHAPE[1:], dtype=torch.float64, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return (self.w * x).sum((1, 2, 3)).reshape(-1, 1, 1, 1)


PLACES = SHAPE[2] * SHAPE[3]


def quadratic(x: Tensor) -> Tensor:
    """``|x|^2``, as a map of logits: the gradient of its sum is 2 x, and of its share of a place 2 x / sqrt(places)."""
    return x.square().sum(1, keepdim=True)


def test_r1_of_a_linear_discriminator_and_its_own_gradient(real: Tensor) -> None:
    discriminator = Linear()
    penalty = r1_penalty(discriminator, real)
    assert penalty.item() == pytest.approx(0.5 * discriminator.w.square().sum().item())
    penalty.backward()
    torch.testing.assert_close(discriminator.w.grad, discriminator.w.detach())


def test_r1_of_a_quadratic_discriminator_is_a_mean_over_the_batch(real: Tensor) -> None:
    expected = sum(0.5 * (2 * image).square().sum().item() / PLACES for image in real) / len(real)
    assert r1_penalty(quadratic, real).item() == pytest.approx(expected)


def test_wgan_gp_of_a_linear_discriminator_and_its_own_gradient(real: Tensor) -> None:
    discriminator = Linear()
    w = discriminator.w.detach()
    penalty = wgan_gp(discriminator, real, -real)
    assert penalty.item() == pytest.approx((w.norm().item() - 1) ** 2)
    penalty.backward()
    torch.testing.assert_close(discriminator.w.grad, 2 * (w.norm() - 1) * w / w.norm())


def test_wgan_gp_vanishes_for_a_slope_of_one(real: Tensor) -> None:
    discriminator = Linear()
    with torch.no_grad():
        discriminator.w /= discriminator.w.norm()
    assert wgan_gp(discriminator, real, real + 1).item() == pytest.approx(0, abs=1e-20)


def test_wgan_gp_of_a_quadratic_discriminator(real: Tensor) -> None:
    """With real and fake the same picture, it is where the gradient is taken."""
    expected = sum((((2 * image).square().sum().item() / PLACES) ** 0.5 - 1) ** 2 for image in real) / len(real)
    assert wgan_gp(quadratic, real, real).item() == pytest.approx(expected)


def test_zero_centred_is_the_square_itself_between_real_and_fake(real: Tensor) -> None:
    assert zero_centred(quadratic, real, real).item() == pytest.approx(2 * r1_penalty(quadratic, real).item())
    torch.manual_seed(3)
    weight = torch.rand(len(real), 1, 1, 1, dtype=torch.float64)
    mixed = real + weight * (-3 * real - real)
    expected = sum((2 * image).square().sum().item() / PLACES for image in mixed) / len(real)
    torch.manual_seed(3)
    assert zero_centred(quadratic, real, -3 * real).item() == pytest.approx(expected)


@pytest.mark.parametrize(("layers", "sizes"), [(1, (32, 64, 128, 256)), (2, (64, 128, 256))])
def test_a_weight_means_the_same_at_every_size(layers: int, sizes: tuple[int, ...]) -> None:
    """The same content, a drawn picture, at sizes into which the patches of 16 and 34 pixels fit."""
    torch.manual_seed(0)
    net = PatchDiscriminator(filters=8, layers=layers, norm="none", init="kaiming")
    assert net.receptive_field <= min(sizes)
    scenes = [np.asarray(TASKS["paint"].scene(seed=0, index=i, size=256, domain="A").image) for i in range(2)]
    whole = from_grey_levels(np.stack(scenes))
    found = []
    for size in sizes:
        images = F.interpolate(whole, (size, size), mode="bilinear", antialias=True)
        found.append(r1_penalty(net, images).item())
    assert max(found) < 1.2 * min(found), found


def test_wgan_gp_mixes_each_pair_at_its_own_uniform_place() -> None:
    torch.manual_seed(0)
    seen: list[Tensor] = []

    def spy(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return quadratic(x)

    wgan_gp(spy, torch.zeros(2000, 1, 2, 2), torch.ones(2000, 1, 2, 2))
    (mixed,) = seen
    places = mixed[:, 0, 0, 0]
    assert torch.equal(mixed, places.reshape(-1, 1, 1, 1).expand_as(mixed))
    assert 0 <= places.min() < 0.01
    assert 0.99 < places.max() <= 1
    assert places.mean().item() == pytest.approx(0.5, abs=0.03)
    assert places.var().item() == pytest.approx(1 / 12, abs=0.005)


def test_lists_of_logits_are_summed(real: Tensor) -> None:
    discriminator = Linear()

    def twice(x: Tensor) -> list[Tensor]:
        return [discriminator(x), quadratic(x)]

    gradient = discriminator.w.detach() + 2 * real / PLACES**0.5
    squares = gradient.square().sum((1, 2, 3))
    assert r1_penalty(twice, real).item() == pytest.approx(0.5 * squares.mean().item())
    expected = (squares.sqrt() - 1).square().mean().item()
    assert wgan_gp(twice, real, real).item() == pytest.approx(expected)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("kind", [PatchDiscriminator, MultiScaleDiscriminator])
def test_parameters_get_the_gradient_of_finite_differences(kind: type[nn.Module], batch: int) -> None:
    torch.manual_seed(0)
    net = kind(filters=2, layers=1, init_gain=0.5).double()
    real = torch.randn(batch, 3, 16, 16, dtype=torch.float64)
    weight = next(parameter for parameter in net.parameters() if parameter.dim() == 4)
    direction = torch.randn_like(weight)
    r1_penalty(net, real).backward()
    found = (weight.grad * direction).sum().item()
    values = []
    for step in (1e-7, -1e-7):  # small, to stay on one side of every kink of the LeakyReLU
        with torch.no_grad():
            weight += step * direction
        values.append(r1_penalty(net, real).item())
        with torch.no_grad():
            weight -= step * direction
    assert found == pytest.approx((values[0] - values[1]) / 2e-7, rel=1e-4)


def test_inputs_keep_their_graph_to_themselves(real: Tensor) -> None:
    """The generator behind a fake gets nothing, and the given tensors stay as they were."""
    source = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    discriminator = Linear()
    (wgan_gp(discriminator, real, 2 * source) + r1_penalty(discriminator, real)).backward()
    assert source.grad is None
    assert real.grad is None
    assert not real.requires_grad
    assert discriminator.w.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_does_not_reach_the_penalty(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = PatchDiscriminator(filters=4, layers=2)
    real, fake = torch.randn(2, 2, 3, 24, 24).to(dtype)
    expected = r1_penalty(net, real.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = r1_penalty(net, real)
        other = wgan_gp(net, real, fake)
    assert found.dtype == other.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
