"""Adaptive pseudo augmentation: some of the reals that a discriminator learns from are fakes.

Jiang, Dai, Wu, Loy 2021, arXiv:2111.06849. A picture is replaced with probability p. p follows the measure
lambda_r = E[sign(D(real))]: where it is above 0.6 the discriminator is too sure of the few reals that it knows, and p
grows by a small step; below, p falls.

What differs here: the sign is that of D(real) minus the logit between fake and real, which is 0 for `vanilla` and
`hinge` as in the paper and 0.5 for `lsgan`, whose fakes are trained towards 0: with a plain sign almost all would be
positive. lambda_r is measured on pictures that were not replaced. A fake is that of the same place in the batch, which
has its label; the paper makes others. Each domain that is judged has a p of its own: one discriminator may be too sure
while the other is not. And p may go from 0 to 1 in 5,000 pictures, 2 % of a published CycleGAN training (200 epochs of
some 1,200), as the paper's 500,000 are of its 25 million.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.losses.adversarial import THRESHOLDS, Logits, by_judge, maps_of
from gan_style.models.processes import count, summed
from gan_style.models.translator import Images, Translator, replaced
from gan_style.networks.contract import judges_of

TARGET = 0.6  # of lambda_r
EVERY = 4  # iterations between two steps of p
PICTURES_FROM_0_TO_1 = 5000


class PseudoAugmentation:
    """The probabilities p of a run, by domain, and what they do to the pictures of the discriminators' turn.

    Args:
        method: trained with `model.augment=apa`.

    Raises:
        UserError: its adversarial loss has no logit between fake and real.
    """

    def __init__(self, method: Translator) -> None:
        self.method = method
        for name in method.discriminators:
            if not any(mode in THRESHOLDS for mode in self._modes(name).values()):
                raise UserError(
                    f"model.augment=apa needs a logit between fake and real, which gan_mode={method.gan_mode} has not: "
                    f"take model.augment=diffaug, or gan_mode {', '.join(THRESHOLDS)}"
                )
        self.p = {_domain_of(name): 0.0 for name in method.discriminators}

    def _modes(self, discriminator: str) -> dict[str, str | None]:
        """Return the adversarial loss of each judge of a discriminator; that of its only judge by an empty name."""
        weights, modes = judges_of(getattr(self.method, discriminator))
        return {judge: modes.get(judge, self.method.gan_mode) for judge in weights or ("",)}

    def shown(self, images: Images) -> Images:
        """Return the pictures of an iteration with some of `real_A` and `real_B` replaced by `fake_A` and `fake_B`.

        Draws come from torch's global generator, one for each picture.
        """
        changed = {}
        for domain, p in self.p.items():
            real, fake = images[f"real_{domain}"], images[f"fake_{domain}"]
            chosen, fake = torch.rand(len(real), device=real.device) < p, fake.detach().to(real.dtype)
            if fake.shape == real.shape:
                changed[f"real_{domain}"] = torch.where(chosen[:, None, None, None], fake, real)
            elif bool(chosen[0]):  # pictures that are not cropped: those of a batch are replaced together
                changed[f"real_{domain}"] = fake
        return replaced(images, changed)

    @torch.no_grad()
    def adapt(self, batch: Mapping[str, Any], images: Images) -> None:
        """Take a step of each p, where one is due after an iteration, by lambda_r of its real pictures.

        lambda_r is over all processes, so that p is the same on each.
        """
        if self.method.iteration % EVERY:
            return
        networks = self.method.networks("D")
        before = [network.training for network in networks]
        for network in networks:  # neither their buffers nor their augmentation
            network.eval()
        signs: dict[str, list[Tensor]] = {domain: [] for domain in self.p}
        for name, (real, _) in self.method.logits(batch, images).items():
            signs[_domain_of(name)].append(_signs(real, self._modes(name)))
        for network, training in zip(networks, before, strict=True):
            network.train(training)
        (totals,) = summed([torch.stack([torch.stack(of_domain).mean() for of_domain in signs.values()])])
        step = EVERY * len(images["real_A"]) * count() / PICTURES_FROM_0_TO_1
        for domain, total in zip(signs, totals.tolist(), strict=True):
            moved = self.p[domain] + (step if total / count() > TARGET else -step)
            self.p[domain] = min(max(round(moved, 9), 0.0), 1.0)  # as many steps up as down lead to the same p

    def state_dict(self) -> dict[str, float]:
        return dict(self.p)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.p = {domain: float(state.get(domain, 0.0)) for domain in self.p}


def _domain_of(discriminator: str) -> str:
    """Return the domain that a discriminator judges, by the last letter of its name; without one, that of the fakes."""
    return discriminator[-1] if discriminator[-1] in "AB" else "B"


def _signs(logits: Logits, modes: Mapping[str, str | None]) -> Tensor:
    """Return the mean sign in [-1, 1] over the patches of all scales and judges whose loss has a threshold."""
    signs = [
        (one.float() - THRESHOLDS[mode]).sign().flatten()
        for judge, maps in by_judge(logits).items()
        if (mode := modes[judge]) in THRESHOLDS
        for one in maps_of(maps)
    ]
    return torch.cat(signs).mean()
