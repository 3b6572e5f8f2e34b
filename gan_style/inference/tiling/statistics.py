"""Statistics over a whole feature map: instance and group norms, means and variances of channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gan_style.inference.tiling.known_functions import unknown
from gan_style.inference.tiling.streamed import Statistics, Streamed, pointwise
from gan_style.networks.contract import grid_windows


def _of_groups(statistics: Statistics, groups: int | None) -> Statistics:
    """Join the statistics of channels to those of groups of them, one value per channel still; float64 [1, C]."""
    if groups is None:
        return statistics
    mean, variance = (one.view(groups, -1) for one in statistics)
    joined = mean.mean(dim=1, keepdim=True)
    spread = (variance + (mean - joined).square()).mean(dim=1, keepdim=True)
    return joined.expand_as(mean).reshape(1, -1), spread.expand_as(mean).reshape(1, -1)


def _normalised(
    x: Streamed, weight: Tensor | None, bias: Tensor | None, eps: float, groups: int | None = None
) -> Streamed:
    """Normalise by mean and variance of the whole feature map, as `F.group_norm`; None is a group per channel."""
    mean, variance = (s.to(x.device) for s in _of_groups(x.statistics(), groups))
    scale = (variance + eps).rsqrt()
    if weight is not None:
        scale = scale * weight.double()
    shift = None if bias is None else bias.float()[None, :, None, None]
    center, scale = mean.float()[..., None, None], scale.float()[..., None, None]

    def apply(tile: Tensor) -> Tensor:
        tile = tile.sub_(center).mul_(scale)
        return tile if shift is None else tile.add_(shift)

    return pointwise(apply, x, channels=x.channels)


def group_norm(
    x: Streamed, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Streamed:
    return _normalised(x, weight, bias, eps, None if num_groups == x.channels else num_groups)


def instance_norm(
    x: Streamed,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Streamed:
    if not use_input_stats:
        raise unknown("an instance norm with running statistics")
    return _normalised(x, weight, bias, eps)


def mean(x: Streamed, dim: Any, keepdim: bool = False) -> Tensor:
    if sorted(d % 4 for d in dim) != [2, 3]:
        raise unknown(f"a mean along {dim}")
    means = x.statistics()[0].to(x.device, torch.float32)
    return means[..., None, None] if keepdim else means


def amax(x: Streamed, dim: Any, keepdim: bool = False) -> Tensor:
    if sorted(d % 4 for d in dim) != [2, 3]:
        raise unknown(f"a maximum along {dim}")
    found = torch.full((1, x.channels, 1, 1), -torch.inf, device=x.device)
    for _, tile in x.tiles():
        found = torch.maximum(found, tile.float().amax((-2, -1), keepdim=True))
    return found if keepdim else found[..., 0, 0]


def amin(x: Streamed, dim: Any, keepdim: bool = False) -> Tensor:
    return -amax(x * -1, dim, keepdim)


def tiled_grid_means(x: Streamed, sides: tuple[int, int]) -> Tensor:
    """Compute `networks.contract.grid_means` as the sum of what each tile adds."""
    rows, columns = (grid_windows(*one).to(x.device) for one in zip(x.sides, sides, strict=True))
    total = torch.zeros(1, x.channels, *sides, device=x.device)
    for window, tile in x.tiles():
        total += rows[:, slice(*window.rows)] @ tile.float() @ columns[:, slice(*window.columns)].T
    return total


class _Flat:
    """Result of `x.flatten(2)`, which offers only the statistics of channels."""

    def __init__(self, x: Streamed) -> None:
        self._x = x

    def mean(self, dim: int) -> Tensor:
        return self._statistic(0, dim)

    def var(self, dim: int, correction: int = 1) -> Tensor:
        if correction:
            raise unknown("an unbiased variance")
        return self._statistic(1, dim)

    def _statistic(self, index: int, dim: int) -> Tensor:
        if dim != -1:
            raise unknown(f"a statistic along {dim}")
        return self._x.statistics()[index].to(self._x.device, torch.float32)


def flatten(x: Streamed, start_dim: int = 0) -> _Flat:
    if start_dim != 2:
        raise unknown(f"flatten from {start_dim}")
    return _Flat(x)
