"""Heads of a generator: how its last features and the picture that went in become the picture that comes out.

With `tanh` the network has to paint every pixel anew, and what it cannot carry through its narrow middle is lost. The
other two begin at the picture itself, in L = atanh(x), the space before the tanh: `residual` adds to it, and `band`
can also take its fine detail away, place by place, so that strokes may stand where a photo's grain was.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32
from gan_style.networks.filters import blur

HeadName = Literal["tanh", "residual", "band"]
LARGEST = 0.98  # of the picture's values, before atanh: that of 1 is infinite
SIGMA_PIXELS = 2.0  # of the blur that parts fine detail from the rest
GATE_SLOPE, GATE_START = 4.0, 1.5  # the gate opens by sigmoid(4 m + 1.5): m = 0 keeps 82% of the detail
INITIAL_SCALE = 0.1  # of the last convolution


class ResidualHead(nn.Module):
    """Head out = tanh(L + f), L = atanh(clip(x, ±0.98))."""

    extra_channels = 0

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Combine f [B, C, H, W] and x [B, C, H, W] in [-1, 1] to [B, C, H, W] in [-1, 1], in float32 at least."""
        with torch.autocast(image.device.type, enabled=False):
            return torch.tanh(_level(image) + at_least_float32(features))


class BandHead(nn.Module):
    """Head out = tanh(low + sigmoid(4 m + 1.5) (L - low) + f), L as in `ResidualHead`, low = gauss(L, 2 pixels)."""

    extra_channels = 1  # the gate m

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Combine f and m, [B, C + 1, H, W], and x [B, C, H, W] in [-1, 1] to [B, C, H, W] in [-1, 1]."""
        channels = image.shape[1]
        with torch.autocast(image.device.type, enabled=False):
            level, features = _level(image), at_least_float32(features)
            low = blur(level, SIGMA_PIXELS)
            gate = torch.sigmoid(GATE_SLOPE * features[:, channels:] + GATE_START)
            return torch.tanh(low + gate * (level - low) + features[:, :channels])


_HEADS: dict[str, type[ResidualHead | BandHead]] = {"residual": ResidualHead, "band": BandHead}


def make_head(kind: str, in_channels: int, out_channels: int) -> ResidualHead | BandHead | None:
    """Build a head by name; None for ``tanh``, which is a layer of the network itself.

    Raises:
        ValueError: an unknown name.
        UserError: a head that begins at the picture, but should give one of other channels.
    """
    if kind == "tanh":
        return None
    if kind not in _HEADS:
        raise ValueError(f"Unknown head {kind!r}; choose one of tanh, {', '.join(_HEADS)}.")
    if in_channels != out_channels:
        raise UserError(
            f"model.generator.head={kind} begins at the picture itself and needs as many channels in as out, but this "
            f"model/generator translates {in_channels} to {out_channels}: take head=tanh"
        )
    return _HEADS[kind]()


@torch.no_grad()
def start_small(last: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Scale down the initial weights of a last convolution, so that a network with a head begins near the identity."""
    last.weight.mul_(INITIAL_SCALE)


def _level(image: Tensor) -> Tensor:
    return torch.atanh(at_least_float32(image).clamp(-LARGEST, LARGEST))
