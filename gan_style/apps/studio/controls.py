"""Controls on the left side of the page: picture, model, styles, strength, regions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.data_classes import ImageData

from gan_style.apps.studio.images import COLOURS, draw_samples
from gan_style.apps.studio.models import Models, caution
from gan_style.apps.studio.painting import bound
from gan_style.apps.studio.translating import Slot, Wish
from gan_style.core.errors import UserError

SIZES = (128, 1536)  # pixels, longer side of a result; more takes minutes without a GPU
MAX_SEED = 2**53 - 1  # the largest whole number that a browser holds exactly
WRAPS = [
    ("as the model was trained", ""),
    ("no", "off"),
    ("left and right", "x"),
    ("top and bottom", "y"),
    ("all four", "xy"),
]
PAINTING_SIDE = 640  # pixels of the picture under the brush


class StyleSlot(NamedTuple):
    """Controls of one style."""

    frame: gr.Column
    image: gr.Image
    name: gr.Dropdown
    weight: gr.Slider


class Controls(NamedTuple):
    """All controls."""

    image: gr.Image
    samples: gr.Gallery
    model: gr.Dropdown
    caution: gr.HTML
    direction: gr.Radio
    styles: gr.Column
    style_samples: gr.Gallery
    slots: list[StyleSlot]
    alpha: gr.Slider
    preserve_color: gr.Checkbox
    size: gr.Slider
    steps: gr.Slider
    seed: gr.Number
    wrap: gr.Dropdown
    regions: gr.Accordion
    painting: gr.ImageEditor

    @property
    def inputs(self) -> set[Any]:
        """Controls that `wish` reads."""
        return {*self.kept, self.painting}

    @property
    def kept(self) -> list[Any]:
        """Controls whose values a result keeps, all but the painting."""
        plain = [
            self.image,
            self.direction,
            self.alpha,
            self.preserve_color,
            self.size,
            self.steps,
            self.seed,
            self.wrap,
        ]
        return plain + [part for slot in self.slots for part in (slot.image, slot.name, slot.weight)]

    @property
    def files(self) -> set[str]:
        """Ids of the controls whose values are files."""
        return {str(image.elem_id) for image in (self.image, *(slot.image for slot in self.slots))}

    @property
    def fitted(self) -> list[Any]:
        """Controls that `fitting` sets."""
        names = [slot.name for slot in self.slots]
        return [self.caution, self.direction, self.styles, self.steps, self.seed, self.wrap, self.regions, *names]

    def wish(self, values: Mapping[Any, Any]) -> Wish:
        """Collect the values of `inputs`."""
        image, painting = values[self.image], values[self.painting]
        slots = []
        for slot in self.slots:
            style = values[slot.image]
            slots.append(Slot(Path(style) if style else None, values[slot.name] or None, values[slot.weight]))
        return Wish(
            image=Path(image) if image else None,
            slots=slots,
            direction=values[self.direction],
            alpha=values[self.alpha],
            preserve_color=values[self.preserve_color],
            size=int(values[self.size]),
            steps=int(values[self.steps]),
            seed=_whole(values[self.seed]),
            wrap=values[self.wrap] or None,
            layers=(painting or {}).get("layers") or (),
        )


def controls(models: Models, folder: Path) -> Controls:
    """Build the left side."""
    image = _image("Picture", 300, "picture")
    gr.HTML('<p class="quiet">or take a sample</p>')
    samples = _strip(draw_samples(folder, "A"), "samples")
    model = gr.Dropdown(models.choices, value=models.first, label="Model", elem_id="model")
    note = gr.HTML(visible=False, elem_id="caution")
    direction = gr.Radio([], label="Direction", visible=False, elem_id="direction")
    with gr.Column(visible=False, elem_id="styles") as styles:
        gr.HTML('<h3>Styles <span class="quiet">one, or several to mix</span></h3>')
        with gr.Row(elem_classes="slots"):
            slots = [_slot(number) for number in range(len(COLOURS))]
        gr.HTML('<p class="quiet">or take a painting</p>')
        style_samples = _strip(draw_samples(folder, "B"), "style-samples")
    with gr.Row(elem_classes="pair"):
        alpha = gr.Slider(0, 1, 1, step=0.05, label="Strength", min_width=140, buttons=[], elem_id="alpha")
        size = gr.Slider(*SIZES, 512, step=64, label="Longer side", min_width=140, buttons=[], elem_id="size")
    preserve_color = gr.Checkbox(label="Keep the colours of the picture", elem_id="preserve-color")
    steps = gr.Slider(
        10, 500, 100, step=10, label="Steps in each of two sizes", visible=False, buttons=[], elem_id="steps"
    )
    seed = _seed()
    wrap = gr.Dropdown(WRAPS, value="", label="Opposite borders continue each other", elem_id="wrap")
    with gr.Accordion("Paint where a style holds", open=False, visible=False, elem_id="regions") as regions:
        gr.HTML(
            '<p class="quiet">Each brush colour is a style: '
            + ", ".join(f'<span class="dot c{n}"></span>style {n + 1}' for n in range(len(COLOURS)))
            + ". What stays unpainted stays as it is. Regions stand in place of weights.</p>"
        )
        painting = _painting()
    return Controls(
        image,
        samples,
        model,
        note,
        direction,
        styles,
        style_samples,
        slots,
        alpha,
        preserve_color,
        size,
        steps,
        seed,
        wrap,
        regions,
        painting,
    )


def fitting(
    models: Models, controls: Controls, name: str | None, values: Mapping[Any, Any] | None = None
) -> dict[Any, Any]:
    """Show the controls that the chosen model has, and hide the others.

    Args:
        values: of the controls now; a direction and learned styles that this model has, too, stay.

    Raises:
        UserError: its checkpoint cannot be loaded.
    """
    translator = models.load(name)
    model, domains = translator.model, translator.domains
    directions = [
        (f"{domains.get(d.source, d.source)} to {domains.get(d.target, d.target)}", str(d)) for d in model.directions
    ]
    several, now = len(directions) > 1, values or {}
    first = directions[0][1] if directions else None
    direction = now.get(controls.direction)
    draws = any(model.noised(str(d)) for d in model.directions) or model.optimizes_images
    said = caution(translator)
    updates: dict[Any, Any] = {
        controls.caution: gr.update(value=f'<p class="note">{said}</p>', visible=bool(said)),
        controls.direction: gr.update(
            choices=directions,
            value=direction if direction in [value for _, value in directions] else first,
            visible=several,
        ),
        controls.styles: gr.update(visible=model.takes_style),
        controls.steps: gr.update(visible=model.optimizes_images),
        controls.seed: gr.update(visible=draws),
        controls.wrap: gr.update(visible=not model.optimizes_images),
        controls.regions: gr.update(visible=model.takes_style),
    }
    names = translator.style_names
    for slot in controls.slots:
        chosen = now.get(slot.name)
        updates[slot.name] = gr.update(choices=names, value=chosen if chosen in names else None, visible=bool(names))
    return updates


def _painting() -> gr.ImageEditor:
    """Build the brush, whose colours are those of the styles."""
    painting = gr.ImageEditor(
        show_label=False,
        type="numpy",
        sources=(),
        layers=False,
        transforms=(),
        brush=gr.Brush(default_size=40, colors=list(COLOURS), default_color=COLOURS[0], color_mode="fixed"),
        canvas_size=(PAINTING_SIDE, PAINTING_SIDE),
        height=420,
        elem_id="painting",
        buttons=[],
        format="png",
    )
    bound(painting)
    return painting


def _seed() -> gr.Number:
    return gr.Number(
        0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, visible=False, buttons=[], elem_id="seed"
    )


def _whole(seed: float | None) -> int:
    """Return a seed as a whole number.

    Raises:
        UserError: it is none.
    """
    if seed is None or not 0 <= seed <= MAX_SEED or seed != int(seed):
        raise UserError(f"the seed should be a whole number from 0 to {MAX_SEED}")
    return int(seed)


def _image(label: str, height: int, name: str) -> gr.Image:
    """Build an upload that gives us the file itself: our own reader decodes it, and explains what is wrong with it."""
    image = gr.Image(
        label=label,
        type="filepath",
        sources=["upload", "clipboard"],
        height=height,
        placeholder="Drop or click",
        elem_id=name,
        buttons=[],
    )

    def path_of(payload: ImageData | None) -> str | None:
        return payload.path if payload else None

    image.preprocess = path_of  # type: ignore[method-assign] # not a subclass: Gradio writes a file beside each
    return image


def _slot(number: int) -> StyleSlot:
    with gr.Column(visible=number < 2, min_width=140, elem_classes=["slot", f"c{number}"]) as frame:
        image = _image(f"Style {number + 1}", 150, f"style-{number + 1}")
        name = gr.Dropdown([], label="or a learned style", visible=False, elem_id=f"style-name-{number + 1}")
        weight = gr.Slider(0, 1, 1, step=0.05, label="Weight", buttons=[], elem_id=f"weight-{number + 1}")
    return StyleSlot(frame, image, name, weight)


def _strip(paths: list[Path], name: str) -> gr.Gallery:
    """Build a row of samples to click on."""
    return gr.Gallery(
        [str(path) for path in paths],
        columns=len(paths),
        rows=1,
        height=72,
        show_label=False,
        allow_preview=False,
        object_fit="cover",
        interactive=False,
        buttons=[],
        elem_id=name,
        elem_classes="strip",
    )
