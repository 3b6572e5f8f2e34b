"""UNSB: Unpaired Image-to-Image Translation via Neural Schrödinger Bridge.

Kim, Kwon, Kim, Ye 2024, ICLR, arXiv:2305.15086. The way from A to B that costs the least, among all that end in B and
of a given noise, is a Schrödinger bridge; between two of its times it is one again. So one generator learns, for each
of a few times, the end of the bridge from an image on its way, and translates in as many steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32
from gan_style.core.seeding import derive_seed
from gan_style.core.types import Count, Positive, Weight
from gan_style.losses.adversarial import Logits
from gan_style.losses.patchnce import patch_nce
from gan_style.models.image_pool import PreviousImages
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, normal_like
from gan_style.networks.bridge import BridgeGenerator, TimedDiscriminator
from gan_style.networks.factory import require_same_channels
from gan_style.networks.patch_projector import PatchProjector


class UNSB(Translator):
    """A generator along a bridge from A to B, a discriminator of its ends, and a critic of the entropy of its steps.

    The critic E estimates the entropy of an image on its way and the end that G predicts from it, by comparing the pair
    with that of another image. It is trained in the discriminators' turn.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> `BridgeGenerator`, which holds the steps and tau.
        discriminator: factory, `(in_channels=)` -> `TimedDiscriminator`; of D, and of E on two pairs of images.
        channels_A, channels_B: of the images of each domain; equal, since an image on its way is a mixture.
        lambda_gan: weight of the adversarial loss.
        lambda_sb: weight of the transport cost and the entropy of the bridge.
        lambda_nce: weight of CUT's contrastive loss, the mean of that of fake_B and that of idt_B.
        nce_idt: also contrast an image of B with itself put through the generator.
        nce_tau: temperature of the contrastive loss.
        num_patches: positions compared in each layer of each image.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: domains with different channels, or networks of other kinds.
    """

    generators = ("G_AB",)
    helpers = ("H",)
    discriminators = ("D_B",)
    critics = ("E",)
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
        lambda_sb: Weight = 1.0,
        lambda_nce: Weight = 1.0,
        nce_idt: bool = True,
        nce_tau: Positive = 0.07,
        num_patches: Count = 256,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        require_same_channels(channels_A, channels_B, "a bridge between the domains")
        network = generator(in_channels=channels_A, out_channels=channels_B)
        judge, critic = discriminator(in_channels=channels_B), discriminator(in_channels=2 * (channels_A + channels_B))
        if not isinstance(network, BridgeGenerator):
            raise _without_steps(network, "generator=bridge")
        if not isinstance(judge, TimedDiscriminator):
            raise _without_steps(judge, "discriminator=timed")
        self.G_AB = network
        # without a weight there is no network, which in several processes would wait for a gradient
        self.H: nn.Module = nn.Identity()
        if lambda_nce > 0:
            self.H = PatchProjector(network.feature_channels, num_patches=num_patches)
        self.D_B, self.E = judge, critic if lambda_sb > 0 else nn.Identity()
        self.lambda_gan, self.lambda_sb, self.lambda_nce = lambda_gan, lambda_sb, lambda_nce
        self.nce_idt, self.nce_tau = nce_idt, nce_tau
        self.previous_A = PreviousImages()
        self.newest_step = 0  # whose images the newest iteration made

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = self.G_AB(images)
        return output

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; in training those of one step, drawn anew, with what the losses need of it."""
        A, B = batch["A"], batch["B"]
        if not self.training:
            return {"real_A": A, "real_B": B, "fake_B": self.G_AB(A)}
        step = self.newest_step = self._drawn_step()
        starts = [A, self.previous_A.swap(A), *([B] if self.nce_idt else [])]
        with torch.no_grad():
            on_their_way = self._simulated(starts, step)
        # the other image's prediction has a gradient, too: the entropy is of both pairs
        ends = self._predicted(on_their_way, step)
        images = {"real_A": A, "real_B": B, "fake_B": ends[0]} | ({"idt_B": ends[2]} if self.nce_idt else {})
        return Generated(images, step=step, pairs=list(zip(on_their_way[:2], ends[:2], strict=True)))

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        step: int = kept(images, "step")
        gan, terms = self.adversarial_loss("gan_B", self._judge(step), images["fake_B"], images["real_B"])
        total = self.lambda_gan * gan
        own, other = kept(images, "pairs")
        if isinstance(self.E, TimedDiscriminator):  # also where its weight has fallen to 0
            tau, left = self.G_AB.tau, 1 - step / self.G_AB.steps
            own_energy, log_sum = self._energies(step, own, other)
            transport = (at_least_float32(own[0]) - own[1]).square().mean()
            terms["sb"] = tau * (transport - left * (own_energy - log_sum))
            total = total + self.lambda_sb * terms["sb"]
        if isinstance(self.H, PatchProjector):
            names = {"nce": ("real_A", "fake_B"), "nce_idt": ("real_B", "idt_B")}
            contrasts = {
                name: self._contrast(self.H, images[source], images[made])
                for name, (source, made) in names.items()
                if made in images
            }
            terms |= contrasts
            total = total + self.lambda_nce * torch.stack(list(contrasts.values())).mean()
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        step: int = kept(images, "step")
        total, terms = self.judging_loss("B", self._judge(step), images["real_B"], images["fake_B"].detach())
        if isinstance(self.E, TimedDiscriminator):
            own, other = ((at, end.detach()) for at, end in kept(images, "pairs"))
            own_energy, log_sum = self._energies(step, own, other)
            terms["critic"] = log_sum + log_sum.square() - own_energy
            total = total + terms["critic"]
        return total, terms

    def logits(self, batch: Mapping[str, Any], images: Images) -> dict[str, tuple[Logits, Logits]]:
        judge = self._judge(self.newest_step)
        return {"D_B": (judge(images["real_B"]), judge(images["fake_B"]))}

    def _drawn_step(self) -> int:
        """Draw the step of an iteration, the same on all processes: the later it is, the more passes it takes."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "step", self.position))
        return int(torch.randint(self.G_AB.steps, (), generator=generator))

    def _judge(self, step: int) -> Callable[[Tensor], Logits]:
        return functools.partial(self.D_B, step=step)

    def _simulated(self, images: Sequence[Tensor], step: int) -> list[Tensor]:
        """Return where images are at a step, from G's predictions at those before, each with new codes and noise."""
        at = list(images)
        for before in range(step):
            ends = self._predicted(at, before)
            means = [self.G_AB.moved(x, end, before + 1) for x, end in zip(at, ends, strict=True)]
            at = [mean + self.G_AB.deviation(before + 1) * normal_like(mean) for mean in means]
        return at

    def _predicted(self, images: Sequence[Tensor], step: int) -> list[Tensor]:
        """Predict the ends of images at a step, each with a new code; those of one size in one pass."""
        codes = [torch.randn(len(x), self.G_AB.code_size, dtype=x.dtype, device=x.device) for x in images]
        if len({x.shape[1:] for x in images}) > 1:
            return [self.G_AB.predict(x, step, z) for x, z in zip(images, codes, strict=True)]
        together = self.G_AB.predict(torch.cat(list(images)), step, torch.cat(codes))
        return list(together.split([len(x) for x in images]))

    def _energies(self, step: int, own: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return E's mean on a pair beside itself, and the logarithm of the summed exponentials of E on both pairs."""
        pair, other_pair = torch.cat(own, dim=1), torch.cat(other, dim=1)
        alone = at_least_float32(self.E(torch.cat([pair, pair], dim=1), step))
        mixed = at_least_float32(self.E(torch.cat([pair, other_pair], dim=1), step))
        return alone.mean(), mixed.flatten().logsumexp(dim=0)

    def _contrast(self, heads: PatchProjector, source: Tensor, made: Tensor) -> Tensor:
        """Return CUT's contrastive loss between an image and what was made of it, the mean over the layers."""
        z = torch.randn(len(source), self.G_AB.code_size, dtype=source.dtype, device=source.device)
        queries = self.G_AB.features(made, z)
        with torch.no_grad():
            keys = self.G_AB.features(source, z)
            ids = heads.sample(keys)
            targets = heads(keys, ids)
        losses = [patch_nce(q, k, tau=self.nce_tau) for q, k in zip(heads(queries, ids), targets, strict=True)]
        return torch.stack(losses).mean()


def _without_steps(network: nn.Module, choice: str) -> UserError:
    group = choice.split("=")[0]
    return UserError(f"model/{group}: {type(network).__name__} knows no step of a bridge: take model/{choice}")
