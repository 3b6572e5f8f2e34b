"""Image Style Transfer Using Convolutional Neural Networks: the picture is the parameter.

Gatys, Ecker, Bethge 2016, CVPR. Equation 7 with means in place of sums; from a small picture to the full one as
Gatys et al. 2017, arXiv:1611.07865, section 6.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.core.sizes import Size as PictureSize
from gan_style.core.sizes import height_width, sized
from gan_style.core.types import Count, Positive, Seed, Weight
from gan_style.losses.perceptual import PerceptualLoss, StatisticName, total_variation
from gan_style.models.image_descent import (
    Method,
    Objective,
    Size,
    bounded,
    descend,
    only,
    optimizer_of,
    resized,
    size_of,
    sizes,
)
from gan_style.models.processes import gather
from gan_style.models.styled import Optimizing, Progress
from gan_style.models.translator import Images, StyleCode, Terms
from gan_style.networks.vgg import VGG


class Target(NamedTuple):
    """Target of the descent: features of the content layers, and a style code."""

    content: dict[str, Tensor]
    style: StyleCode


class Gatys(Optimizing):
    """Pictures with the content of one picture and the style of another, found by gradient descent.

    `stylize` makes them from any picture and code. In training the pictures are the weights: the first batch says
    of what content and style, and an iteration is a step.

    Args:
        vgg: gives the features.
        count, size: how many pictures are trained, and their size (a square's side, or height and width); those of a
            batch.
        channels_A, channels_B: of the pictures of each domain; 3.
        content_layers, style_layers, style_weights, statistic, relative: see `PerceptualLoss`.
        lambda_content, lambda_style, lambda_tv: weights of the content, the style and the total variation.
        method: optimiser.
        lr: its rate; None is 1 for `lbfgs` and 0.02 for `adam`.
        history: past steps that `lbfgs` remembers.
        start: the first picture: the content, the style picture stretched to its size, or noise.
        scales: sizes to go through, each twice the one before; the last is the full one.
        steps: optimiser steps in each.
        schedule: as in `Translator`; for training.
        accumulate: 1, since every step sees the same pictures.
        seed: of the noise.

    Raises:
        ValueError: pictures that are not RGB, or accumulate above 1.
        UserError: layers that the VGG does not hold.
    """

    takes_float16 = False
    find_unused_parameters = True  # only one canvas is optimised at a time
    generators = ()
    helpers = ("canvas",)  # no generator: it translates no other picture, and its EMA would be blurred
    directions = ()
    reads_vgg = True

    content: Tensor
    style: Tensor
    held: Tensor

    def __init__(
        self,
        vgg: VGG,
        *,
        count: Count = 1,
        size: PictureSize = 256,
        channels_A: Count = 3,
        channels_B: Count = 3,
        content_layers: Sequence[str] | None = None,
        style_layers: Sequence[str] | None = None,
        style_weights: Sequence[Weight] | None = None,
        statistic: StatisticName = "gram",
        relative: bool = True,
        lambda_content: Weight = 1.0,
        lambda_style: Weight = 20.0,
        lambda_tv: Weight = 0.0,
        method: Method = "lbfgs",
        lr: Positive | None = None,
        history: Count = 20,
        start: Literal["content", "style", "noise"] = "content",
        scales: Count = 2,
        steps: Count = 200,
        schedule: Callable[[int, float], float] | None = None,
        accumulate: Count = 1,
        seed: Seed = 0,
    ) -> None:
        super().__init__(optimizer_G=optimizer_of(method, lr, history), schedule=schedule, seed=seed)
        if (channels_A, channels_B) != (3, 3):
            raise ValueError(f"its pictures are RGB, but the data has {channels_A} and {channels_B} channels")
        if accumulate != 1:
            raise ValueError(f"model.accumulate={accumulate} has no use, as every step sees the same pictures: set 1")
        self.perceptual = PerceptualLoss(
            vgg,
            content_layers=content_layers,
            style_layers=style_layers,
            style_weights=style_weights,
            statistic=statistic,
            relative=relative,
        )
        self.lambda_content, self.lambda_style, self.lambda_tv = lambda_content, lambda_style, lambda_tv
        self.start, self.scales, self.steps = start, scales, steps
        full = height_width(sized("model.size", size))
        self.canvas = nn.ParameterList(torch.zeros(count, 3, *part) for part in sizes(full, scales))
        for name in ("content", "style"):
            self.register_buffer(name, torch.zeros(count, 3, *full))
        self.register_buffer("held", torch.tensor(False))
        self._target: dict[Any, Target] = {}  # of the present scale
        self.register_load_state_dict_post_hook(lambda module, _: module._target.clear())

    @property
    def starts_with_style(self) -> bool:
        return self.start == "style"

    # The objective and the first picture

    def objective(self, images: Tensor, target: Target) -> tuple[Tensor, Terms]:
        """Return the sum over images [B, 3, H, W] of each one's loss, and the means of its terms.

        The loss sees them clamped to [-1, 1], as they will be shown.
        """
        images = bounded(images)
        features = self.perceptual.features(images)
        found = []
        with torch.autocast(images.device.type, enabled=False):
            # one by one, because the relative losses of a batch share a denominator
            for i in range(len(images)):
                mine, content, style = (only(i, tensors) for tensors in (features, *target))
                variation = total_variation(images[i : i + 1])
                found.append([self.perceptual.content(mine, content), self.perceptual.style(mine, style), variation])
            content_loss, style_loss, tv = torch.stack([torch.stack(terms) for terms in found]).mean(dim=0)
            mean = self.lambda_content * content_loss + self.lambda_style * style_loss + self.lambda_tv * tv
        return len(images) * mean, {"content": content_loss, "style": style_loss, "tv": tv}

    @torch.no_grad()
    def target(self, content: Tensor, code: StyleCode) -> Target:
        """Return the target of contents [B, 3, H, W] and a style code of B entries, or of one for all."""
        features = self.perceptual.features(content)
        return Target({name: features[name] for name in self.perceptual.content_layers}, code)

    def first(self, content: Tensor, style: Tensor | None, size: Size) -> Tensor:
        """Return the image that the descent begins with, at a size; the noise is the same for every image.

        Raises:
            UserError: `start` is "style", and there is no style picture.
        """
        if self.start == "noise":
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "start"))
            noise = torch.rand(1, 3, *size, generator=generator) * 2 - 1
            return noise.to(content).expand(len(content), -1, -1, -1)
        if self.start == "content":
            return resized(content, size)
        if style is None:
            raise UserError("model.start=style needs a picture of the style: take model.start=content or noise")
        return resized(style, size)

    # Any picture

    @torch.no_grad()
    def style_code(self, images: Tensor) -> StyleCode:
        with torch.autocast(images.device.type, enabled=False):
            return self.perceptual.style_code(self.perceptual.features(images))

    def stylize(
        self, images: Tensor, code: StyleCode, progress: Progress | None = None, start: Tensor | None = None
    ) -> Tensor:
        """Give pictures [B, 3, H, W] in [-1, 1] the style of a code of B entries, or of one for all.

        Each picture is optimised by itself, so that it does not depend on the others.

        Args:
            progress: called after each step with the steps done, their number, the terms of the loss before the
                step, and the picture [1, 3, h, w] so far. Where it returns True the picture stays as it is then. A
                picture in its own style takes no steps.
            start: pictures [B or 1, 3, h, w] to begin with, whatever `start` of the constructor says.
        """
        every = self.last_iteration

        def report(i: int, step: int, terms: Terms, image: Tensor) -> bool | None:
            if progress is None:
                return False
            numbers = {name: float(value) for name, value in terms.items()}
            return progress(i * every + step, len(images) * every, numbers, image)

        with torch.inference_mode(False), torch.enable_grad():
            # copies, because tensors of inference mode cannot be kept for a gradient
            contents, code = _own(images), {name: value.detach().clone() for name, value in code.items()}
            given = {} if start is None else {"start": _own(start)}
            made = [
                self._descend(contents[i : i + 1], only(i, code), only(i, given), functools.partial(report, i))
                for i in range(len(contents))
            ]
        return torch.cat(made)

    def _descend(
        self, content: Tensor, code: StyleCode, given: Images, report: Callable[[int, Terms, Tensor], bool | None]
    ) -> Tensor:
        if self.start == "content" and not given and self.lambda_tv == 0 and _alike(code, self.style_code(content)):
            return content  # its loss is 0, and a descent over smaller sizes would lose it
        parts = sizes(size_of(content), self.scales)
        start = given["start"] if given else self.first(content, None, parts[0])

        def objective_at(size: Size) -> Objective:
            return functools.partial(self.objective, target=self.target(resized(content, size), code))

        return descend(start, parts, objective_at, self.make_optimizer["G"], self.steps, report)

    # Training

    @property
    def last_iteration(self) -> int:
        return self.scales * self.steps

    @property
    def scale(self) -> int:
        """Index of the canvas that is being optimised."""
        return min(self.iteration // self.steps, self.scales - 1)

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Return the images of this training, whatever the batch is; the first batch sets content and style."""
        if not self.held:
            self._hold(batch)
        fake_B = resized(self.canvas[self.scale], size_of(self.content)).clamp(-1, 1)
        return {"real_A": self.content, "fake_B": fake_B, "real_B": self.style}

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        """Return the loss of the images as they are now."""
        canvas = self.canvas[self.scale]
        key = (self.scale, canvas.device, canvas.dtype)
        if key not in self._target:
            content = resized(self.content, size_of(canvas))
            self._target = {key: self.target(content, self.style_code(self.style))}
        return self.objective(canvas, self._target[key])

    def after_iteration(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        if self.iteration % self.steps == 0 and self.iteration < self.last_iteration:
            self._enlarge()
            optimizers["G"].state.clear()  # its moments have the shape of the last size

    @torch.no_grad()
    def _hold(self, batch: Mapping[str, Tensor]) -> None:
        """Keep the first process's images, so that all processes work on the same."""
        for kept, domain in ((self.content, "A"), (self.style, "B")):
            given = batch[domain][: len(kept)]
            if given.shape != kept.shape:
                raise UserError(
                    f"the pictures of {domain} are {list(given.shape)}, but model.count and model.size make them "
                    f"{list(kept.shape)}: let these follow data.batch_size and data.image_size"
                )
            kept.copy_(gather(given.cpu())[0])
        self.held.fill_(True)
        self._target.clear()
        self.canvas[0].copy_(self.first(self.content, self.style, size_of(self.canvas[0])))

    @torch.no_grad()
    def _enlarge(self) -> None:
        """Start the next scale from the result of the last."""
        fine = self.canvas[self.scale]
        fine.copy_(resized(self.canvas[self.scale - 1], size_of(fine)))


def _own(images: Tensor) -> Tensor:
    return images.detach().clone().expand(-1, 3, -1, -1)


def _alike(code: StyleCode, other: StyleCode) -> bool:
    """Check whether two codes are equal but for rounding."""
    return all(bool((value - other[name]).norm() <= 1e-5 * other[name].norm()) for name, value in code.items())
