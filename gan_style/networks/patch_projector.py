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
                vectors.append(_unit(head(self._taken(x, positions).to(next(head.parameters()).dtype))))
        return vectors

    def _taken(self, x: Tensor, ids: Tensor) -> Tensor:
        """Return the features [B, N, C] of one layer at the positions of `sample`."""
        return x.flatten(2).index_select(2, ids).transpose(1, 2)


class PairProjector(nn.Module):
    """Heads of EnCo: a projection of each pair of maps, and a prediction of the encoder's vectors (Cai et al. 2024).

    Both are two linear layers, with batch norm over the patches.

    Args:
        channels: of each pair, as a generator's ``pair_channels``.
        width: of the projection, 256 in the official code; the prediction's hidden layer has half of it.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    def __init__(
        self, channels: Sequence[int], *, width: Count = 256, init: str = "xavier", init_gain: Positive = 0.02
    ) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            nn.Sequential(
                nn.Linear(count, width, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Linear(width, width, bias=False),
                nn.BatchNorm1d(width, affine=False),
            )
            for count in channels
        )
        half = max(1, width // 2)
        self.predictions = nn.ModuleList(
            nn.Sequential(nn.Linear(width, half, bias=False), nn.BatchNorm1d(half), nn.ReLU(), nn.Linear(half, width))
            for _ in channels
        )
        initialize(self, init, init_gain)

    def forward(self, features: Sequence[Tensor], ids: Sequence[Tensor], *, predict: bool) -> list[Tensor]:
        """Project features at given places, and where asked predict from that what the encoder's are.

        Args:
            features: one [B, C, h, w] per pair.
            ids: one int64 [B, N] per pair, row * w + column, see `doubtful_places`.
            predict: whether they are the decoder's.

        Returns:
            One [B * N, width] of unit vectors per pair.
        """
        found = []
        with torch.autocast(features[0].device.type, enabled=False):
            for index, (x, places) in enumerate(zip(features, ids, strict=True)):
                flat = x.flatten(2).to(self.projections[0][0].weight.dtype)  # type: ignore[index]
                patches = flat.gather(2, places[:, None].expand(-1, x.shape[1], -1)).transpose(1, 2).flatten(0, 1)
                vectors = self.projections[index](patches)
                found.append(_unit(self.predictions[index](vectors) if predict else vectors))
        return found


def doubtful_places(logits: Tensor, count: int, *, oversample: int = 4, random_share: float = 0.5) -> Tensor:
    """Draw places for EnCo's loss: half of them where a discriminator is surest of a fake, the others anywhere.

    Cai et al. 2024, "discriminative attention-guided sampling". Of `oversample` times as many random places the least
    real ones are taken. Draws come from torch's global generator.

    Args:
        logits: [B, 1, h, w], of the size of the features.
        count: of places; all where there are fewer.
        oversample: see above.
        random_share: of the places.

    Returns: int64 [B, min(count, h * w)].
    """
    total = logits.shape[-2] * logits.shape[-1]
    count = min(count, total)
    anywhere = int(count * random_share)
    rows = []
    for one in logits.flatten(1):
        drawn = torch.randperm(total, device=one.device)[: count * oversample]
        # Where logits were enlarged some are equal up to rounding, which differs between machines: of those the first
        # drawn are taken.
        least = drawn[one[drawn].round(decimals=5).argsort(stable=True)[: count - anywhere]]
        others = torch.randperm(total, device=one.device)[total - anywhere :]
        rows.append(torch.cat([least, others]))
    return torch.stack(rows)


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
