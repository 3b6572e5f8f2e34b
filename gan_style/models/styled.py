"""Contract of methods with styles: a style becomes a code, and an image is given a code."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor

from gan_style.models.translator import StyleCode, Translator

Progress = Callable[[int, int, dict[str, float], Tensor], bool | None]  # True ends an optimisation


class Styled(Translator):
    """A method that takes any picture as a style; it writes `style_code` and `stylize`, and what else it can.

    Codes are mixed by weighted means; the content's own code stands for "no change" (docs/styles.md). Where a method
    declares several directions, the target of each has codes of its own, and one style learned by name.
    """

    takes_style = True
    latent_size: int  # length of the noise that `latent_style` takes, where `takes_noise`

    def towards(self, direction: str) -> Styled:
        """Return the method whose codes and images are of a direction; itself unless it has several."""
        return self

    def style_code(self, images: Tensor) -> StyleCode:
        """Return what the method needs to know of style images [N, C, H, W]: tensors [N, ...] by name."""
        raise NotImplementedError

    def stylize(self, images: Tensor, code: StyleCode) -> Tensor:
        """Give images [B, C, H, W] in [-1, 1] the style of a code of B entries, or of one for all."""
        raise NotImplementedError

    def general_style(self) -> StyleCode:
        """Return the code of all styles of training together."""
        raise NotImplementedError

    def known_style(self, index: int) -> StyleCode:
        """Return the code of a style that was learned by name in training."""
        raise NotImplementedError

    def latent_style(self, index: int, z: Tensor) -> StyleCode:
        """Map noise to codes of a learned style, one entry per standard normal z [N, latent_size]."""
        raise NotImplementedError


class Optimizing(Styled):
    """A method that optimises every picture by itself: it cannot be tiled, and shows how far it is.

    In training the pictures are the weights; the optimiser evaluates the loss itself, in whole steps.
    """

    optimizes_images = True
    steps: int  # of the optimiser, in each size that a picture goes through

    @property
    def starts_with_style(self) -> bool:
        """True where the descent starts from the style picture, so that `stylize` has to be given it."""
        return False

    def stylize(
        self, images: Tensor, code: StyleCode, progress: Progress | None = None, start: Tensor | None = None
    ) -> Tensor:
        """Give pictures [B, C, H, W] in [-1, 1] the style of a code of B entries, or of one for all.

        Args:
            progress: called after each step with the steps done, their number, the terms of the loss before the
                step, and the picture [1, C, h, w] so far. Where it returns True the picture stays as it is then.
            start: pictures [B or 1, C, h, w] to begin with.
        """
        raise NotImplementedError


def styled(model: Translator, direction: str | None = None) -> Styled:
    """Cast a model that `takes_style` to `Styled`; it need not derive from it to have the methods.

    Args:
        direction: of the styles, of which only a model that declares several has to know.
    """
    assert model.takes_style, f"{type(model).__name__} takes no styles"
    method = cast(Styled, model)
    return method.towards(direction) if direction and len(model.directions) > 1 else method


def optimizing(model: Translator) -> Optimizing:
    """Cast a model that `optimizes_images` to `Optimizing`."""
    assert model.optimizes_images, f"{type(model).__name__} optimises no pictures"
    return cast(Optimizing, model)
