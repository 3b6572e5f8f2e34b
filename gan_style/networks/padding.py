"""Padding by reflection and replication, with a backward pass that is deterministic on a GPU, too."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import has_torch_function_unary


def pad(x: Tensor, padding: tuple[int, int, int, int], mode: str) -> Tensor:
    """Pad by "reflect" or "replicate" as `F.pad`; by slices where torch's own is not deterministic.

    On CUDA torch sums the gradients of these two by atomic additions, whose order changes from run to run, so that
    `torch.use_deterministic_algorithms` raises in the backward pass. Slices, flips and a concatenation sum
    in one order.

    Args:
        x: [B, C, H, W].
        padding: left, right, above and below, each 0 or more; reflected, less than the side.
        mode: "reflect" or "replicate".

    Returns: [B, C, above + H + below, left + W + right].
    """
    computed_here = not has_torch_function_unary(x)  # neither in tiles, nor by `networks.wrap`
    if computed_here and x.is_cuda and torch.are_deterministic_algorithms_enabled():
        return pad_by_slices(x, padding, mode)
    return F.pad(x, padding, mode)


def pad_by_slices(x: Tensor, padding: tuple[int, int, int, int], mode: str) -> Tensor:
    """Pad with the same values and gradients as `F.pad`; for arguments and shapes see `pad`."""
    for dim, before, after in ((-1, *padding[:2]), (-2, *padding[2:])):
        side = x.shape[dim]
        if mode == "reflect":
            first = x.narrow(dim, 1, before).flip(dim)
            last = x.narrow(dim, side - 1 - after, after).flip(dim)
        else:
            edges = x.narrow(dim, 0, 1), x.narrow(dim, side - 1, 1)
            first, last = (
                torch.cat([edge] * n, dim) if n else edge.narrow(dim, 0, 0)
                for edge, n in zip(edges, (before, after), strict=True)
            )
        x = torch.cat([first, x, last], dim)
    return x


class ReflectionPad2d(nn.ReflectionPad2d):
    """Torch's `ReflectionPad2d`, computed by `pad`."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad [B, C, H, W] to [B, C, above + H + below, left + W + right]."""
        return pad(x, self.padding, "reflect")


class ReplicationPad2d(nn.ReplicationPad2d):
    """Torch's `ReplicationPad2d`, computed by `pad`."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad [B, C, H, W] to [B, C, above + H + below, left + W + right]."""
        return pad(x, self.padding, "replicate")
