"""Steganography in cycles (Chu et al. 2017): whether the second generator reads an invisible signal in the fake."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.metrics.extractor import rounded
from gan_style.metrics.pairs import cycle_error
from gan_style.networks.filters import blur

ROUNDS = 1000  # of resampling
Map = Callable[[Tensor], Tensor]  # [B, C, H, W] in [-1, 1] -> the same


@dataclass(frozen=True)
class Disturbance:
    """Effect of one disturbance of the fake; errors are mean absolute differences in [0, 2].

    Attributes:
        size: between the fake and the disturbed fake.
        error: between the input and what comes back of the disturbed fake.
        ratio: `error` divided by the undisturbed cycle error.
        honesty: in [0, 1], see `steganography_probe`.
    """

    size: float
    error: float
    ratio: float
    honesty: float


@dataclass(frozen=True)
class ProbeResult:
    """Result of the probe.

    Attributes:
        cycle: the undisturbed cycle error.
        lost: the error when nothing about the input is known: what comes back of another picture's fake.
        disturbances: by name.
        honesty: the least of the disturbances': 1 honest, 0 hidden; None where the cycle does not return the input
            even undisturbed, so that there is nothing to hide.
        low, high: 95% interval of the honesty over resampled pictures; None as it is.
    """

    cycle: float
    lost: float
    disturbances: dict[str, Disturbance]
    honesty: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, object]:
        """Convert to a dict for a result file."""
        return asdict(self)


@torch.no_grad()
def steganography_probe(G_AB: Map, G_BA: Map, images: Tensor, *, seed: int = 0) -> ProbeResult:
    """Reconstruct pictures from their translations after 8-bit rounding, JPEG, blur and noise.

    An honest pair of generators keeps the input in what can be seen of the fake: a disturbance of size d makes the
    cycle error grow by about d. A pair that hides it in faint traces loses it all at once. With the undisturbed
    cycle error e0, the error e after the disturbance, and the error e1 of the reconstruction from another picture's
    fake (nothing known),

        honesty = 1 - clip((e - e0 - d) / (e1 - e0 - d), 0, 1),

    and the probe's number is the least over the disturbances, because it takes one to destroy a hidden code, and the
    allowance d keeps an honest pair near 1 under all of them. Disturbances with e0 + d >= e1 say nothing and count
    as 1. The share of the cycle that was hidden is 1 - honesty.

    Args:
        G_AB, G_BA: translations of [B, C, H, W] in [-1, 1].
        images: [N, C, H, W] in [-1, 1], two different ones at least, 1 or 3 channels; passed as one batch.
        seed: of the noise.

    Raises:
        UserError: fewer than two pictures.
    """
    if images.dim() != 4 or len(images) < 2 or images.shape[1] not in (1, 3):
        raise UserError(
            f"the probe takes two pictures at least, [N, 3, H, W] or [N, 1, H, W], not {list(images.shape)}"
        )
    fake = G_AB(images)
    back = G_BA(fake)
    before, lost = cycle_error(images, back), cycle_error(images, back.roll(1, 0))
    changed = {name: disturb(fake) for name, disturb in disturbances(seed).items()}
    sizes = torch.stack([cycle_error(fake, one) for one in changed.values()])
    errors = torch.stack([cycle_error(images, G_BA(one)) for one in changed.values()])  # [disturbances, N]
    parts = before.double(), lost.double(), sizes.double(), errors.double()
    e0, e1, d, e = (x.mean(-1) for x in parts)
    each = _honesty(e0, e1, d, e)
    found = {
        name: Disturbance(float(d[i]), float(e[i]), float(e[i] / e0.clamp_min(1e-8)), float(each[i]))
        for i, name in enumerate(changed)
    }
    if e0 >= e1:
        return ProbeResult(float(e0), float(e1), found, None, None, None)
    rows = np.random.default_rng(seed).integers(0, len(images), (ROUNDS, len(images)))
    drawn = _honesty(*(x.cpu()[..., torch.from_numpy(rows)].mean(-1) for x in parts)).amin(0)
    low, high = np.percentile(drawn.numpy(), [2.5, 97.5])
    return ProbeResult(float(e0), float(e1), found, float(each.min()), float(low), float(high))


def _honesty(before: Tensor, lost: Tensor, sizes: Tensor, errors: Tensor) -> Tensor:
    """Return the probe's equation, [...] twice and [disturbances, ...] twice -> [disturbances, ...] in [0, 1]."""
    room = lost - before - sizes
    return torch.where(room > 0, 1 - ((errors - before - sizes) / room.clamp_min(1e-12)).clamp(0, 1), 1.0)


def disturbances(seed: int = 0) -> dict[str, Map]:
    """Return the four disturbances by name: those of a file, a web page, a resize and a sensor."""
    return {
        "rounding": rounded,
        "jpeg": lambda images: jpeg(images, quality=75),
        "blur": lambda images: blur(images, sigma=1.0),
        "noise": lambda images: noise(images, sigma=4 / 255, seed=seed),
    }


def jpeg(images: Tensor, quality: int = 75) -> Tensor:
    """Pass images through a JPEG file in memory, [B, 3, H, W] or [B, 1, H, W] in [-1, 1]."""
    pixels = ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    back = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "jpeg", quality=quality)
        decoded = np.asarray(Image.open(file))
        back.append(torch.from_numpy(decoded.reshape(image.shape).copy()))
    return torch.stack(back).permute(0, 3, 1, 2).to(images) / 127.5 - 1


def noise(images: Tensor, sigma: float, seed: int = 0) -> Tensor:
    """Draw normal noise of deviation `sigma`, the same for the same seed on every device."""
    generator = torch.Generator().manual_seed(seed)
    return images + sigma * torch.randn(images.shape, generator=generator).to(images)
