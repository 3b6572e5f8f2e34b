"""Noise for a generator: x + s_c n, from which it can draw strokes that the photo does not determine.

The noise is a function of a seed, a level and a place alone, hashed in whole numbers: the same on every machine up to
the rounding of a logarithm and a cosine, in every batch, in tiles as in one pass, and in an exported graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gan_style.networks.contract import by_place

INITIAL_STRENGTH = 0.1
BITS_32 = 2**32 - 1
ANGLE_BITS, RADIUS_BITS = 12, 20  # of a hash of 32 bits: 4096 directions, and radii up to 5.4


class Noise(nn.Module):
    """Levels of noise x + s_c n, one map n for all channels of a level (StyleGAN, Karras et al. 2019, section 3.2).

    In training, every image of every pass has a seed of its own, from torch's global generator. In evaluation all
    images have that of `noise_seed`, or each its own where that has several.

    Args:
        widths: channels of the feature map of each level.
    """

    takes_seeds = True
    noise_seed: int | Tensor  # a tensor is int64 [1], or [B] for images of their own seeds

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.noise_seed = 0
        self.strengths = nn.ParameterList(torch.full((width,), INITIAL_STRENGTH) for width in widths)

    def drawn(self, x: Tensor) -> Callable[[Tensor, int], Tensor]:
        """Draw seeds for a pass over x [B, ...], and return the function that adds the noise of a level to its map."""
        if self.training:
            seeds = torch.randint(2**32, (len(x),), device=x.device)
        else:
            seeds = torch.atleast_1d(torch.as_tensor(self.noise_seed, device=x.device))
        keys = keys_of(seeds, len(self.strengths))
        return lambda features, level: self(features, level, keys[level])

    def forward(self, x: Tensor, level: int, keys: Tensor) -> Tensor:
        """Add the noise of a level, 0 is the first, to [B, C, H, W]; keys are int64 [B], or [1] for all images."""
        strength = self.strengths[level][:, None, None]

        def add(part: Tensor, top: int, left: int) -> Tensor:
            rows, columns = places_of(part, top, left)
            return part + (strength * normal(keys, rows, columns)).to(part.dtype)

        return by_place(add, x)


def keys_of(seeds: Tensor, levels: int) -> Tensor:
    """Hash each seed, of 64 bits, with each level to 32 bits: int64 [B] to [levels, B]."""
    level = torch.arange(1, levels + 1, device=seeds.device)[:, None]
    return _hashed((seeds & BITS_32) ^ _hashed((seeds >> 32 & BITS_32) ^ level))


def places_of(part: Tensor, top: int, left: int) -> tuple[Tensor, Tensor]:
    """Return rows [h] and columns [w] of a part [B, C, h, w] of a map, whose first are `top` and `left`."""
    rows, columns = (torch.arange(side, device=part.device) for side in part.shape[-2:])
    return rows + top, columns + left


def normal(keys: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Compute N(0, 1) noise of places by a hash and the transform of Box and Muller 1958.

    Args:
        keys: int64 [B], one for each map.
        rows, columns: of the places, int64 [H] and [W].

    Returns: float32 [B, 1, H, W].
    """
    hashed_rows = _hashed((keys[:, None] + rows) & BITS_32)  # [B, H]
    bits = _hashed(hashed_rows[:, None, :, None] ^ _hashed(columns))
    angle = (bits & (2**ANGLE_BITS - 1)).float() * (2 * math.pi / 2**ANGLE_BITS)
    uniform = (bits >> ANGLE_BITS).float() * 2**-RADIUS_BITS + 2 ** -(RADIUS_BITS + 1)  # never 0 or 1
    return (-2 * uniform.log()).sqrt() * angle.cos()


def _hashed(x: Tensor) -> Tensor:
    """Hash whole numbers of 32 bits, held in int64 (lowbias32 of C. Wellons' search for hash functions, 2018)."""
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & BITS_32
    x = x ^ (x >> 15)
    x = (x * (0x846CA68B - 2**32)) & BITS_32  # less 2^32, so that no product leaves 64 bits
    return x ^ (x >> 16)
