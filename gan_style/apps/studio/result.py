"""The tab of one picture through one model: it grows where it is optimised, and earlier results come back."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from gan_style.apps.studio.controls import Controls, fitting
from gan_style.apps.studio.events import (
    ONE_AT_A_TIME,
    buttons,
    file_name,
    growing,
    new_folder,
    plain,
    reporting,
    sentences,
    titled,
)
from gan_style.apps.studio.models import Models
from gan_style.apps.studio.room import Room
from gan_style.apps.studio.stopping import Stops
from gan_style.apps.studio.translating import Grown, Made, translate
from gan_style.core.errors import UserError
from gan_style.report.markup import escape

MAX_HISTORY = 12  # results of a page that can be brought back, the newest
THUMBNAIL_SIDE = 160  # pixels
Entry = dict[str, Any]  # of a result: its files, its caption, and the values of the controls by their ids


class Shown(NamedTuple):
    """Parts of the tab that change with a result."""

    slider: gr.ImageSlider
    download: gr.DownloadButton
    earlier: gr.Column
    thumbnails: gr.Gallery
    entries: gr.State  # list of Entry, the newest first


def result_tab(models: Models, chosen: Controls, room: Room, stops: Stops) -> None:
    """Build the tab."""
    with gr.Tab("Result", id="result"):
        go = buttons("Translate", "translate", "stop", stops)
        status = gr.HTML(elem_id="status")
        tab = _shown()

    @sentences
    def run(
        values: dict[Any, Any],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio needs it)
    ) -> Generator[dict[Any, Any], None, None]:
        wish, name = chosen.wish(values), values[chosen.model]
        translator = models.load(name)
        stem, session = wish.image.stem if wish.image else "", request.session_hash
        folder, optimizes = new_folder(room), translator.model.optimizes_images

        def work(show: Any) -> Made:
            grown = Grown(lambda before, picture: show({tab.slider: (before, picture)}), lambda: stops.asked(session))
            with stops.heard(session, within=not optimizes):
                return translate(translator, wish, folder, f"{stem}-{file_name(name)}", reporting(progress), grown)

        made = yield from growing(work, lambda: stops.ask(session))
        for sentence in made.notes:
            gr.Info(titled("About this file", plain(UserError(sentence))))
        if made.stopped:
            gr.Info(titled("Stopped", f"this is the picture of {made.stopped}"))
        held = [entry_of(made, models.label(name), chosen, values, folder), *values[tab.entries]][:MAX_HISTORY]
        yield {
            tab.slider: (made.before, made.after),
            tab.download: gr.update(value=str(made.file), visible=True),
            tab.entries: held,
            tab.thumbnails: [(entry["thumbnail"], entry["caption"]) for entry in held],
            tab.earlier: gr.update(visible=True),
        }

    inputs = chosen.inputs | {chosen.model, tab.entries}
    go.then(run, inputs, list(tab), scroll_to_output=True, show_progress_on=status, **ONE_AT_A_TIME)
    _bring_back(models, chosen, tab)


def _shown() -> Shown:
    slider = gr.ImageSlider(
        show_label=False, format="png", max_height=640, buttons=["fullscreen"], elem_id="slider", interactive=False
    )
    download = gr.DownloadButton("Download", visible=False, size="sm", elem_id="download")
    with gr.Column(visible=False, elem_id="earlier") as earlier:
        gr.HTML('<h3>Earlier results <span class="quiet">click one to have it and its settings back</span></h3>')
        thumbnails = gr.Gallery(
            columns=6,
            rows=1,
            height=90,
            show_label=False,
            allow_preview=False,
            object_fit="cover",
            interactive=False,
            buttons=[],
            elem_id="history",
            elem_classes="strip",
        )
    return Shown(slider, download, earlier, thumbnails, gr.State([]))


def _bring_back(models: Models, chosen: Controls, tab: Shown) -> None:
    """Let a click on an earlier result show it again, with its settings."""

    @sentences
    def bring_back(event: gr.SelectData, held: list[Entry]) -> dict[Any, Any]:
        entry = held[event.index]
        if not all(Path(entry[name]).is_file() for name in ("before", "after", "file")):
            raise UserError("this result made room for newer ones, and is not there any more")
        updates = fitting(models, chosen, entry["model"])
        for control in chosen.kept:
            value = entry["values"][control.elem_id]
            if control.elem_id in chosen.files and value and not Path(value).is_file():
                gr.Warning(titled("Left out", f"{escape(Path(value).name)} made room for newer files"))
                value = None
            updates[control] = gr.update(**{**updates.get(control, {}), "value": value})
        return updates | {
            chosen.model: entry["model"],
            tab.slider: (entry["before"], entry["after"]),
            tab.download: gr.update(value=entry["file"], visible=True),
        }

    back = dict.fromkeys([*chosen.kept, chosen.model, *chosen.fitted, tab.slider, tab.download])
    tab.thumbnails.select(bring_back, tab.entries, list(back), show_progress="hidden", **ONE_AT_A_TIME)


def entry_of(made: Made, label: str, chosen: Controls, values: dict[Any, Any], folder: Path) -> Entry:
    """Return a result with its files and all settings but the painting."""
    before, after, thumbnail = (folder / name for name in ("before.png", "after.png", "thumbnail.jpg"))
    Image.fromarray(made.before).save(before)
    Image.fromarray(made.after).save(after)  # what can be shown; the result itself may be a TIFF
    small = Image.fromarray(made.after)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    small.save(thumbnail, quality=80)
    return {
        "model": values[chosen.model],
        "caption": label,
        "before": str(before),
        "after": str(after),
        "thumbnail": str(thumbnail),
        "file": str(made.file),
        "values": {control.elem_id: values[control] for control in chosen.kept},
    }
