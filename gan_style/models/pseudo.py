"""Adaptive pseudo augmentation: some of the reals that a discriminator learns from are fakes.

Jiang, Dai, Wu, Loy 2021, arXiv:2111.06849. A picture is replaced with probability p. p follows the measure
lambda_r = E[sign(D(real))]: where it is above 0.6 the discriminator is too sure of the few reals that it
knows, and p grows by a small step; below, p falls.

What differs here: the sign is that of D(real) minus the logit between fake and real, which is 0 for `vanilla` and
`hinge` as in the paper and 0.5 for `lsgan`, whose fakes are trained towards 0: with a plain sign almost all would be
positive. lambda_r is measured on pictures that were not replaced. A fake is that of the same place in the batch, which
has its label; the paper makes others. And p may go from 0 to 1 in 5,000 pictures, 2 % of a published CycleGAN training
(200 epochs of some 1,200), as the paper's 500,000 are of its 25 million.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.losses.adversarial import THRESHOLDS, Logits
from gan_style.models.processes import count, summed
from gan_style.models.translator import Generated, Images, Translator

TARGET = 0.6  # of lambda_r
EVERY = 4  # iterations between two steps of p
PICTURES_FROM_0_TO_1 = 5000


class PseudoAugmentation:
    """The probability p of a run, and what it does to the pictures of the discriminators' turn.

    Args:
        method: trained with `model.augment=apa`.

    Raises:
        UserError: its adversarial loss has no logit between fake and real.
    """

    def __init__(self, method: Translator) -> None:
        if method.gan_mode not in THRESHOLDS:
            raise UserError(
                f"model.augment=apa needs a logit between fake and real, which gan_mode={method.gan_mode} has not: "
                f"take model.augment=diffaug, or gan_mode {', '.join(THRESHOLDS)}"
            )
        self.method, self.threshold = method, THRESHOLDS[method.gan_mode]
        self.p = 0.0

    def shown(self, images: Images) -> Images:
        """Return the pictures of an iteration with some of `real_A` and `real_B` replaced by `fake_A` and `fake_B`.

        Draws come from torch's global generator, one for each picture.
        """
        replaced = {}
        for domain in "AB":
            real, fake = images.get(f"real_{domain}"), images.get(f"fake_{domain}")
            if real is None or fake is None:
                continue
            chosen, fake = torch.rand(len(real), device=real.device) < self.p, fake.detach().to(real.dtype)
            if fake.shape == real.shape:
                replaced[f"real_{domain}"] = torch.where(chosen[:, None, None, None], fake, real)
            elif bool(chosen[0]):  # pictures that are not cropped: those of a batch are replaced together
                replaced[f"real_{domain}"] = fake
        return Generated({**images, **replaced}, **(images.kept if isinstance(images, Generated) else {}))

    @torch.no_grad()
    def adapt(self, batch: Mapping[str, Any], images: Images) -> None:
        """Take a step of p, where one is due after an iteration, by lambda_r of its real pictures.

        lambda_r is over all processes, so that p is the same on each.
        """
        if self.method.iteration % EVERY:
            return
        networks = self.method.networks("D")
        before = [network.training for network in networks]
        for network in networks:  # neither their buffers nor their augmentation
            network.eval()
        signs = [_signs(real, self.threshold) for real, _ in self.method.logits(batch, images).values()]
        for network, training in zip(networks, before, strict=True):
            network.train(training)
        (total,) = summed([torch.stack(signs).mean()])
        step = EVERY * len(images["real_A"]) * count() / PICTURES_FROM_0_TO_1
        self.p = min(max(self.p + (step if float(total) / count() > TARGET else -step), 0.0), 1.0)

    def state_dict(self) -> dict[str, float]:
        return {"p": self.p}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.p = float(state["p"])


def _signs(logits: Logits, threshold: float) -> Tensor:
    """Return the mean sign over the patches of all scales, in [-1, 1]."""
    maps = [logits] if isinstance(logits, Tensor) else list(logits)
    return torch.cat([(one.float() - threshold).sign().flatten() for one in maps]).mean()
