"""SANTA: Unpaired Image-to-Image Translation with Shortest Path Regularization.

Xie, Xu, Gong, Zhang 2023, CVPR. One generator with a position d between the domains; of all ways from A to B that an
adversarial loss allows, the shortest is taken: that on which the decoder's features change the least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32
from gan_style.core.types import Count, Positive, Weight
from gan_style.models.passes import joined
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, l1, normal_like
from gan_style.networks.blocks import crop
from gan_style.networks.factory import require_same_channels
from gan_style.networks.path import PathGenerator

MIN_STEP = 0.1  # the change of features is divided by the way between two positions, at least by this


class SANTA(Translator):
    """A generator along a path from A to B, and a discriminator at its end.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> `PathGenerator`.
        discriminator: factory, `(in_channels=)` -> network.
        channels_A, channels_B: of the pictures of each domain; equal, since the generator encodes both.
        lambda_gan: weight of the adversarial loss.
        lambda_rec: weight of |G(A, 0) - A|.
        lambda_idt: weight of |G(B, 1) - B|.
        lambda_kl: weight of the mean square of the features, where noise is added to them.
        lambda_path: weight of the change of the decoder's features along the path.
        noise_std: deviation of that noise, in training alone; 0 adds none.
        step_min, step_max: of half the way between the two positions whose features are compared, drawn uniformly.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: domains with different channels, a generator of another kind, or an empty range of steps.
    """

    generators = ("G_AB",)
    discriminators = ("D_B",)
    gan_mode = "lsgan"
    turns = ("D", "G")

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        lambda_gan: Weight = 1.0,
        lambda_rec: Weight = 5.0,
        lambda_idt: Weight = 5.0,
        lambda_kl: Weight = 0.01,
        lambda_path: Weight = 0.01,
        noise_std: Weight = 1.0,
        step_min: Positive = 0.05,
        step_max: Positive = 0.1,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        require_same_channels(channels_A, channels_B, "one path between the domains")
        if step_min > step_max:
            raise UserError(f"model.step_min={step_min:g} is above model.step_max={step_max:g}: exchange them")
        network = generator(in_channels=channels_A, out_channels=channels_B)
        if not isinstance(network, PathGenerator):
            raise UserError(
                f"model/generator: {type(network).__name__} has no position between domains: take model/generator=path"
            )
        self.G_AB = network
        self.D_B = discriminator(in_channels=channels_B)
        self.lambda_gan, self.lambda_rec, self.lambda_idt = lambda_gan, lambda_rec, lambda_idt
        self.lambda_kl, self.lambda_path = lambda_kl, lambda_path
        self.noise_std, self.step_min, self.step_max = noise_std, step_min, step_max

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = self.G_AB(images)
        return output

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; in training of features with noise, of which those of A are kept for the path."""
        A, B = batch["A"], batch["B"]
        features = joined(self.G_AB, A, B, method="encode")
        noisy = features
        if self.training and self.noise_std > 0:
            noisy = [one + self.noise_std * normal_like(one) for one in features]
        ends = torch.arange(2.0, device=A.device).repeat_interleave(len(A))
        idt_A, fake_B = crop(self.G_AB.decode(noisy[0].repeat(2, 1, 1, 1), ends), (A.shape[-2], A.shape[-1])).chunk(2)
        idt_B = crop(self.G_AB.decode(noisy[1]), (B.shape[-2], B.shape[-1]))
        images = {"real_A": A, "real_B": B, "idt_A": idt_A, "fake_B": fake_B, "idt_B": idt_B}
        return Generated(images, features=features, of_A=noisy[0]) if self.training else images

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        gan, terms = self.adversarial_loss("gan_B", self.D_B, images["fake_B"], images["real_B"])
        terms["rec_A"] = l1(images["idt_A"], images["real_A"])
        terms["idt_B"] = l1(images["idt_B"], images["real_B"])
        total = self.lambda_gan * gan + self.lambda_rec * terms["rec_A"] + self.lambda_idt * terms["idt_B"]
        if self.noise_std > 0:
            squares = torch.cat([at_least_float32(one).square().flatten() for one in kept(images, "features")])
            terms["kl"] = squares.mean()
            total = total + self.lambda_kl * terms["kl"]
        if self.lambda_path > 0:
            terms["path"] = self._path(kept(images, "of_A"))
            total = total + self.lambda_path * terms["path"]
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        return self.judging_loss("B", self.D_B, images["real_B"], images["fake_B"].detach())

    def _path(self, features: Tensor) -> Tensor:
        """Return the mean square of the change of the decoder's features between two near positions.

        Without autocast: the change is small beside the features, and half precision would be most of it.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = at_least_float32(features)
            centre, step = torch.rand(2, len(features), dtype=features.dtype, device=features.device)
            step = self.step_min + (self.step_max - self.step_min) * step
            ends = [(centre + step).clamp(0, 1), (centre - step).clamp(0, 1)]
            way = (ends[0] - ends[1]).clamp_min(MIN_STEP)[:, None, None, None]
            maps = self.G_AB.path(torch.cat([features, features]), torch.cat(ends))
            changes = [(further - nearer) / way for further, nearer in (one.chunk(2) for one in maps)]
            return torch.stack([change.square().mean() for change in changes]).mean()
