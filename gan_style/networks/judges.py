"""Discriminators of several judges, one that sees texture alone, and one that sees colours alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.types import Count, GanMode, Levels, Positive, Weight
from gan_style.networks.contract import can_join, judges_of, minimum_size
from gan_style.networks.filters import high_passed
from gan_style.networks.patchgan import PatchDiscriminator, check_size


class Judges(nn.Module):
    """Several discriminators that each judge the whole image, every one with a loss of its own.

    One that has several judges itself gives each of them, as NAME_OWN.

    Args:
        in_channels: of the image.
        judges: by name, factories `(in_channels=)` -> network.
        weights: what the loss of a judge counts, by name; 1 where it is not named.
        gan_modes: adversarial loss of a judge, by name; the method's where it is not named.

    Raises:
        UserError: no judge, two of one name, or a weight or a loss for a name that is no judge's.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        judges: Mapping[str, Any],
        weights: Mapping[str, Weight] | None = None,
        gan_modes: Mapping[str, GanMode | None] | None = None,
    ) -> None:
        super().__init__()
        made: Mapping[str, Callable[..., nn.Module]] = {name: make for name, make in judges.items() if make}
        if not made:
            raise UserError("model.discriminator.judges names none: give one or more networks by name")
        for key, named in (("weights", weights), ("gan_modes", gan_modes)):
            for name in named or {}:
                if name not in judges:
                    raise UserError(f"model.discriminator.{key}.{name} is for no judge: there are {', '.join(judges)}")
        for name in made:
            if not name.isidentifier() or name in dir(nn.ModuleDict):
                raise UserError(f"model.discriminator.judges.{name} cannot be the name of a judge: take another one")
        self.networks = nn.ModuleDict({name: make(in_channels=in_channels) for name, make in made.items()})
        self.judge_weights: dict[str, float] = {}
        self.judge_modes: dict[str, str] = {}
        for name, network in self.networks.items():
            own_weights, own_modes = judges_of(network)
            for own in own_weights or ("",):
                judge = f"{name}_{own}" if own else name
                if judge in self.judge_weights:
                    raise UserError(f"model.discriminator.judges has two judges called {judge}: rename one")
                self.judge_weights[judge] = float((weights or {}).get(name, 1.0)) * own_weights.get(own, 1.0)
                mode = (gan_modes or {}).get(name) or own_modes.get(own)
                self.judge_modes |= {judge: mode} if mode else {}

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly."""
        return all(can_join(network) for network in self.networks.values())

    @property
    def minimum_size(self) -> int:
        """Least height and width of an image that every judge takes."""
        return max(minimum_size(network) for network in self.networks.values())

    def forward(self, x: Tensor) -> dict[str, Any]:
        """Return the logits of each judge by its name, of images [B, in_channels, H, W]."""
        logits: dict[str, Any] = {}
        for name, network in self.networks.items():
            own = network(x)
            logits |= {f"{name}_{part}": maps for part, maps in own.items()} if isinstance(own, dict) else {name: own}
        return logits


class TextureDiscriminator(PatchDiscriminator):
    """PatchGAN on what a Gaussian takes away: it sees strokes and edges, and no colour or light.

    With one layer it judges patches of 16x16. It has no norm, which would hide how strong a texture is; by a spectral
    norm (Miyato et al. 2018) it is too smooth a function to ask for the last of the strokes
    (experiments/2026-11-30-recipe).

    Args:
        in_channels: of the image.
        sigma: of the Gaussian, in pixels.
        gain: factor on the high-passed image, whose values are small.
        filters: see `PatchDiscriminator`, as the rest.
        layers: likewise.
        norm: likewise.
        downsample: likewise.
        spectral: likewise.
        init: likewise.
        init_gain: likewise.

    Raises:
        UserError: in ``forward``, an image smaller than one patch.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        sigma: Positive = 1.5,
        gain: Positive = 4.0,
        filters: Count = 32,
        layers: Levels = 1,
        norm: str = "none",
        downsample: Literal["stride", "blur"] = "stride",
        spectral: bool = False,
        init: str = "normal",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__(
            in_channels,
            filters=filters,
            layers=layers,
            norm=norm,
            downsample=downsample,
            spectral=spectral,
            init=init,
            init_gain=init_gain,
        )
        self.sigma, self.gain = sigma, gain

    @property
    def minimum_size(self) -> int:
        """Side of one patch: in a smaller image all that a logit sees would be border."""
        return self.receptive_field

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [B, 1, h, w] of images [B, in_channels, H, W]; H, W >= ``minimum_size``."""
        return super().forward(self.gain * high_passed(x, self.sigma))


class ColourDiscriminator(PatchDiscriminator):
    """PatchGAN on means of squares: it sees colours and large shapes, and no stroke.

    With one layer and squares of 4x4 it judges patches of 64x64. It has no norm, which would take a picture's mean
    colours away before they are judged.

    Args:
        in_channels: of the image.
        shrink: side of a square, in pixels.
        gain: factor on the means.
        filters: see `PatchDiscriminator`, as the rest.
        layers: likewise.
        spectral: likewise.

    Raises:
        UserError: in ``forward``, an image that gives no logit.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        shrink: Count = 4,
        gain: Positive = 2.0,
        filters: Count = 32,
        layers: Levels = 1,
        spectral: bool = True,
    ) -> None:
        super().__init__(in_channels, filters=filters, layers=layers, norm="none", spectral=spectral)
        self.shrink, self.gain = shrink, gain

    @property
    def receptive_field(self) -> int:
        """Side of the square of input pixels that one logit sees."""
        return self.shrink * super().receptive_field

    @property
    def minimum_size(self) -> int:
        """Least height and width of an image that gives at least one logit."""
        return self.shrink * super().minimum_size

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [B, 1, h, w] of images [B, in_channels, H, W]; H, W >= ``minimum_size``."""
        check_size(self, x, self.minimum_size)
        return self.layers(self.gain * F.avg_pool2d(x, self.shrink))
