"""Accuracy and certainty of the discriminators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gan_style.losses.adversarial import THRESHOLDS, Logits
from gan_style.losses.precision import at_least_float32
from gan_style.models.translator import Images, Translator


@torch.no_grad()
def verdict(model: Translator, batch: Mapping[str, Any], images: Images) -> dict[str, Tensor]:
    """Compute `D_B/right`, the share of patches classified correctly, and `D_B/certainty`, the margin in [-1, 1].

    The networks are in evaluation mode, so that their buffers do not change. Empty for `wgan`, whose logits have no
    threshold and no bound, and for a method that declares no `gan_mode`.

    Args:
        batch, images: of one iteration.
    """
    mode = model.gan_mode
    if mode not in THRESHOLDS:
        return {}
    networks = model.networks("D")
    training = [network.training for network in networks]
    for network in networks:
        network.eval()
    whole = {name: at_least_float32(image) for name, image in images.items()}  # without autocast
    try:
        found = {}
        for name, (real, fake) in model.logits(batch, whole).items():
            found[f"{name}/right"] = (
                _share(_flat(real) > THRESHOLDS[mode]) + _share(_flat(fake) < THRESHOLDS[mode])
            ) / 2
            found[f"{name}/certainty"] = _mean_probability(real, mode) - _mean_probability(fake, mode)
        return found
    finally:
        for network, before in zip(networks, training, strict=True):
            network.train(before)


def _mean_probability(logits: Logits, mode: str) -> Tensor:
    """Return the mean probability of "real", in [0, 1], between the two targets of the loss."""
    flat = _flat(logits)
    if mode == "vanilla":
        return flat.sigmoid().mean()
    return (flat if mode == "lsgan" else (flat + 1) / 2).clamp(0, 1).mean()


def _flat(logits: Logits) -> Tensor:
    maps = [logits] if isinstance(logits, Tensor) else list(logits)
    return torch.cat([one.float().flatten() for one in maps])


def _share(right: Tensor) -> Tensor:
    return right.float().mean()
