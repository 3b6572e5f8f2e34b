"""The styled generator and its code makers against formulas written out, and what a code may and may not change."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import Tensor

from gan_style.networks.styled import AdaptiveInstanceNorm, MappingNetwork, StyledGenerator, StyleEncoder

CONF = Path(__file__).parents[2] / "conf" / "model"


def modulated(x: Tensor, s: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Channel by channel: (1 + scale) (x - mean) / std + shift, with scale and shift affine in the code."""
    result = torch.empty_like(x)
    channels = x.shape[1]
    for i in range(len(x)):
        for c in range(channels):
            scale, shift = (weight[k] @ s[i] + bias[k] for k in (c, channels + c))
            plane = x[i, c]
            variance = ((plane - plane.mean()) ** 2).mean()
            result[i, c] = (1 + scale) * (plane - plane.mean()) / (variance + 1e-5) ** 0.5 + shift
    return result


def test_the_norm_is_the_formula() -> None:
    norm = AdaptiveInstanceNorm(3, 5).double()
    x, s = torch.randn(2, 3, 4, 6).double() + 3, torch.randn(2, 5).double()
    assert torch.allclose(norm(x, s), modulated(x, s, norm.modulation.weight, norm.modulation.bias), atol=1e-12)


def reference(weights: list[Tensor], x: Tensor, s: Tensor, blocks: int) -> Tensor:
    """G(x, s) with plain functions, from its parameters in their order."""
    w = iter(weights)

    def convolve(x: Tensor, pad: int, **options: int) -> Tensor:
        return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect") if pad else x, next(w), next(w), **options)

    def norm(x: Tensor) -> Tensor:
        return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()

    x = F.relu(norm(convolve(x, 3)))
    for _ in range(2):
        x = F.relu(norm(convolve(x, 0, stride=2, padding=1)))
    for _ in range(blocks):
        x = x + norm(convolve(F.relu(norm(convolve(x, 1))), 1))
    for _ in range(blocks):
        c1, b1, c2, b2, *affine = (next(w) for _ in range(8))
        y = F.relu(modulated(F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), c1, b1), s, *affine[:2]))
        x = x + modulated(F.conv2d(F.pad(y, (1,) * 4, mode="reflect"), c2, b2), s, *affine[2:])
    ups = [(next(w), next(w)) for _ in range(2)]
    for up in ups:
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = F.relu(modulated(F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), *up), s, next(w), next(w)))
    return torch.tanh(convolve(x, 3))


def test_the_generator_is_its_description() -> None:
    G = StyledGenerator(style_size=5, filters=2, blocks=2).double()
    x, s = torch.rand(2, 3, 16, 24).double() * 2 - 1, torch.randn(2, 5).double()
    assert torch.allclose(G(x, s), reference(list(G.parameters()), x, s, blocks=2), atol=1e-10)


@pytest.mark.parametrize("upsample", ["resize", "deconv", "pixelshuffle", "blur"])
@pytest.mark.parametrize("size", [(16, 16), (17, 30), (33, 47), (1, 5)])
def test_any_size_in_the_same_size_out(size: tuple[int, int], upsample: str) -> None:
    G = StyledGenerator(1, 4, style_size=3, filters=2, blocks=1, upsample=upsample)
    y = G(torch.rand(2, 1, *size), torch.randn(2, 3))
    assert y.shape == (2, 4, *size)
    assert y.abs().max() <= 1


def test_each_picture_follows_its_own_code() -> None:
    G = StyledGenerator(style_size=5, filters=4, blocks=1).double()
    x, s = torch.rand(1, 3, 16, 16).double(), torch.randn(2, 5).double()
    both = G(x.expand(2, -1, -1, -1), s)
    assert torch.allclose(both, torch.cat([G(x, one[None]) for one in s]), atol=1e-9)
    assert (both[0] - both[1]).abs().mean() > 0.01


def test_the_encoder_is_strided_convolutions_and_a_mean() -> None:
    E = StyleEncoder(3, 6, filters=3, layers=2).double()
    y = torch.rand(2, 3, 20, 36).double()
    c1, b1, c2, b2, weight, bias = E.parameters()
    z = F.conv2d(y, c1, b1, stride=2, padding=1)
    z = torch.where(z > 0, z, 0.2 * z)
    z = F.conv2d(z, c2, b2, stride=2, padding=1)
    z = torch.where(z > 0, z, 0.2 * z)
    assert torch.allclose(E(y), z.sum((2, 3)) / (5 * 9) @ weight.T + bias, atol=1e-12)


@pytest.mark.parametrize("size", [(16, 16), (64, 20), (3, 40)])
def test_codes_have_one_length_for_any_size(size: tuple[int, int]) -> None:
    assert StyleEncoder(1, 7, filters=2)(torch.rand(2, 1, *size)).shape == (2, 7)


def test_the_mapping_takes_the_head_of_the_label() -> None:
    M = MappingNetwork(3, latent_size=4, style_size=6, width=5, layers=2)
    z, label = torch.randn(4, 4), torch.tensor([2, 0, 2, 2])
    trunk, heads = list(M.trunk.parameters()), [list(head.parameters()) for head in M.heads]
    codes = M(z, label)
    for i, k in enumerate(label.tolist()):
        hidden = torch.relu(trunk[2] @ torch.relu(trunk[0] @ z[i] + trunk[1]) + trunk[3])
        expected = heads[k][2] @ torch.relu(heads[k][0] @ hidden + heads[k][1]) + heads[k][3]
        assert torch.allclose(codes[i], expected, atol=1e-5)
    codes.square().sum().backward()
    moved = [any(bool(p.grad.any()) for p in head if p.grad is not None) for head in heads]
    assert moved == [True, False, True]
    assert all(p.grad is not None for p in M.parameters())


@pytest.mark.parametrize("name", ["generator/styled", "discriminator/conditional"])
def test_config_lists_every_option_with_its_default(name: str) -> None:
    options = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    target = get_class(options.pop("_target_"))
    assert options.pop("_partial_") is True
    signature = inspect.signature(target).parameters.values()
    assert options == {one.name: one.default for one in signature if one.kind is one.KEYWORD_ONLY}
