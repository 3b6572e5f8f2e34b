"""Distillation: a small generator learns what a trained translator makes of pictures.

Li, Lin, Ding, Liu, Zhu, Han 2020, CVPR, arXiv:2003.08936, section 3.1: for methods without pairs, the teacher's output
is the ground truth of the student, L_recon = |G'(x) - G(x)|. Inner features are compared on request, since only some
networks have them, by the kernel alignment of Jin et al. 2021, CVPR, arXiv:2103.03467, which needs no weights
between maps of different channels. Without the adversarial loss a small network gives the mean of what it cannot tell
apart, and strokes become a blur. The paper's discriminator begins as the teacher's; a new one left more of the
teacher's picture (docs/recipes.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.types import Count, Weight
from gan_style.losses.alignment import kernel_alignment
from gan_style.models.pretrained import Pretrained
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, l1, network_of
from gan_style.networks.contract import Featured, grid_means

RANDOM = "random"  # an untrained teacher, for tests


class Distill(Pretrained):
    """Generators, one per direction, that learn the translations of a frozen teacher; no cycle.

    Checkpoints do not carry the teacher: a student translates without it.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network; called once per direction.
        discriminator: factory, `(in_channels=)` -> network; called once per direction; None trains without.
        teacher: checkpoint of a trained translator, which the run reads (`gan_style.training.teacher`); "random" is an
            untrained one, for tests, and None is for what is not trained.
        directions: `A2B`, `B2A` or both, of those that the teacher has.
        lambda_gan: weight of the adversarial loss, beside 1 of the distance to the teacher's pictures.
        lambda_features: weight of 1 - the alignment of the features of the two networks; their generators have to be
            `Featured`, as ResNets are.
        channels_A, channels_B: of the pictures of each domain.
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: lambda_gan without a discriminator, no direction, or one twice.
    """

    gan_mode = "lsgan"

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module] | None = None,
        *,
        teacher: str | None = None,
        directions: Sequence[Literal["A2B", "B2A"]] = ("A2B",),
        lambda_gan: Weight = 0.0,
        lambda_features: Weight = 0.0,
        channels_A: Count = 3,
        channels_B: Count = 3,
        **training: Any,
    ) -> None:
        channels: dict[str, Any] = {"channels_A": channels_A, "channels_B": channels_B}
        if discriminator is not None:
            self.discriminators = tuple(judge_of(Direction(way)) for way in dict.fromkeys(directions))
        elif lambda_gan:
            raise UserError(
                f"model.lambda_gan={lambda_gan} wants a discriminator: add model/discriminator=patch70, or set it to 0"
            )
        else:
            training["gan_mode"] = None
        super().__init__(generator, directions=directions, **channels, **training)
        # In a list, so that it is no part of this module: neither trained, nor averaged, nor kept in checkpoints.
        self._teacher: list[Translator] = []
        self.lambda_gan, self.lambda_features = lambda_gan, lambda_features
        if discriminator is not None:
            for way in self.directions:
                setattr(self, judge_of(way), discriminator(in_channels=self.channels[way.target]))
        if teacher == RANDOM:
            self.learn_from(Pretrained(generator, directions=directions, **channels))

    def learn_from(self, teacher: Translator) -> None:
        """Take a trained method for the teacher.

        Raises:
            UserError: it does not translate a picture by itself, or not in a direction that the student has.
        """
        name = type(teacher).__name__
        if teacher.takes_style or teacher.optimizes_images:
            raise UserError(
                f"model.teacher is of {name}, which wants a style beside a picture: take a model that translates "
                "pictures alone, such as one of cyclegan or cut"
            )
        missing = [str(direction) for direction in self.directions if direction not in teacher.directions]
        if missing:
            there = ", ".join(teacher.directions)
            raise UserError(f"model.teacher does not translate {missing[0]}: set model.directions=[{there}]")
        if self.lambda_features:
            self._check_features(teacher)
        self._teacher[:] = [teacher.requires_grad_(False).eval()]

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the student's pictures; in training also the teacher's."""
        images = {"real_A": batch["A"], "real_B": batch["B"]}
        features = {}
        for way in self.directions:
            pictures, target = batch[way.source], way.target
            if self.training and self.lambda_features:
                passed = getattr(self, network_of(way)).forward_with_features(pictures)
                images[f"fake_{target}"], features[target] = passed
            else:
                images[f"fake_{target}"] = self.translate(pictures, way)
        if not self.training:
            return images
        return Generated(images, targets=self._targets(batch), features=features)

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        targets = kept(images, "targets")
        terms = {f"output_{domain}": l1(images[f"fake_{domain}"], target) for domain, target in targets.items()}
        total = torch.stack([*terms.values()]).sum()
        for way in self.directions if self.discriminators else ():
            fake, real = images[f"fake_{way.target}"], images[f"real_{way.target}"]
            gan, of_gan = self.adversarial_loss(f"gan_{way.target}", getattr(self, judge_of(way)), fake, real)
            total, terms = total + self.lambda_gan * gan, terms | of_gan
        if not self.lambda_features:
            return total, terms
        unlike = {
            f"features_{way.target}": self._unlike(kept(images, "features")[way.target], images, way)
            for way in self.directions
        }
        return total + self.lambda_features * torch.stack([*unlike.values()]).sum(), {**terms, **unlike}

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        losses = []
        for way in self.directions:
            real, fake = images[f"real_{way.target}"], images[f"fake_{way.target}"].detach()
            losses.append(self.judging_loss(way.target, getattr(self, judge_of(way)), real, fake))
        return torch.stack([loss for loss, _ in losses]).sum(), {k: v for _, terms in losses for k, v in terms.items()}

    def _unlike(self, features: list[Tensor], images: Images, way: Direction) -> Tensor:
        """Return 1 - the alignment of the student's features with the teacher's, the mean over the maps."""
        with torch.no_grad():
            targets = getattr(self._teacher[0], network_of(way)).features(images[f"real_{way.source}"])
        alike = []
        # the first map of each are the pixels
        for own, target in zip(features[1:], targets[1:], strict=True):
            # anti-aliased networks halve a map later than those with strides
            height, width = (min(sides) for sides in zip(own.shape[-2:], target.shape[-2:], strict=True))
            alike.append(kernel_alignment(*(grid_means(x, (height, width)) for x in (own, target))))
        return 1 - torch.stack(alike).mean()

    def _check_features(self, teacher: Translator) -> None:
        """Raise a UserError unless the generators of both have as many feature maps."""
        for name in map(network_of, self.directions):
            networks = [getattr(model, name, None) for model in (self, teacher)]
            counts = [len(net.feature_channels) - 1 if isinstance(net, Featured) else 0 for net in networks]
            if counts[0] < 1 or counts[0] != counts[1]:
                raise UserError(
                    f"model.lambda_features compares features of {name}, of which the student has {counts[0]} maps and "
                    f"the teacher {counts[1]}: take ResNets for both, or set model.lambda_features=0"
                )

    @torch.no_grad()
    def _targets(self, batch: Mapping[str, Tensor]) -> Images:
        """Return what the teacher makes of each domain's pictures, by the letter of the domain it translates to."""
        if not self._teacher:
            raise UserError("model=distill learns from a trained translator: add model.teacher=CKPT")
        teacher = self._teacher[0].to(batch["A"].device, batch["A"].dtype)
        return {way.target: teacher.translate(batch[way.source], way).float() for way in self.directions}


def judge_of(way: Direction) -> str:
    """Return the name of the discriminator of a direction's results, as other methods have it."""
    return f"D_{way.target}"
