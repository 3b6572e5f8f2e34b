"""Accuracy and certainty of the discriminators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gan_style.core.precision import at_least_float32
from gan_style.losses.adversarial import THRESHOLDS, Maps, by_judge, maps_of
from gan_style.models.translator import Images, Translator
from gan_style.networks.contract import judges_of


@torch.no_grad()
def verdict(model: Translator, batch: Mapping[str, Any], images: Images) -> dict[str, Tensor]:
    """Compute `D_B/right`, the share of patches classified correctly, and `D_B/certainty`, the margin in [-1, 1].

    For a discriminator of several judges they are those of each, such as `D_B_texture/right`.

    The networks are in evaluation mode, so that their buffers do not change. Empty for `wgan` and `relativistic`, whose
    logits have no threshold and no bound, and for a method that declares no `gan_mode`.

    Args:
        batch, images: of one iteration.
    """
    if model.gan_mode is None:
        return {}
    networks = model.networks("D")
    training = [network.training for network in networks]
    for network in networks:
        network.eval()
    whole = {name: at_least_float32(image) for name, image in images.items()}  # without autocast
    try:
        found: dict[str, Tensor] = {}
        for name, (reals, fakes) in model.logits(batch, whole).items():
            (_, modes), judged = judges_of(getattr(model, name, model)), by_judge(fakes)
            for judge, real in by_judge(reals).items():
                of_judge = _of_judge(real, judged[judge], modes.get(judge, model.gan_mode))
                found |= {f"{name}_{judge}/{key}" if judge else f"{name}/{key}": v for key, v in of_judge.items()}
        return found
    finally:
        for network, before in zip(networks, training, strict=True):
            network.train(before)


def _of_judge(real: Maps, fake: Maps, mode: str) -> dict[str, Tensor]:
    if mode not in THRESHOLDS:
        return {}
    right = _share(_flat(real) > THRESHOLDS[mode]) + _share(_flat(fake) < THRESHOLDS[mode])
    return {"right": right / 2, "certainty": _mean_probability(real, mode) - _mean_probability(fake, mode)}


def _mean_probability(logits: Maps, mode: str) -> Tensor:
    """Return the mean probability of "real", in [0, 1], between the two targets of the loss."""
    flat = _flat(logits)
    if mode in ("vanilla", "nonsaturating"):
        return flat.sigmoid().mean()
    return (flat if mode in ("lsgan", "lsgan_sum") else (flat + 1) / 2).clamp(0, 1).mean()


def _flat(logits: Maps) -> Tensor:
    return torch.cat([one.float().flatten() for one in maps_of(logits)])


def _share(right: Tensor) -> Tensor:
    return right.float().mean()
