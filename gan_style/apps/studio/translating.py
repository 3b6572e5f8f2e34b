"""Work of the page's buttons: one picture through one model, or through several."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gan_style.apps.studio.images import check_upload, painted_regions, shown, size_of
from gan_style.core.checks import require_finite
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.data.images import to_uint8
from gan_style.data.ledger import Ledger
from gan_style.data.saving import holding, save
from gan_style.inference.steps import Steps
from gan_style.inference.translator import RESULT, LoadedTranslator
from gan_style.models.styled import optimizing

SHOWN_SECONDS = 1.0  # between two pictures of one that grows
Report = Callable[[float, str], None]  # share done, what is being done


class Slot(NamedTuple):
    """Slot for a style on the page: a picture, or a name that the model has learned."""

    image: Path | None = None
    name: str | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Wish:
    """Values that the user has chosen on the page.

    Args:
        image: to be translated.
        slots: of styles, in the order of the page; empty ones are ignored.
        direction: if no style is named; None, or one that a model does not have, is the model's first.
        alpha: strength in [0, 1].
        preserve_color: keep the picture's colours.
        size: longer side of the result, at most the picture's.
        steps: of Gatys, in each of its sizes.
        seed: of what a model draws at random.
        wrap: directions in which pictures go round, as of `LoadedTranslator.translate_all`; gatys has none.
        layers: RGBA pictures painted over the picture, in the colours of the slots (`painted_regions`).
    """

    image: Path | None
    slots: Sequence[Slot] = ()
    direction: str | None = None
    alpha: float = 1.0
    preserve_color: bool = False
    size: int = 512
    steps: int = 100
    seed: int = 0
    wrap: str | None = None
    layers: Sequence[Any] = field(default_factory=tuple)


class Made(NamedTuple):
    """Result, with its input in the same size."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    file: Path
    notes: list[str]  # what reading the files left out or changed
    stopped: str = ""  # the last step of an optimisation that was ended early


class Grown(NamedTuple):
    """Progress of a picture while it is optimised.

    Attributes:
        show: called now and then with the input and the picture so far, [H, W, 3] each.
        stopped: asked after each step whether to end with what there is.
    """

    show: Callable[[NDArray[np.uint8], NDArray[np.uint8]], None]
    stopped: Callable[[], bool]


def translate(
    translator: LoadedTranslator, wish: Wish, folder: Path, name: str, report: Report, grown: Grown | None = None
) -> Made:
    """Translate a picture by a model and save it losslessly as `folder/name.png` (.tif where PNG cannot hold it).

    Args:
        grown: sees a picture grow that is optimised, and may end it.

    Raises:
        UserError: no picture, or styles, weights and masks that `LoadedTranslator.translate` refuses.
    """
    if wish.image is None:
        raise UserError("choose a picture first: drop one, or take a sample")
    content = check_upload(wish.image)
    options = style_options(translator, wish, size_of(content)) | {
        "alpha": wish.alpha,
        "preserve_color": wish.preserve_color,
        "size": wish.size,
    }
    told = None
    if translator.model.optimizes_images:
        optimizing(translator.model).steps = wish.steps
        options["progress"] = told = Told(wish, content, report, grown)
    else:
        options["wrap"] = wish.wrap
        if "style" not in options and translator.model.noised(options.get("direction")):
            options["seed"] = wish.seed
    torch.manual_seed(wish.seed)
    translator.notes = Ledger()  # of this picture alone: the model stays loaded for the next
    array = np.asarray(translator.translate_all([content], **options)[0])
    path = holding(folder / f"{name}.png", str(array.dtype), array.shape[2] if array.ndim == 3 else 1)
    save(array, path)
    after = shown(path, max(array.shape[:2]))
    before = Image.fromarray(shown(content, wish.size)).resize(after.shape[1::-1], Image.Resampling.LANCZOS)
    return Made(np.asarray(before), after, path, translator.notes.sentences(), told.stopped if told else "")


def style_options(translator: LoadedTranslator, wish: Wish, size: tuple[int, int]) -> dict[str, Any]:
    """Return `style` and `mask`, or `direction`, for `translate`; `size` is the picture's width and height.

    A model of domains ignores style pictures and painted regions. Painted regions replace weights: a style without a
    region is left out.

    Raises:
        UserError: a slot holds two styles, or a region is painted for none.
    """
    takes = translator.model.takes_style
    direction = Direction(wish.direction) if wish.direction in translator.model.directions else None
    styles = [filled(number, slot) for number, slot in enumerate(wish.slots)] if takes else []
    way = {"direction": direction} if takes and len(translator.model.directions) > 1 else {}
    masks = painted_regions(wish.layers, size) if takes else None
    if masks is None:
        chosen = [style for style in styles if style is not None]
        return {"style": chosen, **way} if takes and chosen else {"direction": direction}
    pairs, held = [], []
    for number, mask in enumerate(masks):
        style = styles[number] if number < len(styles) else None
        if mask is None:
            continue
        if style is None:
            raise UserError(f"a region is painted in colour {number + 1}, but there is no style {number + 1}: add it")
        pairs.append((style[0], 1.0))
        held.append(mask)
    return {"style": pairs, "mask": held, **way}


def filled(number: int, slot: Slot) -> tuple[Any, float] | None:
    """Return the style of a slot and its weight, None for an empty one."""
    if slot.image is not None and slot.name:
        raise UserError(f"style {number + 1} has a picture and the name {slot.name}: clear one of the two")
    if slot.image is not None:
        return check_upload(slot.image), slot.weight
    return (slot.name, slot.weight) if slot.name else None


class Told:
    """Callback of an optimisation: reports its steps, shows its picture, and ends it early where it is asked to.

    Attributes:
        stopped: the step after which it was ended, "" where it was not.
    """

    def __init__(self, wish: Wish, content: Path, report: Report, grown: Grown | None) -> None:
        self.stopped = ""
        self._report, self._grown, self._steps = report, grown, Steps(wish.steps)
        self._before = shown(content, wish.size)
        self._last = time.monotonic()

    def __call__(self, done: int, total: int, terms: Mapping[str, float], image: Tensor) -> bool:
        require_finite(image, RESULT)
        self._report(done / total, self._steps.said(done, total))
        if self._grown is None:
            return False
        if time.monotonic() - self._last > SHOWN_SECONDS:
            self._grown.show(*self._pair(image))
            self._last = time.monotonic()
        if self._grown.stopped():
            self.stopped = self.stopped or f"step {done} of {total}"
        return bool(self.stopped)

    def _pair(self, image: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the input and the picture so far, of one size."""
        height, width = self._before.shape[:2]
        now = Image.fromarray(to_uint8(image)[0]).resize((width, height), Image.Resampling.BICUBIC)
        return self._before, np.asarray(now)


def compare(
    models: Sequence[tuple[str, Callable[[], LoadedTranslator]]], wish: Wish, folder: Path, report: Report
) -> tuple[list[tuple[NDArray[np.uint8], str]], list[str]]:
    """Translate one picture by several models.

    Args:
        models: names, each with a function that loads it.
        wish: for all of them; each uses the values that it supports.
        folder: for the files.
        report: of the progress.

    Returns: pictures with their captions, the untranslated one first, and sentences of the models that failed.

    Raises:
        UserError: no model, or all of them failed.
    """
    if not models:
        raise UserError("choose the methods to compare")
    made: list[tuple[NDArray[np.uint8], str]] = []
    failed = []
    for number, (name, load) in enumerate(models):

        def part(share: float, text: str, number: int = number, name: str = name) -> None:
            report((number + share) / len(models), f"{name} {text}")

        part(0.0, "")
        try:
            result = translate(load(), wish, folder, f"{number + 1}-{Path(name).name}", part)
        except UserError as error:
            failed.append(f"{name}: {error}")
            continue
        made = made or [(result.before, "input")]
        made.append((result.after, name))
    if not made:
        raise UserError("; ".join(failed))
    return made, failed
