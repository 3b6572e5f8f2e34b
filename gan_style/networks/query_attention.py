"""Attention that chooses which patches are compared and what they gather, for QS-Attn; it has no weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.precision import at_least_float32
from gan_style.core.types import Count, CountOrNone, Positive
from gan_style.networks.patch_projector import PatchProjector

ROWS_AT_ONCE = 1024  # of a matrix of attention: a map of 64x64 has 4096, one of 128x128 has 16384
Attention = Literal["global", "local", "local_global"]


class AttendingProjector(PatchProjector):
    """Heads of CUT on queries that attention selects and routes (Hu et al. 2022, section 3.2).

    Args:
        channels: see `PatchProjector`, as the rest.
        attention: "global" attends to all places and "local" to a window; "local_global" selects by the window and
            routes from all places.
        layers: the last so many are attended, the others have random places; all where there are fewer.
        window: side of the window, odd.
        width: see `PatchProjector`, as the rest.
        num_patches: likewise.
        init: likewise.
        init_gain: likewise.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        attention: Attention = "global",
        layers: CountOrNone = 2,
        window: Count = 7,
        width: Count = 256,
        num_patches: Count = 256,
        init: str = "xavier",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__(channels, width=width, num_patches=num_patches, init=init, init_gain=init_gain)
        self.attention, self.window = attention, window
        self.first = max(0, len(channels) - layers)

    def sample(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Draw places of the layers that are not attended, and choose those of the others.

        Args:
            features: one [B, C, h, w] per layer.

        Returns:
            One int64 [N] per layer as of `PatchProjector`, or of an attended layer the rows of its attention, float
            [B, N, h * w], those of the least entropy first.
        """
        return super().sample(features[: self.first]) + [self._rows(x) for x in features[self.first :]]

    def _rows(self, x: Tensor) -> Tensor:
        """Return the rows of attention of the `num_patches` places that are the most significant."""
        with torch.autocast(x.device.type, enabled=False):
            x = at_least_float32(x)
            local = self.attention != "global"
            windows = window_attention(x, self.window) if local else None
            entropy = torch.special.entr(windows).sum(2) if windows is not None else global_entropy(x)
            places = entropy.argsort(dim=1, stable=True)[:, : self.num_patches]
            if windows is not None and self.attention == "local":
                return spread(windows, places, x.shape[-2:], self.window)
            queries = x.flatten(2).gather(2, places[:, None].expand(-1, x.shape[1], -1))
            return (queries.transpose(1, 2) @ x.flatten(2)).softmax(2)

    def _taken(self, x: Tensor, ids: Tensor) -> Tensor:
        if not ids.is_floating_point():
            return super()._taken(x, ids)
        return ids @ x.flatten(2).transpose(1, 2).to(ids.dtype)


def global_entropy(x: Tensor) -> Tensor:
    """Compute the entropy of each place's attention to all places, [B, C, h, w] to [B, h * w] (Hu et al., eq. 4)."""
    flat = x.flatten(2)
    parts = [(part.transpose(1, 2) @ flat).softmax(2) for part in flat.split(ROWS_AT_ONCE, 2)]
    return torch.cat([torch.special.entr(part).sum(2) for part in parts], 1)


def window_attention(x: Tensor, side: int) -> Tensor:
    """Compute each place's attention to the window around it, [B, C, h, w] to [B, h * w, side * side].

    What lies beyond the border gets none.
    """
    height, width = x.shape[-2:]
    reach = side // 2
    padded = F.pad(x, (reach,) * 4)
    inside = F.pad(torch.ones(1, height, width, device=x.device, dtype=torch.bool), (reach,) * 4)
    products = []
    for row, column in offsets(side):
        rows, columns = slice(row, row + height), slice(column, column + width)
        product = (x * padded[..., rows, columns]).sum(1)
        products.append(product.masked_fill(~inside[..., rows, columns], -torch.inf).flatten(1))
    return torch.stack(products, 2).softmax(2)


def offsets(side: int) -> Iterator[tuple[int, int]]:
    """Yield row and column of each place of a window, from its top left."""
    return ((row, column) for row in range(side) for column in range(side))


def spread(windows: Tensor, places: Tensor, size: Sequence[int], side: int) -> Tensor:
    """Write attention to windows as rows over the whole map.

    Args:
        windows: [B, h * w, side * side], see `window_attention`.
        places: int64 [B, N], whose rows are wanted.
        size: h and w.
        side: of the window.

    Returns: [B, N, h * w].
    """
    height, width = size
    chosen = windows.gather(1, places[..., None].expand(-1, -1, side * side))
    around = torch.tensor(list(offsets(side))) - side // 2
    around = around.to(places.device, non_blocking=True)  # else a GPU is waited for
    rows = (places[..., None] // width + around[:, 0]).clamp(0, height - 1)  # weights beyond the border are 0
    columns = (places[..., None] % width + around[:, 1]).clamp(0, width - 1)
    return windows.new_zeros(*places.shape, height * width).scatter_add_(2, rows * width + columns, chosen)
