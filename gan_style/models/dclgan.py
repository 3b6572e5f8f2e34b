"""DCLGAN and SimDCL: Dual Contrastive Learning for Unsupervised Image-to-Image Translation.

Han, Shoeiby, Petersson, Armin 2021, arXiv:2104.07689. Two generators as in CycleGAN, each held to its input by CUT's
contrastive loss in place of a cycle: patches of A and of fake_B are compared as the encoders of their own domains see
them. SimDCL is a setting of the same class, against collapse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.direction import OTHER, Direction
from gan_style.core.errors import UserError
from gan_style.core.types import Count, Positive, Weight
from gan_style.losses.patchnce import patch_nce
from gan_style.models.passes import joined
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, l1
from gan_style.networks.contract import Featured
from gan_style.networks.factory import no_features, require_same_channels
from gan_style.networks.patch_projector import FeatureSummary, PatchProjector

DOMAINS = ("A", "B")
IMAGES = ("real_A", "fake_B", "real_B", "fake_A")  # which have a summary each
MIN_PATCHES_OF_A_SUMMARY = 3
COSINE_EPSILON = 1e-8  # least length of a vector, that of torch's CosineSimilarity


class DCLGAN(Translator):
    """Two generators whose outputs resemble their inputs patch by patch, each in the features of its own domain.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network with `feature_channels`, `features` and
            `forward_with_features` (see `ResnetGenerator`); its first features, the pixels, are not compared.
        discriminator: factory, `(in_channels=)` -> network.
        channels_A, channels_B: of the pictures of each domain; equal, since each generator encodes both.
        lambda_gan: weight of the adversarial losses, of the mean over domains as all here.
        lambda_nce: weight of the contrastive losses (eq. 4).
        lambda_idt: weight of the identity losses (eq. 5).
        lambda_sim: weight of SimDCL's similarity loss (eq. 7); 0 leaves it out.
        nce_tau: temperature of the contrastive loss.
        num_patches: positions compared in each layer of each image.
        join_passes: two inputs of one network in one pass; None decides by size and device.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: a generator without features, or domains with different channels.
    """

    generators = ("G_AB", "G_BA")
    helpers = ("H_A", "H_B", "S")
    discriminators = ("D_A", "D_B")
    gan_mode = "hinge_both"
    turns = ("D", "G")
    directions = (Direction.A2B, Direction.B2A)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        lambda_gan: Weight = 1.0,
        lambda_nce: Weight = 2.0,
        lambda_idt: Weight = 1.0,
        lambda_sim: Weight = 0.0,
        nce_tau: Positive = 0.07,
        num_patches: Count = 256,
        join_passes: bool | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        require_same_channels(channels_A, channels_B, "the contrastive loss")
        G_AB, G_BA = (generator(in_channels=channels_A, out_channels=channels_A) for _ in DOMAINS)
        if not (isinstance(G_AB, Featured) and isinstance(G_BA, Featured)):
            raise no_features(G_AB, "features")
        self.G_AB, self.G_BA = G_AB, G_BA
        channels = G_AB.feature_channels[1:]
        self.H_A, self.H_B = (PatchProjector(channels, num_patches=num_patches) for _ in DOMAINS)
        summaries = {name: FeatureSummary(len(channels)) for name in IMAGES} if lambda_sim > 0 else {}
        self.S = nn.ModuleDict(summaries)
        self.D_A, self.D_B = (discriminator(in_channels=channels_A) for _ in DOMAINS)
        self.lambda_gan, self.lambda_nce, self.lambda_idt = lambda_gan, lambda_nce, lambda_idt
        self.lambda_sim, self.nce_tau, self.join_passes = lambda_sim, nce_tau, join_passes

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = {"A2B": self.G_AB, "B2A": self.G_BA}[direction](images)
        return output

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; in training also the features of the real ones, which the same passes compute."""
        A, B = batch["A"], batch["B"]
        images = {"real_A": A, "real_B": B}
        if not self.training:
            fake_B, idt_B = joined(self.G_AB, A, B, join=self.join_passes)
            fake_A, idt_A = joined(self.G_BA, B, A, join=self.join_passes)
            return images | {"fake_A": fake_A, "fake_B": fake_B, "idt_A": idt_A, "idt_B": idt_B}
        (fake_B, of_A), (idt_B, _) = self._passes(self.G_AB, A, B)
        (fake_A, of_B), (idt_A, _) = self._passes(self.G_BA, B, A)
        images |= {"fake_A": fake_A, "fake_B": fake_B, "idt_A": idt_A, "idt_B": idt_B}
        return Generated(images, features={"A": of_A[1:], "B": of_B[1:]})

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        gan_B, terms_B = self.adversarial_loss("gan_B", self.D_B, images["fake_B"], images["real_B"])
        gan_A, terms_A = self.adversarial_loss("gan_A", self.D_A, images["fake_A"], images["real_A"])
        terms = {**terms_A, **terms_B}
        reals: dict[str, list[Tensor]] = kept(images, "features")
        fakes = {"B": self.G_BA.features(images["fake_B"])[1:], "A": self.G_AB.features(images["fake_A"])[1:]}
        vectors: dict[str, list[Tensor]] = {}  # of real images, and of fakes at the same places
        for source in DOMAINS:
            target = OTHER[source]
            ids = self._head(source).sample(reals[source])
            with torch.set_grad_enabled(len(self.S) > 0):  # as keys they are constants
                vectors[f"real_{source}"] = self._head(source)(reals[source], ids)
            queries = self._head(target)(fakes[target], ids)
            terms[f"nce_{source}"] = self._contrast(queries, vectors[f"real_{source}"])
        terms |= {f"idt_{domain}": l1(images[f"idt_{domain}"], images[f"real_{domain}"]) for domain in DOMAINS}
        total = self.lambda_gan * (gan_A + gan_B) / 2
        total = total + self.lambda_nce * (terms["nce_A"] + terms["nce_B"]) / 2
        total = total + self.lambda_idt * (terms["idt_A"] + terms["idt_B"]) / 2
        if self.S:  # also where the weight has fallen to 0: its networks want a gradient in every turn
            terms["sim"] = self._similarity(vectors, fakes)
            total = total + self.lambda_sim * terms["sim"]
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        return self.judging_both(images, self.join_passes)

    def _head(self, domain: str) -> PatchProjector:
        """Return the head of the features of a domain, which the generator that starts there encodes."""
        return self.H_A if domain == "A" else self.H_B

    def _contrast(self, queries: Sequence[Tensor], keys: Sequence[Tensor]) -> Tensor:
        """Return the contrastive loss of cosines, the mean over the layers; keys get no gradient."""
        losses = []
        for pair in zip(queries, keys, strict=True):
            # The heads' vectors are a little shorter than 1, see `patch_projector.EPSILON`: of no account in cosines.
            query, key = (F.normalize(one, dim=-1, eps=COSINE_EPSILON) for one in pair)
            losses.append(patch_nce(query, key, tau=self.nce_tau))
        return torch.stack(losses).mean()

    def _similarity(self, vectors: Mapping[str, list[Tensor]], fakes: Mapping[str, list[Tensor]]) -> Tensor:
        """Return the difference of the summaries of images of one look (eq. 7), of fakes at places of their own.

        Raises:
            UserError: pictures so small that a layer has fewer than three places.
        """
        drawn = dict(vectors)
        for domain, features in fakes.items():
            head = self._head(domain)
            drawn[f"fake_{domain}"] = head(features, head.sample(features))
        count = min(one.shape[1] for each in drawn.values() for one in each)
        if count < MIN_PATCHES_OF_A_SUMMARY:
            few = f"model.lambda_sim needs features of {MIN_PATCHES_OF_A_SUMMARY} places"
            patches = min(self._head(domain).num_patches for domain in fakes)
            if patches < MIN_PATCHES_OF_A_SUMMARY:
                raise UserError(f"{few}: raise model.num_patches, which is {patches}")
            raise UserError(f"{few}, and the deepest of these pictures have {count}: train on larger pictures")
        summary = {name: self.S[name]([one[:, :count] for one in each]) for name, each in drawn.items()}
        return l1(summary["real_A"], summary["fake_A"]) + l1(summary["fake_B"], summary["real_B"])

    def _passes(self, network: nn.Module, *inputs: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """Return pictures and features of each input, in one joined pass where that is faster."""
        return joined(network, *inputs, join=self.join_passes, method="forward_with_features")
