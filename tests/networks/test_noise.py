"""Noise by place: its distribution, its formula in whole numbers of Python, and where a network has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from gan_style.networks.contract import Noised, noised
from gan_style.networks.noise import Noise, keys_of, normal
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.unet import UNetGenerator

UNet: Callable[..., Any] = UNetGenerator
NETWORKS: dict[str, Callable[..., Any]] = {
    "resnet": lambda **words: ResnetGenerator(filters=4, blocks=1, **({"noise": True} | words)),
    "mobile": lambda **words: ResnetGenerator(filters=4, blocks=1, separable=True, **({"noise": True} | words)),
    "resnet without blocks": lambda **words: ResnetGenerator(filters=4, blocks=0, **({"noise": True} | words)),
    "unet": lambda **words: UNet(filters=4, depth=3, **({"noise": True} | words)),
    "painter": lambda **words: UNet(
        filters=4,
        depth=3,
        full_size_skip=True,
        fine_filters=3,
        upsample="blur",
        **({"noise": True, "head": "band"} | words),
    ),
}
EVERY = pytest.mark.parametrize("name", NETWORKS)
LEVELS = {"resnet": 3, "mobile": 3, "resnet without blocks": 3, "unet": 2, "painter": 3}


def made(name: str, **words: object) -> Any:
    torch.manual_seed(0)
    return NETWORKS[name](init_gain=0.2, **words)


def image(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def drawn(seed: int, level: int = 0, size: tuple[int, int] = (128, 128)) -> Tensor:
    return normal(keys_of(torch.tensor([seed]), 4)[level], *(torch.arange(side) for side in size))[0, 0]


def in_whole_numbers(seed: int, level: int, row: int, column: int) -> float:
    """The same for one place, in Python's integers, which no overflow ends."""

    def hashed(x: int) -> int:
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    low, high = seed % 2**32, seed // 2**32 % 2**32
    key = hashed(low ^ hashed(high ^ (level + 1)))
    bits = hashed(hashed((key + row) % 2**32) ^ hashed(column))
    radius, angle = divmod(bits, 2**12)
    return math.sqrt(-2 * math.log((radius + 0.5) / 2**20)) * math.cos(2 * math.pi * angle / 2**12)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1, 2**40 + 7, 2**63 - 1, -5])
@pytest.mark.parametrize("level", [0, 3])
def test_the_formula_in_whole_numbers(seed: int, level: int) -> None:
    rows, columns = torch.tensor([0, 1, 500, 70_000]), torch.tensor([0, 3, 65_535])
    found = normal(keys_of(torch.tensor([seed]), 4)[level], rows, columns)[0, 0].double()
    wanted = [[in_whole_numbers(seed, level, row, column) for column in columns.tolist()] for row in rows.tolist()]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_it_is_normal(seed: int) -> None:
    values = drawn(seed, size=(256, 256)).double().flatten()
    assert kstest(values.numpy(), "norm").pvalue > 1e-3
    assert abs(float(values.pow(4).mean()) - 3) < 0.1


def test_places_levels_and_seeds_are_independent() -> None:
    one = drawn(0)
    others = [drawn(1), drawn(0, level=1), drawn(2**32), one.T, one.flip(0), drawn(-1)]
    others += [one.roll(shift, axis) for shift in (1, 2, 3, 64) for axis in (0, 1)]
    for other in others:
        correlation = float((one * other).mean())
        assert abs(correlation) < 4.5 / 128  # 4.5 standard deviations of a mean over 128 x 128 products


def test_a_part_is_that_part_of_the_whole() -> None:
    part = normal(keys_of(torch.tensor([3]), 4)[1], torch.arange(40, 70), torch.arange(11, 90))[0, 0]
    assert torch.equal(part, drawn(3, 1)[40:70, 11:90])


def test_each_channel_has_its_strength_and_all_one_map() -> None:
    noise = Noise([2, 3]).eval()
    assert [one.tolist() for one in noise.strengths] == [pytest.approx([0.1] * 2), pytest.approx([0.1] * 3)]
    with torch.no_grad():
        noise.strengths[1].copy_(torch.tensor([0.5, -2.0, 0.0]))
    noise.noise_seed = 9
    x = image(2, 3, 5, 7)
    added = noise.drawn(x)(x, 1) - x
    for channel, strength in enumerate((0.5, -2.0, 0.0)):
        torch.testing.assert_close(added[:, channel], strength * drawn(9, 1, (5, 7)).expand(2, 5, 7), atol=1e-6, rtol=0)


@EVERY
def test_training_draws_anew_from_torchs_generator_for_each_image(name: str) -> None:
    network, x = made(name).train(), image(1, 3, 24, 16).expand(2, -1, -1, -1)
    torch.manual_seed(5)
    first, second = network(x), network(x)
    torch.manual_seed(5)
    assert torch.equal(network(x), first)
    assert not torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(first[0], first[1], atol=1e-3)
    assert not network.per_sample
    assert made(name, noise=False).per_sample


@EVERY
@torch.no_grad()
def test_evaluation_knows_the_seed_alone(name: str) -> None:
    network, x = made(name).eval().double(), image(3, 3, 21, 18).double()
    before = torch.get_rng_state()
    whole = network(x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(torch.cat([network(one) for one in x.split(1)]), whole)
    (part,) = noised(network)
    assert isinstance(part, Noised)
    assert part.noise_seed == 0
    part.noise_seed = 7
    other = network(x)
    assert not torch.allclose(other, whole, atol=1e-3)
    part.noise_seed = torch.tensor([7])
    assert torch.equal(network(x), other)


@EVERY
def test_every_level_counts_and_learns(name: str) -> None:
    network, x = made(name).eval(), image(1, 3, 16, 24)
    network(x).square().mean().backward()
    strengths = network.noise.strengths
    assert len(strengths) == LEVELS[name]
    assert all(one.grad.all() for one in strengths)
    with torch.no_grad():
        whole = network(x)
        for one in strengths:
            one.zero_()
            assert not torch.allclose(network(x), whole, atol=1e-4)
            whole = network(x)
        plain = made(name, noise=False)
        missing, unexpected = plain.load_state_dict(network.state_dict(), strict=False)
        assert (missing, {key.split(".")[0] for key in unexpected}) == ([], {"noise"})
        torch.testing.assert_close(plain.eval()(x), whole)


@EVERY
@torch.no_grad()
def test_padding_does_not_shift_it(name: str) -> None:
    words = {"head": "residual"} if name == "painter" else {}  # a band head sees where the picture ends
    network, x = made(name, **words).eval(), image(1, 3, 22, 23)
    wide = torch.nn.functional.pad(x, (0, 1, 0, 2), "reflect")  # to 24x24, as the network itself would
    torch.testing.assert_close(network(wide)[..., :22, :23], network(x))


@torch.no_grad()
def test_features_and_the_pass_agree_with_noise() -> None:
    for blocks in (0, 1, 2, 9):
        network: Any = ResnetGenerator(filters=2, blocks=blocks, noise=True).eval()
        x = image(1, 3, 16, 16)
        y, features = network.forward_with_features(x)
        assert torch.equal(y, network(x))
        network.noise.noise_seed = 4  # which the features, those of the encoder, do not see
        assert not torch.equal(network(x), y)
        assert all(torch.equal(a, b) for a, b in zip(features, network.features(x), strict=True))
