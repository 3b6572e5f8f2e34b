"""Distillation: a small generator learns what a trained translator makes of pictures.

Li, Lin, Ding, Liu, Zhu, Han 2020, CVPR, arXiv:2003.08936, section 3.1: for methods without pairs, the teacher's output
is the ground truth of the student, L_recon = |G'(x) - G(x)|. Their losses of inner features and of a discriminator are
left out, which any teacher, whatever its networks, can do without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.types import Count
from gan_style.models.pretrained import Pretrained
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, l1

RANDOM = "random"  # an untrained teacher, for tests


class Distill(Pretrained):
    """Generators, one per direction, that learn the translations of a frozen teacher; no cycle, no discriminator.

    Checkpoints do not carry the teacher: a student translates without it.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> network; called once per direction.
        teacher: checkpoint of a trained translator, which the run reads (`gan_style.training.teacher`); "random" is an
            untrained one, for tests, and None is for what is not trained.
        directions: `A2B`, `B2A` or both, of those that the teacher has.
        channels_A, channels_B: of the pictures of each domain.
        **training: optimiser, schedule, clipping, accumulation and seed of `Translator`.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        *,
        teacher: str | None = None,
        directions: Sequence[Literal["A2B", "B2A"]] = ("A2B",),
        channels_A: Count = 3,
        channels_B: Count = 3,
        **training: Any,
    ) -> None:
        channels: dict[str, Any] = {"channels_A": channels_A, "channels_B": channels_B}
        super().__init__(generator, directions=directions, **channels, **training)
        # In a list, so that it is no part of this module: neither trained, nor averaged, nor kept in checkpoints.
        self._teacher: list[Translator] = []
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
        self._teacher[:] = [teacher.requires_grad_(False).eval()]

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the student's pictures; in training also the teacher's."""
        images = {"real_A": batch["A"], "real_B": batch["B"]}
        for direction in self.directions:
            images[f"fake_{direction.target}"] = self.translate(batch[direction.source], direction)
        return Generated(images, targets=self._targets(batch)) if self.training else images

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        targets = kept(images, "targets")
        terms = {f"output_{domain}": l1(images[f"fake_{domain}"], target) for domain, target in targets.items()}
        return torch.stack([*terms.values()]).sum(), terms

    @torch.no_grad()
    def _targets(self, batch: Mapping[str, Tensor]) -> Images:
        """Return what the teacher makes of each domain's pictures, by the letter of the domain it translates to."""
        if not self._teacher:
            raise UserError("model=distill learns from a trained translator: add model.teacher=CKPT")
        teacher = self._teacher[0].to(batch["A"].device, batch["A"].dtype)
        return {way.target: teacher.translate(batch[way.source], way).float() for way in self.directions}
