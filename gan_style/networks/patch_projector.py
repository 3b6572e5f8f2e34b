"""The heads that project features at single positions to vectors, which CUT compares."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_style.core.types import Count, Positive
from gan_style.networks.init import initialize

EPSILON = 1e-7


class PatchProjector(nn.Module):
    """Projection heads H of CUT: two linear layers and a ReLU per feature layer (Park et al. 2020, section 3).

    It computes in the precision of its own weights also under autocast: with the official initial weights the
    vectors, before they are normalised, are too small for half precision.

    Args:
        channels: of each feature layer, as a generator's ``feature_channels``.
        width: of the hidden layer and of the vectors, 256 in the paper.
        num_patches: positions sampled in each picture; all of them where a layer has fewer.
        init: see `gan_style.networks.init.initialize`; the official code draws Xavier's weights here.
        init_gain: likewise.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        width: Count = 256,
        num_patches: Count = 256,
        init: str = "xavier",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        self.num_patches = num_patches
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(count, width), nn.ReLU(), nn.Linear(width, width)) for count in channels
        )
        initialize(self, init, init_gain)

    def sample(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Draw positions without repetition, from torch's global generator.

        Args:
            features: one [B, C, h, w] per layer.

        Returns:
            One int64 [min(num_patches, h * w)] per layer: row * w + column, the same in all pictures.
        """
        return [torch.randperm(x.shape[-2] * x.shape[-1], device=x.device)[: self.num_patches] for x in features]

    def forward(self, features: Sequence[Tensor], ids: Sequence[Tensor]) -> list[Tensor]:
        """Project the features at given positions.

        Args:
            features: one [B, C, h, w] per layer.
            ids: one int64 [N] per layer, see `sample`.

        Returns:
            One [B, N, width] of unit vectors per layer; zeros, without a gradient, where the head gives zeros.
        """
        with torch.autocast(features[0].device.type, enabled=False):
            vectors = []
            for head, x, positions in zip(self.heads, features, ids, strict=True):
                patches = x.flatten(2).index_select(2, positions).transpose(1, 2)
                vectors.append(_unit(head(patches.to(next(head.parameters()).dtype))))
        return vectors


class FeatureSummary(nn.Module):
    """Summary of the vectors of all layers of a picture, for SimDCL's similarity loss (Han et al. 2021, section 3.3).

    A convolution over the table of vectors, the layers its channels, its mean, and two linear layers whose vector is
    brought to length 1.

    Args:
        layers: of features.
        width: of what it computes, 64 in the official code.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    def __init__(self, layers: int, *, width: Count = 64, init: str = "xavier", init_gain: Positive = 0.02) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(layers, width, 3, 2)
        self.linear = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        initialize(self, init, init_gain)

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """Summarise one [B, N, D] per layer, N and D of 3 or more, as [B, width]."""
        with torch.autocast(vectors[0].device.type, enabled=False):
            table = torch.stack(list(vectors), dim=1).to(self.convolution.weight.dtype)
            return _unit(self.linear(torch.relu(self.convolution(table)).mean(dim=(2, 3))))


def _unit(vectors: Tensor) -> Tensor:
    # The official code adds this epsilon, which counts: vectors of the initial weights are no longer than 1e-3. A zero
    # vector stays zero and has no gradient; by the epsilon alone it would have a huge one.
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors / (length + EPSILON).masked_fill(length == 0, torch.inf)
