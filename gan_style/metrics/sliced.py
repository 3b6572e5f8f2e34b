"""Sliced Wasserstein distance between patches of Laplacian pyramids (Karras et al. 2018, section 5): no weights."""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.metrics.extractor import Extractor

PATCH_PIXELS = 7  # side of a patch
MIN_SIDE_PIXELS = 16  # side of the coarsest level
Norm = Literal["own", "real"]


def laplacian_pyramid(images: Tensor, levels: int) -> list[Tensor]:
    """Split images into differences of each level and the next, finest first, and the rest (Burt and Adelson 1983).

    Args:
        images: [B, C, H, W].
        levels: how many; each halves the side.
    """
    pyramid, current = [], images
    for _ in range(levels - 1):
        small = _blur(current)[..., ::2, ::2]
        pyramid.append(current - _enlarged(small, current.shape[-2:]))
        current = small
    return [*pyramid, current]


def levels_of(side: int) -> int:
    """Return the number of levels down to a side of 16, at least one."""
    count = 1
    while side // 2 >= MIN_SIDE_PIXELS:
        side, count = side // 2, count + 1
    return count


def _blur(images: Tensor, gain: float = 1.0) -> Tensor:
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=images.dtype, device=images.device) / 16
    channels = images.shape[1]
    kernel = (taps[:, None] * taps * gain).expand(channels, 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), "reflect"), kernel, groups=channels)


def _enlarged(images: Tensor, size: torch.Size) -> Tensor:
    spread = images.new_zeros(*images.shape[:2], *size)
    spread[..., ::2, ::2] = images
    return _blur(spread, gain=4.0)


class LaplacianPatches(Extractor):
    """Patches of 7x7 pixels at random positions of each level: [B, levels * patches * 3 * 49].

    The positions in an image follow from its content and the seed, so that neither the order nor the number of ranks
    changes a score, and a set compared with itself gives 0.

    Args:
        patches: per picture and level; 128 in the paper.
        seed: of the positions.
    """

    def __init__(self, patches: int = 64, seed: int = 0) -> None:
        super().__init__(f"laplacian{patches}", f"seed {seed}", size=None)
        self.patches, self.seed = patches, seed

    def features(self, images: Tensor) -> Tensor:
        if min(images.shape[-2:]) < MIN_SIDE_PIXELS:
            raise UserError(f"pictures of {images.shape[-2]}x{images.shape[-1]} are too small for Laplacian patches")
        bytes_of = ((images + 1) * 127.5).round().to(torch.uint8).cpu()
        pyramid = laplacian_pyramid(images, levels_of(min(images.shape[-2:])))
        found = []
        for i, image in enumerate(bytes_of):
            generator = torch.Generator().manual_seed(zlib.crc32(image.numpy().tobytes(), self.seed))
            for level in pyramid:
                windows = level[i].unfold(1, PATCH_PIXELS, 1).unfold(2, PATCH_PIXELS, 1)  # [3, h, w, 7, 7]
                rows, columns = (
                    torch.randint(n, (self.patches,), generator=generator).to(level.device) for n in windows.shape[1:3]
                )
                found.append(windows[:, rows, columns].transpose(0, 1).flatten())
        return torch.cat(found).reshape(len(images), -1)


def sliced_wasserstein(
    real: Tensor,
    fake: Tensor,
    *,
    patches: int = 64,
    directions: int = 512,
    seed: int = 0,
    norm: Norm = "own",
) -> Tensor:
    """Return 1000 times the mean distance between sorted projections, over levels and random directions; float64.

    Each level counts alike. Channels of each level are brought to mean 0 and deviation 1 first: of each set by its
    `own` as in the paper, which forgives a shift of all colours, or both by those of the `real` set, which does not.

    Args:
        real, fake: what `LaplacianPatches` gives, [N, levels * patches * 147] and [M, ...]; of the larger set only as
            many patches are used as the smaller has.
        patches: per picture and level, as given to `LaplacianPatches`.
        directions: projections, drawn from the unit sphere by `seed`.
    """
    values = level_distances(real, fake, patches=patches, directions=directions, seed=seed, norm=norm)
    return values.mean()


def patch_distance(real: Tensor, fake: Tensor, *, patches: int = 64, directions: int = 512, seed: int = 0) -> Tensor:
    """Return `sliced_wasserstein` on the scale of the real set: a blur, a contrast or a shift of colours is seen."""
    return sliced_wasserstein(real, fake, patches=patches, directions=directions, seed=seed, norm="real")


def level_distances(
    real: Tensor, fake: Tensor, *, patches: int = 64, directions: int = 512, seed: int = 0, norm: Norm = "own"
) -> Tensor:
    """Return `sliced_wasserstein` of each level, finest first: [levels]."""
    width = 3 * PATCH_PIXELS**2
    if real.shape[1:] != fake.shape[1:] or real.shape[1] % (patches * width):
        raise UserError("patches of two sets can be compared only for pictures of one size: resize one of the sets")
    generator = torch.Generator().manual_seed(seed)
    values = []
    a, b = (x.reshape(len(x), -1, patches, width).transpose(0, 1).flatten(1, 2).double() for x in (real, fake))
    count = min(a.shape[1], b.shape[1])
    for x, y in zip(a, b, strict=True):
        x, y = (_standardised(x, x), _standardised(y, y if norm == "own" else x))
        x, y = (
            z if len(z) == count else z[torch.randperm(len(z), generator=generator)[:count].to(z.device)]
            for z in (x, y)
        )
        axes = F.normalize(torch.randn(width, directions, dtype=torch.float64, generator=generator), dim=0).to(x.device)
        values.append(1000 * (_sorted(x @ axes) - _sorted(y @ axes)).abs().mean())
    return torch.stack(values)


def _sorted(projections: Tensor) -> Tensor:
    """Sort each direction of [n, directions] to [directions, n]; on a CPU by NumPy, which is ten times as fast."""
    rows = projections.T.contiguous()
    return torch.from_numpy(np.sort(rows.numpy(), axis=1)) if rows.device.type == "cpu" else rows.sort(dim=1).values


def _standardised(x: Tensor, by: Tensor) -> Tensor:
    """Take mean and deviation of each channel out of patches [n, 147]."""
    x, by = x.unflatten(1, (3, -1)), by.unflatten(1, (3, -1))
    mean, deviation = by.mean(dim=(0, 2), keepdim=True), by.std(dim=(0, 2), keepdim=True, correction=0)
    return ((x - mean) / deviation.clamp_min(1e-8)).flatten(1)
