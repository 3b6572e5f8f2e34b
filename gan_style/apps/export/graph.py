"""Computation of an export, and its distance from what a written file computes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.memory import raise_if_out
from gan_style.models.styled import styled
from gan_style.models.translator import Translator

# Batch, height and width of what is compared, and of the style pictures beside them.
SIZES = (((1, 64, 96), (48, 80)), ((2, 97, 129), (70, 51)), ((3, 150, 41), (64, 64)))
TRACED = ((2, 528, 820), (544, 792))  # so that the innermost feature map of the deepest U-Net is larger than 1x1
MAX_ERROR = 1e-5  # of values in [-1, 1]
SEED = "seed"  # of the noise, an input
# Sums in another order round differently, and deep networks amplify it: torch in float32 may exceed MAX_ERROR itself.
MAX_ROUNDING_RATIO = 3

Run = Callable[[tuple[Tensor, ...]], Tensor]
Told = Callable[[str], object]  # called with what is done next


class Graph(nn.Module):
    """Exported network: from a picture, and for some methods a style, to a picture.

    Args:
        model: in evaluation mode.
        direction: `A2B` or `B2A`.
    """

    def __init__(self, model: Translator, direction: str) -> None:
        super().__init__()
        self.model, self.direction = styled(model, direction) if model.takes_style else model, str(direction)
        code = styled(self.model).general_style() if model.takes_style else {}
        # A single vector is an input by itself; other codes, such as AdaIN's statistics, are encoded from a picture.
        self.code_size = next(iter(code.values())).shape[1] if len(code) == 1 else 0

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("picture", "style") if self.model.takes_style else ("picture",)

    def forward(self, picture: Tensor, style: Tensor | None = None) -> Tensor:
        """Translate [B, C, H, W] with [B, C, h, w] or [B, code_size] to [B, C, H, W].

        The names of the arguments are those of the inputs of exported files.
        """
        if style is None:
            return self.model.translate(picture, self.direction)
        code = {"s": style} if self.code_size else styled(self.model).style_code(style)
        return styled(self.model).stylize(picture, code)

    def example(self, sizes: tuple[tuple[int, int, int], tuple[int, int]], channels: int) -> tuple[Tensor, ...]:
        """Draw pictures, and styles where the graph takes them, as noise of a fixed seed."""
        (batch, height, width), side = sizes
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(batch, channels, height, width, generator=generator) * 2 - 1
        if not self.model.takes_style:
            return (image,)
        if self.code_size:
            return image, torch.randn(batch, self.code_size, generator=generator)
        return image, torch.rand(batch, channels, *side, generator=generator) * 2 - 1


class SeededGraph(Graph):
    """Exported network that draws noise: from a picture and a seed, int64 [1], to a picture."""

    @property
    def inputs(self) -> tuple[str, ...]:
        return "picture", SEED

    def forward(self, picture: Tensor, seed: Tensor) -> Tensor:  # type: ignore[override]
        """Translate [B, C, H, W] with the noise of a seed."""
        with self.model.seeded(seed):
            return super().forward(picture)

    def example(self, sizes: tuple[tuple[int, int, int], tuple[int, int]], channels: int) -> tuple[Tensor, ...]:
        """Draw pictures, and a seed that differs with their size."""
        (batch, height, width), _ = sizes
        return *super().example(sizes, channels), torch.tensor([batch * 2**40 + height * width])


def graph_of(model: Translator, direction: str) -> Graph:
    """Make the graph of a direction, with a seed among its inputs where it draws noise."""
    seeded = model.noised(direction) and not model.takes_style
    return SeededGraph(model, direction) if seeded else Graph(model, direction)


class Distance(NamedTuple):
    """Largest differences from torch in float64, of pictures in [-1, 1]; NaN where a value is.

    Attributes:
        file: of the written file.
        rounding: of torch in float32.
    """

    file: float
    rounding: float

    @property
    def is_rounding(self) -> bool:
        """True if the file's error is at most `MAX_ERROR`, or `MAX_ROUNDING_RATIO` times that of torch in float32."""
        return self.file <= max(MAX_ERROR, MAX_ROUNDING_RATIO * self.rounding)

    def __str__(self) -> str:
        return f"at most {self.file:.1e} from torch in float64, in [-1, 1]; torch in float32 {self.rounding:.1e}"


def distance(graph: Graph, run: Run, channels: int, told: Told = lambda stage: None) -> Distance:
    """Compare the results of `run` with torch, over `SIZES`, each of which is told.

    Raises:
        UserError: the graph cannot be computed in float64.
    """
    precise = copy.deepcopy(graph).double()
    found = []
    for sizes in SIZES:
        told("comparing with torch at {1} x {2}".format(*sizes[0]))
        inputs = graph.example(sizes, channels)
        with torch.no_grad():
            try:
                truth = precise(*(one.double() if one.is_floating_point() else one for one in inputs))
            except RuntimeError as error:  # of a user's own method
                raise_if_out(error)
                reason = " ".join(str(error).split())[:120]
                raise UserError(
                    f"the model does not pass in float64, which an export is compared with ({reason}): "
                    "make tensors of the picture's type, as x.new_zeros does"
                ) from error
            found.append(Distance(*(float((one - truth).abs().max()) for one in (run(inputs), graph(*inputs)))))
    return worst(found)


def worst(found: Sequence[Distance]) -> Distance:
    """Return the largest of each kind; NaN where one is."""
    return Distance(*torch.tensor(found).amax(dim=0).tolist())
