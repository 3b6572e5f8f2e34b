"""The networks of UNSB: a generator that translates in steps, and a discriminator that knows the step."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.types import Count, CountOrNone, Levels, Positive, Weight
from gan_style.networks.blocks import InstanceNorm2d, Upsample, add_spectral_norm, crop, is_per_sample, pad_to_multiple
from gan_style.networks.contract import by_place
from gan_style.networks.init import initialize
from gan_style.networks.noise import keys_of, normal, places_of
from gan_style.networks.padding import ReflectionPad2d, pad
from gan_style.networks.patchgan import PatchDiscriminator, check_size
from gan_style.networks.resnet import DOWNSAMPLING, MIN_SIDE_PIXELS, stem

LONGEST_WAVE = 10_000.0  # of the sinusoids of a step (Vaswani et al. 2017, section 3.5)
EPSILON = 1e-8  # added to the mean square of z


def times(steps: int) -> list[float]:
    """Return where the steps of a bridge begin, and its end: 0, from 1/2 on by steps of 1 : 1/2 : 1/3 ..., and 1.

    As the official code of Kim et al. 2024 has them. Of one step: 0 and 1.
    """
    harmonic = [sum(1 / (n + 1) for n in range(step)) for step in range(steps)]
    return [0.0, *(0.5 + 0.5 * h / harmonic[-1] for h in harmonic)] if steps > 1 else [0.0, 1.0]


class BridgeGenerator(nn.Module):
    """Generator G(x_t, t, z) of the end of a Schrödinger bridge, and the bridge that it spans (Kim et al. 2024).

    `forward` goes along the bridge: at each step G predicts the end from where the image is, with a new random code z,
    and the image moves towards it, with a little noise. `predict` is one prediction, which training uses. Codes and
    noise follow from `noise_seed` alone.

    The layers are those of `ResnetGenerator`, anti-aliased as the official CUT code's; z sets scale and shift after
    the norm of each residual block. By default G knows the step by its image alone, as the official code computes it:
    there a block's first convolution, which takes the time, is built and its result not used. 7,514,883 parameters with
    the defaults; the official code has as many that are used, and 7,169,536 that are not.

    Args:
        in_channels: of the input image.
        out_channels: of the output image, as many: the image at a step is a mixture of both.
        filters: channels of the first layer; z has four times as many numbers.
        blocks: residual blocks.
        steps: of the bridge, so many passes.
        tau: variance of the noise that is added along the whole bridge.
        time_convolution: begin each block with that convolution, so that G knows t as in the paper.
        mapping_layers: of the network that maps z, beside its first.
        upsample: ``bilinear``, ``resize``, ``deconv``, ``pixelshuffle`` or ``blur``.
        downsample: ``blur`` or ``stride``.
        init: see `gan_style.networks.init.initialize`.
        init_gain: likewise.
    """

    graded = True  # forward takes a strength
    feature_channels: tuple[int, ...]  # of what `features` returns

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        filters: Count = 64,
        blocks: Count = 9,
        steps: Count = 5,
        tau: Weight = 0.01,
        time_convolution: bool = False,
        mapping_layers: CountOrNone = 3,
        upsample: str = "bilinear",
        downsample: str = "blur",
        init: str = "xavier",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__()
        self.noise_seed: int | Tensor = 0
        self.steps, self.tau, self.filters = steps, tau, filters
        wide = self.code_size = 4 * filters
        self.stem = nn.Sequential(*stem(in_channels, filters, downsample=downsample))
        self.blocks = nn.ModuleList(BridgeBlock(wide, wide, time_convolution) for _ in range(blocks))
        up: list[nn.Module] = []
        for width in (2 * filters, filters):
            up += [Upsample(2 * width, width, upsample), InstanceNorm2d(width), nn.ReLU(inplace=True)]
        self.up = nn.Sequential(*up, ReflectionPad2d(3), nn.Conv2d(filters, out_channels, 7), nn.Tanh())
        self.mapping = _mlp([wide] * (mapping_layers + 2))
        self.time = _mlp([filters, wide, wide]) if time_convolution else None

        deep = sorted({0, 4 if blocks >= 5 else blocks // 2})
        self._features = (0, 4, 7 + (downsample == "blur"), *(len(self.stem) + block for block in deep))
        self.feature_channels = (in_channels, 2 * filters, wide, *(wide for _ in deep))
        initialize(self, init, init_gain)

    takes_seeds = True

    @property
    def per_sample(self) -> bool:
        """True if inputs may be joined along the batch exactly: not where each image has a seed of its own."""
        own = isinstance(self.noise_seed, Tensor) and self.noise_seed.numel() > 1
        return not own and all(is_per_sample(part) for part in self.children())

    def forward(self, x: Tensor, strength: float = 1.0) -> Tensor:
        """Translate [B, in_channels, H, W] to [B, out_channels, H, W] in [-1, 1]; any H, W >= 1.

        Args:
            x: the images.
            strength: in [0, 1], share of the steps that are taken; between two steps their predictions are mixed.
        """
        taken = strength * self.steps
        whole = math.ceil(taken)
        draw = Drawn(self, x, self.noise_seed)
        at, end, before = x, x, x
        for step in range(whole):
            if step > 0:
                at = draw.noisy(self.moved(at, end, step), step)
            before, end = end, self.predict(at, step, draw.code(step))
        return end if taken == whole else before + (taken - whole + 1) * (end - before)

    def predict(self, x: Tensor, step: int, z: Tensor) -> Tensor:
        """Predict the end of the bridge.

        Args:
            x: [B, in_channels, H, W], images at a step.
            step: from 0 to `steps` - 1.
            z: N(0, 1) codes, [B, code_size], or [1, code_size] for all.

        Returns: [B, out_channels, H, W] in [-1, 1].
        """
        padded, size = pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)
        code, time = self.conditions(step, z)
        y = self.stem(padded)
        for block in self.blocks:
            y = block(y, code, time)
        return crop(self.up(y), size)

    def features(self, x: Tensor, z: Tensor) -> list[Tensor]:
        """Return the features where CUT compares patches, at step 0: see `ResnetGenerator.features`.

        Args:
            x: [B, in_channels, H, W].
            z: see `predict`.

        Returns: one [B, C, h, w] per entry C of ``feature_channels``.
        """
        y, _ = pad_to_multiple(x, DOWNSAMPLING, MIN_SIDE_PIXELS)
        code, time = self.conditions(0, z)
        found = []
        for index in range(self._features[-1] + 1):
            deep = index - len(self.stem)
            y = self.stem[index](y) if deep < 0 else self.blocks[deep](y, code, time)
            if index in self._features:
                found.append(y)
        return found

    def moved(self, x: Tensor, end: Tensor, step: int) -> Tensor:
        """Move images from the step before towards its prediction of the end, by the share of the way that is left."""
        share, _ = self._move(step)
        return x + share * (end - x)

    def deviation(self, step: int) -> float:
        """Return the standard deviation of the noise at a step after the first: that of a Brownian bridge."""
        return math.sqrt(self.tau * self._move(step)[1])

    def conditions(self, step: int, z: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what the blocks take of a code and of a step: [B, code_size], and [1, code_size] or None."""
        code = self.mapping(z * (z.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt())
        return code, None if self.time is None else self.time(
            sinusoids(step, self.filters, next(self.time.parameters()))
        )

    def _move(self, step: int) -> tuple[float, float]:
        at = times(self.steps)
        moved, left = at[step] - at[step - 1], at[-1] - at[step - 1]
        return moved / left, moved * (1 - moved / left)


class Drawn:
    """Codes and noise of a pass along a bridge, as functions of a seed.

    Args:
        network: whose bridge it is.
        x: the images, [B, C, H, W].
        seed: of all images, or [B] of each.
    """

    def __init__(self, network: BridgeGenerator, x: Tensor, seed: int | Tensor) -> None:
        self.network, self.channels = network, x.shape[1]
        self.weight = next(network.parameters())
        seeds = torch.atleast_1d(torch.as_tensor(seed, device=self.weight.device))
        self.keys = keys_of(seeds, network.steps * (1 + self.channels))  # of a step: its code, and each channel

    def code(self, step: int) -> Tensor:
        """Return the code z of a step, [1, code_size], or [B, code_size] of several seeds."""
        key = self._keys(step)[0]
        places = torch.arange(self.network.code_size, device=key.device)
        return normal(key, places[:1], places).flatten(1).to(self.weight.dtype)

    def noisy(self, x: Tensor, step: int) -> Tensor:
        """Add the noise of a step to images [B, C, H, W]."""
        deviation, keys = self.network.deviation(step), self._keys(step)[1:]

        def add(part: Tensor, top: int, left: int) -> Tensor:
            rows, columns = places_of(part, top, left)
            noise = torch.cat([normal(key.to(part.device), rows, columns) for key in keys], dim=1)
            return part + (deviation * noise).to(part.dtype)

        return by_place(add, x)

    def _keys(self, step: int) -> Tensor:
        first = step * (1 + self.channels)
        return self.keys[first : first + 1 + self.channels]


class BridgeBlock(nn.Module):
    """Residual block ``x + f(x, z)``: norm, scale and shift by z, ReLU, 3x3 convolution with reflection, norm.

    Args:
        channels: of input and output.
        code_size: of the mapped z, and of the mapped time.
        time_convolution: begin with a 3x3 convolution of x plus a vector that is linear in the time.
    """

    recomputable = True  # by `networks.recomputed.checkpointed`

    def __init__(self, channels: int, code_size: int, time_convolution: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3) if time_convolution else None
        self.shift = nn.Linear(code_size, channels) if time_convolution else None
        self.modulation = nn.Linear(code_size, 2 * channels)
        self.convolution = nn.Conv2d(channels, channels, 3)
        self.norm = InstanceNorm2d(channels)

    def forward(self, x: Tensor, code: Tensor, time: Tensor | None = None) -> Tensor:
        """Add f(x, z) to features [B, C, H, W], of codes [B, code_size] or [1, code_size]; same shape, H, W >= 2."""
        y = x
        if self.first is not None and self.shift is not None and time is not None:
            y = self.first(pad(x, (1, 1, 1, 1), "reflect") + self.shift(time)[..., None, None])
        scale, shift = self.modulation(code)[..., None, None].chunk(2, dim=1)
        y = F.relu(torch.addcmul(shift, scale, self.norm(y)))
        return x + self.norm(self.convolution(pad(y, (1, 1, 1, 1), "reflect")))


class TimedDiscriminator(PatchDiscriminator):
    """PatchGAN D(x, t) that knows the step t of a bridge: each convolution but the last adds a vector of t.

    An instance norm takes such a vector away again, so that with it the first layer alone knows t, as in the official
    code. 3,143,041 parameters with the defaults and three channels.

    Args:
        in_channels: of the image.
        filters: see `PatchDiscriminator`, as the rest.
        layers: likewise.
        norm: likewise.
        downsample: likewise.
        spectral: likewise.
        init: likewise.
        init_gain: likewise.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        filters: Count = 64,
        layers: Levels = 3,
        norm: str = "instance",
        downsample: Literal["stride", "blur"] = "blur",
        spectral: bool = False,
        init: str = "xavier",
        init_gain: Positive = 0.02,
    ) -> None:
        super().__init__(
            in_channels,
            filters=filters,
            layers=layers,
            norm=norm,
            downsample=downsample,
            init=init,
            init_gain=init_gain,
        )
        size = 4 * filters
        self._size = size
        widths = [layer.out_channels for layer in self.layers if isinstance(layer, nn.Conv2d)][:-1]
        self.time = _mlp([size, size, size])
        self.shifts = nn.ModuleList(nn.Linear(size, width) for width in widths)
        for part in (self.time, self.shifts):
            initialize(part, init, init_gain)
        if spectral:
            add_spectral_norm(self)

    def forward(self, x: Tensor, step: int = 0) -> Tensor:
        """Return logits [B, 1, h, w] of images [B, in_channels, H, W] at a step; H, W >= ``minimum_size``."""
        check_size(self, x, self.minimum_size)
        # in the type of the weights, not of x: real images and fakes may differ in it
        time = self.time(sinusoids(step, self._size, next(self.time.parameters())))
        shifts = iter(self.shifts)
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, nn.Conv2d) and (shift := next(shifts, None)) is not None:
                x = x + shift(time)[..., None, None]
        return x


def sinusoids(step: int, size: int, like: Tensor) -> Tensor:
    """Return sines and cosines of a step, [1, size]: of waves from 2 pi to 10,000 times that long."""
    half = size // 2
    waves = torch.exp(
        torch.arange(half, dtype=like.dtype, device=like.device) * (-math.log(LONGEST_WAVE) / max(half - 1, 1))
    )
    angles = step * waves
    return F.pad(torch.cat([angles.sin(), angles.cos()]), (0, size % 2))[None]


def _mlp(widths: list[int]) -> nn.Sequential:
    """Build linear layers, each with a leaky ReLU of slope 0.2 behind it."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)
