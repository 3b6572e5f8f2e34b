"""The page: controls on the left, results on the right, runs on a tab of their own."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr

from gan_style.apps.studio import runs
from gan_style.apps.studio.controls import PAINTING_SIDE, Controls, controls, fitting
from gan_style.apps.studio.events import (
    AT_ONCE,
    ONE_AT_A_TIME,
    buttons,
    file_name,
    new_folder,
    plain,
    reporting,
    sentences,
    titled,
)
from gan_style.apps.studio.images import check_upload, check_video, shown
from gan_style.apps.studio.inputs import check_no_addresses, check_own_files
from gan_style.apps.studio.models import Models
from gan_style.apps.studio.result import result_tab
from gan_style.apps.studio.room import Room
from gan_style.apps.studio.stopping import Stops
from gan_style.apps.studio.translating import compare, style_options
from gan_style.core.errors import UserError

HEAD = """<header><h1>gan_style studio</h1>
<p>Give a picture another style. Everything happens on this machine; nothing is sent anywhere.</p></header>"""
SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif"]
MONO = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "Liberation Mono", "monospace"]


def theme() -> gr.themes.Base:
    """Build the theme: dark text on paper, as the report; only fonts of the machine."""
    base = gr.themes.Base(neutral_hue=gr.themes.colors.stone, font=SANS, font_mono=MONO)
    blue = "#1f6fb4"
    return base.set(
        slider_color=blue,
        slider_color_dark=blue,
        color_accent=blue,
        checkbox_background_color_selected=blue,
        checkbox_background_color_selected_dark=blue,
        button_primary_background_fill=blue,
        button_primary_background_fill_dark=blue,
        button_primary_background_fill_hover="#185a94",
        button_primary_background_fill_hover_dark="#185a94",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
    )


def style_sheet() -> str:
    """Read the page's own CSS."""
    return _own("page.css")


def head() -> str:
    """Return the page's own script, which puts the server's answers in order."""
    return f"<script>{_own('order.js')}</script>"


def _own(name: str) -> str:
    return resources.files("gan_style.apps.studio").joinpath(name).read_text(encoding="utf-8")


def build(models: Models, room: Room) -> gr.Blocks:
    """Build the page; its files go into the folder of `room`."""
    with gr.Blocks(title="gan_style studio", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(HEAD)
        with gr.Tabs():
            with gr.Tab("Studio", id="studio"), gr.Row(elem_id="desk"):
                with gr.Column(scale=5, min_width=320, elem_id="left"):
                    chosen = controls(models, room.folder)
                with gr.Column(scale=7, min_width=320, elem_id="right"), gr.Tabs(elem_id="results"):
                    stops = Stops()
                    result_tab(models, chosen, room, stops)
                    choices = _compare(models, chosen, room, stops)
                    if importlib.util.find_spec("gan_style.inference.video"):
                        _video(models, chosen, room, stops)
            with gr.Tab("Runs", id="runs"):
                again = gr.Button("Look again", size="sm", elem_id="again", scale=0)
                cards = gr.HTML()
        _answer(page, models, chosen)

        @sentences
        def look() -> dict[Any, Any]:
            models.look()
            names = gr.update(choices=models.choices)
            return {cards: runs.gallery(models.runs), chosen.model: names, choices: names}

        gr.on([again.click, page.load], look, None, [cards, chosen.model, choices], show_progress="hidden")
    for block in page.blocks.values():
        check_no_addresses(block)
        check_own_files(block)
    return page


def _answer(page: gr.Blocks, models: Models, chosen: Controls) -> None:
    """Connect the events of the left side."""
    slots = chosen.slots

    @sentences
    def choose(values: dict[Any, Any]) -> dict[Any, Any]:
        name = values[chosen.model]
        return fitting(models, chosen, name, values) if name else {}

    asked = {chosen.model, chosen.direction, *(slot.name for slot in slots)}
    events = [page.load, chosen.model.change]
    gr.on(events, choose, asked, chosen.fitted, show_progress="hidden", **ONE_AT_A_TIME)

    @sentences
    def taken(path: str | None) -> str | None:
        try:
            return str(check_upload(Path(path))) if path else None
        except UserError as error:
            gr.Warning(titled("This picture cannot be used", plain(error)))
            return None

    @sentences
    def below_the_brush(path: str | None) -> dict[str, Any] | None:
        try:
            background = shown(check_upload(Path(path)), PAINTING_SIDE) if path else None
        except UserError:
            return None  # `taken` reports it
        return None if background is None else {"background": background, "layers": [], "composite": None}

    for image in (chosen.image, *(slot.image for slot in slots)):
        image.upload(taken, image, image, show_progress="hidden")
    chosen.image.change(below_the_brush, chosen.image, chosen.painting, show_progress="hidden")

    def sample(event: gr.SelectData, samples: list[tuple[str, Any]]) -> str:
        return samples[event.index][0]

    def style_sample(event: gr.SelectData, samples: list[tuple[str, Any]], *now: str | None) -> list[Any]:
        empty = next((number for number, path in enumerate(now) if not path), len(now) - 1)
        return [samples[event.index][0] if number == empty else path for number, path in enumerate(now)]

    def reveal(*now: str | None) -> list[Any]:
        last = max((number for number, path in enumerate(now) if path), default=-1)
        return [gr.update(visible=number < max(2, last + 2)) for number in range(len(now))]

    images = [slot.image for slot in slots]
    chosen.samples.select(sample, chosen.samples, chosen.image, **AT_ONCE)
    chosen.style_samples.select(style_sample, [chosen.style_samples, *images], images, **AT_ONCE)
    gr.on([image.change for image in images], reveal, images, [slot.frame for slot in slots], **AT_ONCE)


def _compare(models: Models, chosen: Controls, room: Room, stops: Stops) -> gr.CheckboxGroup:
    with gr.Tab("Compare", id="compare"):
        choices = gr.CheckboxGroup(
            models.choices, value=models.names[:2], label="Methods, on the same picture", elem_id="methods"
        )
        go = buttons("Compare", "compare-go", "compare-stop", stops)
        images = gr.Gallery(
            show_label=False,
            columns=2,
            format="png",
            object_fit="contain",
            height="auto",
            buttons=["download", "fullscreen"],
            interactive=False,
            elem_id="comparison",
        )

    @sentences
    def run(values: dict[Any, Any], request: gr.Request, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
        pairs = [(models.label(name), functools.partial(models.load, name)) for name in values[choices]]
        with stops.heard(request.session_hash):
            made, failed = compare(pairs, chosen.wish(values), new_folder(room), reporting(progress))
        for sentence in failed:
            gr.Warning(titled("Left out", plain(UserError(sentence))))
        return made

    go.then(run, chosen.inputs | {choices}, images, scroll_to_output=True, **ONE_AT_A_TIME)
    return choices


def _video(models: Models, chosen: Controls, room: Room, stops: Stops) -> None:
    with gr.Tab("Video", id="video"):
        gr.HTML('<p class="quiet">Every frame, with its sound. Painted regions hold for pictures only.</p>')
        source = gr.Video(label="Video", sources=["upload"], elem_id="video", buttons=[])
        go = buttons("Translate the video", "video-go", "video-stop", stops)
        target = gr.Video(label="Result", interactive=False, elem_id="video-result", buttons=["download"])

    @sentences
    def run(values: dict[Any, Any], request: gr.Request, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        from gan_style.inference.video.translate import translate_video

        if not values[source]:
            raise UserError("choose a video first")
        path, wish, name = check_video(Path(values[source])), chosen.wish(values), values[chosen.model]
        translator = models.load(name)
        if translator.model.optimizes_images:
            raise UserError("gatys takes minutes for a single picture: choose a trained model for a video")
        options = style_options(translator, replace(wish, layers=()), (0, 0))
        result = new_folder(room) / f"{path.stem}-{file_name(name)}.mp4"
        with stops.heard(request.session_hash):
            translate_video(
                translator,
                path,
                result,
                alpha=wish.alpha,
                preserve_color=wish.preserve_color,
                size=wish.size,
                wrap=wish.wrap,
                progress=lambda done, total: progress((done, total or None), desc="translating", unit="frames"),
                **options,
            )
        return str(result)

    go.then(run, chosen.inputs | {chosen.model, source}, target, scroll_to_output=True, **ONE_AT_A_TIME)
