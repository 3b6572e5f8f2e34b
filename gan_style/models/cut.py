"""CUT and FastCUT: Contrastive Learning for Unpaired Image-to-Image Translation.

Park, Efros, Zhang, Zhu 2020, arXiv:2007.15651. Equation 5 as the official code computes it: the contrastive loss
is the mean over the layers, and with the identity part the mean of the two. FastCUT is a setting of the same class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core.seeding import derive_seed
from gan_style.core.types import Count, Positive, Weight
from gan_style.losses.patchnce import patch_nce
from gan_style.models.passes import joined
from gan_style.models.translator import Generated, Images, Terms, Translator, kept
from gan_style.networks.contract import Featured
from gan_style.networks.factory import no_features, require_same_channels
from gan_style.networks.patch_projector import PatchProjector


class CUT(Translator):
    """A generator, trained so that each patch of its output resembles the input's patch at the same position.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network with `feature_channels`, `features` and
            `forward_with_features` (see `ResnetGenerator`).
        discriminator: factory, `(in_channels=)` -> network.
        channels_A, channels_B: of the pictures of each domain; equal, since the generator encodes both.
        lambda_gan: weight of the adversarial loss.
        lambda_nce: weight of the contrastive loss.
        nce_idt: also contrast a picture of B with itself put through the generator, against needless changes.
        nce_tau: temperature of the contrastive loss.
        num_patches: positions compared in each layer of each image.
        batch_negatives: patches of the other pictures of the batch are negatives, too.
        flip_equivariance: in half of the iterations the generator gets mirrored pictures, and the features of
            its output are mirrored back before they are compared.
        join_passes: two inputs of one network in one pass; None decides by size and device.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: a generator without features, or domains with different channels.
    """

    generators = ("G_AB",)
    helpers = ("H",)
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
        lambda_nce: Weight = 1.0,
        nce_idt: bool = True,
        nce_tau: Positive = 0.07,
        num_patches: Count = 256,
        batch_negatives: bool = False,
        flip_equivariance: bool = False,
        join_passes: bool | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        require_same_channels(channels_A, channels_B, "the contrastive loss")
        network = generator(in_channels=channels_A, out_channels=channels_B)
        if not isinstance(network, Featured):
            raise no_features(network, "features")
        self.G_AB = network
        self.H = PatchProjector(network.feature_channels, num_patches=num_patches)
        self.D_B = discriminator(in_channels=channels_B)
        self.lambda_gan, self.lambda_nce = lambda_gan, lambda_nce
        self.nce_idt, self.nce_tau, self.batch_negatives = nce_idt, nce_tau, batch_negatives
        self.flip_equivariance, self.join_passes = flip_equivariance, join_passes

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = self.G_AB(images)
        return output

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images; in training also the keys of the contrastive loss and their positions in the feature maps.

        The keys are taken from the features that the pass computes anyway. In a mirrored iteration `fake_B` and
        `idt_B` are mirrored and `real_A` and `real_B` are not, as in the official code; the keys then take a pass of
        their own.
        """
        reals = [batch["A"], batch["B"]] if self.nce_idt else [batch["A"]]
        names = ("fake_B", "idt_B")[: len(reals)]
        originals = {"real_A": batch["A"], "real_B": batch["B"]}
        if not self.training:
            return originals | dict(zip(names, self._passes(None, reals), strict=True))
        mirrored = self.flip_equivariance and self._throws_heads()
        if mirrored:
            fakes = self._passes(None, [x.flip(3) for x in reals])
            with torch.no_grad():
                features = self._passes("features", reals)
        else:
            passed = self._passes("forward_with_features", reals)
            fakes, features = [fake for fake, _ in passed], [layers for _, layers in passed]
        with torch.no_grad():
            ids = [self.H.sample(layers) for layers in features]
            keys = [self.H(layers, positions) for layers, positions in zip(features, ids, strict=True)]
        return Generated(originals | dict(zip(names, fakes, strict=True)), keys=keys, ids=ids, mirrored=mirrored)

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        gan, gan_terms = self.adversarial_loss("gan_B", self.D_B, images["fake_B"], images["real_B"])
        names = {"nce": "fake_B", "nce_idt": "idt_B"} if self.nce_idt else {"nce": "fake_B"}
        features = self._passes("features", [images[name] for name in names.values()])
        terms = {
            name: self._contrast(layers, keys, ids, kept(images, "mirrored"))
            for name, layers, keys, ids in zip(names, features, kept(images, "keys"), kept(images, "ids"), strict=True)
        }
        nce = torch.stack(list(terms.values())).mean()
        return self.lambda_gan * gan + self.lambda_nce * nce, {**gan_terms, **terms}

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        real, fake = images["real_B"], images["fake_B"].detach()
        return self.judging_loss("B", self.D_B, real, fake, self.join_passes)

    def _throws_heads(self) -> bool:
        """Draw once per iteration whether to mirror, the same on all processes: the branches make different passes."""
        seed = derive_seed(self.seed, "mirrored", self.position)
        return bool(torch.randint(2, (), generator=torch.Generator().manual_seed(seed)))

    def _contrast(self, features: list[Tensor], keys: list[Tensor], ids: list[Tensor], mirrored: bool) -> Tensor:
        """Return the contrastive loss, the mean over the layers."""
        queries = self.H([x.flip(3) for x in features] if mirrored else features, ids)
        losses = [
            patch_nce(query, key, tau=self.nce_tau, batch_negatives=self.batch_negatives)
            for query, key in zip(queries, keys, strict=True)
        ]
        return torch.stack(losses).mean()

    def _passes(self, method: str | None, inputs: list[Tensor]) -> list[Any]:
        """Return `[G_AB.method(x) for x in inputs]`, in one joined pass where that is faster."""
        return joined(self.G_AB, *inputs, join=self.join_passes, method=method)
