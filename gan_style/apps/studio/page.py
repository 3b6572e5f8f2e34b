"""The page: controls on the left, results on the right, runs on a tab of their own."""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr

from gan_style.apps.studio import runs
from gan_style.apps.studio.controls import PAINTING_SIDE, Controls, controls, fitting
from gan_style.apps.studio.images import check_upload, check_video, shown
from gan_style.apps.studio.inputs import check_no_addresses, check_own_files
from gan_style.apps.studio.models import Models
from gan_style.apps.studio.room import FULL, Room
from gan_style.apps.studio.stopping import Stopped, Stops
from gan_style.apps.studio.translating import Report, compare, style_options, translate
from gan_style.core import memory
from gan_style.core.errors import UserError
from gan_style.report.markup import escape

RESULT_BYTES = 50_000_000  # of free room that a result needs
# One model at a time, for all visitors: a second one would only compete for cores and memory.
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden"}  # for events without work
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
    return resources.files("gan_style.apps.studio").joinpath("page.css").read_text(encoding="utf-8")


def sentences(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that a UserError is shown as its sentence, and no other error's text."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            raise gr.Error(plain(error), print_exception=False, title="That did not work") from None
        except Stopped:
            raise gr.Error("stopped: nothing was kept", print_exception=False, title="Stopped") from None
        except Exception as error:
            if not memory.ran_out(error):
                raise
            said = UserError(memory.sentence(error, memory.advice_of("studio")))
        raise gr.Error(plain(said), print_exception=False, title="Out of memory")  # its memory is freed here

    return guarded


def plain(error: UserError) -> str:
    """Format an error for the page: uploads by their own names, without their temporary folder."""
    words = [Path(word).name if word.startswith(tempfile.gettempdir()) else word for word in str(error).split(" ")]
    return escape(" ".join(words))


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
                    _result(models, chosen, room, stops)
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
            names = gr.update(choices=models.names)
            return {cards: runs.gallery(models.runs), chosen.model: names, choices: names}

        gr.on([again.click, page.load], look, None, [cards, chosen.model, choices], show_progress="hidden")
    for block in page.blocks.values():
        check_no_addresses(block)
        check_own_files(block)
    return page


def _answer(page: gr.Blocks, models: Models, chosen: Controls) -> None:
    """Connect the events of the left side."""
    slots = chosen.slots
    shows = [chosen.caution, chosen.direction, chosen.styles, chosen.steps, *(slot.name for slot in slots)]

    @sentences
    def choose(name: str | None) -> dict[Any, Any]:
        return fitting(models, chosen, name) if name else {}

    gr.on([page.load, chosen.model.change], choose, chosen.model, shows, show_progress="hidden", **ONE_AT_A_TIME)

    @sentences
    def taken(path: str | None) -> str | None:
        try:
            return str(check_upload(Path(path))) if path else None
        except UserError as error:
            gr.Warning(plain(error), title="This picture cannot be used")
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


def _buttons(label: str, go_id: str, stop_id: str, stops: Stops) -> Any:
    """Build a button that starts work, and one that stops it."""

    def ask(request: gr.Request) -> None:
        stops.ask(request.session_hash)

    def begin(request: gr.Request) -> None:
        stops.begin(request.session_hash)

    with gr.Row():
        go = gr.Button(label, variant="primary", elem_id=go_id, scale=5)
        stop = gr.Button("Stop", elem_id=stop_id, scale=1, min_width=80)
    stop.click(ask, None, None, queue=False)
    # Not queued: the work after it may wait in the queue, and be stopped while it waits.
    return go.click(begin, None, None, **AT_ONCE)


def _result(models: Models, chosen: Controls, room: Room, stops: Stops) -> None:
    with gr.Tab("Result", id="result"):
        go = _buttons("Translate", "translate", "stop", stops)
        slider = gr.ImageSlider(
            show_label=False, format="png", max_height=640, buttons=["fullscreen"], elem_id="slider", interactive=False
        )
        download = gr.DownloadButton("Download", visible=False, size="sm", elem_id="download")

    @sentences
    def run(
        values: dict[Any, Any],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio needs it)
    ) -> tuple[Any, Any]:
        wish, name = chosen.wish(values), values[chosen.model]
        translator = models.load(name)
        stem = wish.image.stem if wish.image else ""
        with stops.heard(request.session_hash):
            made = translate(translator, wish, _new(room), f"{stem}-{_file_name(name)}", _report(progress))
        for sentence in made.notes:
            gr.Info(plain(UserError(sentence)), title="About this file")
        return (made.before, made.after), gr.update(value=str(made.file), visible=True)

    go.then(run, chosen.inputs | {chosen.model}, [slider, download], scroll_to_output=True, **ONE_AT_A_TIME)


def _compare(models: Models, chosen: Controls, room: Room, stops: Stops) -> gr.CheckboxGroup:
    with gr.Tab("Compare", id="compare"):
        choices = gr.CheckboxGroup(
            models.names, value=models.names[:2], label="Methods, on the same picture", elem_id="methods"
        )
        go = _buttons("Compare", "compare-go", "compare-stop", stops)
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
        pairs = [(name, functools.partial(models.load, name)) for name in values[choices]]
        with stops.heard(request.session_hash):
            made, failed = compare(pairs, chosen.wish(values), _new(room), _report(progress))
        for sentence in failed:
            gr.Warning(plain(UserError(sentence)), title="Left out")
        return made

    go.then(run, chosen.inputs | {choices}, images, scroll_to_output=True, **ONE_AT_A_TIME)
    return choices


def _video(models: Models, chosen: Controls, room: Room, stops: Stops) -> None:
    with gr.Tab("Video", id="video"):
        gr.HTML('<p class="quiet">Every frame, with its sound. Painted regions hold for pictures only.</p>')
        source = gr.Video(label="Video", sources=["upload"], elem_id="video", buttons=[])
        go = _buttons("Translate the video", "video-go", "video-stop", stops)
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
        result = _new(room) / f"{path.stem}-{_file_name(name)}.mp4"
        with stops.heard(request.session_hash):
            translate_video(
                translator,
                path,
                result,
                alpha=wish.alpha,
                preserve_color=wish.preserve_color,
                size=wish.size,
                progress=lambda done, total: progress((done, total or None), desc="translating", unit="frames"),
                **options,
            )
        return str(result)

    go.then(run, chosen.inputs | {chosen.model, source}, target, scroll_to_output=True, **ONE_AT_A_TIME)


def _report(progress: gr.Progress) -> Report:
    return lambda share, text: progress(share, desc=text)


def _new(room: Room) -> Path:
    """Create a folder for a result, if there is room for it.

    Raises:
        UserError: there is no room.
    """
    if not room.make(RESULT_BYTES):
        raise UserError(FULL)
    return Path(tempfile.mkdtemp(dir=room.folder))


def _file_name(model: str | None) -> str:
    return (model or "").replace("/", "-").replace("\\", "-")
