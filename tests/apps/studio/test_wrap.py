"""The control of what goes round: what a wish takes of it, when it is there, and what brings it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gan_style.apps.studio.stopping import Stops
from gan_style.apps.studio.translating import Made
from gan_style.inference.load import gatys
from gan_style.inference.translator import LoadedTranslator
from tests.small_models import loaded

gr = pytest.importorskip("gradio", reason="the studio needs gradio")
# the import of Gradio alone takes seconds, and many on a busy machine
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Loaded:
    """Models by name, as `Models` has them."""

    choices, first, names = [("CUT", "cut"), ("Gatys", "gatys")], "cut", ["cut", "gatys"]

    def __init__(self) -> None:
        self.models: dict[str, LoadedTranslator] = {
            "cut": loaded("model=cut"),
            "gatys": gatys("random", 0, ["model.steps=1", "model.vgg.depth=relu2_1"]),
        }

    def load(self, name: str) -> LoadedTranslator:
        return self.models[name]

    def label(self, name: str) -> str:
        return name


class Page:
    """The left side with its tabs; `event` returns the function behind one."""

    def __init__(self, folder: Path) -> None:
        from gan_style.apps.studio.controls import controls
        from gan_style.apps.studio.page import _video
        from gan_style.apps.studio.result import result_tab
        from gan_style.apps.studio.room import Room

        (folder / "samples").mkdir()
        self.models, room, stops = Loaded(), Room(folder), Stops()
        with gr.Blocks() as self.blocks:
            self.controls = controls(self.models, folder / "samples")  # type: ignore[arg-type]
            result_tab(self.models, self.controls, room, stops)  # type: ignore[arg-type]
            _video(self.models, self.controls, room, stops)  # type: ignore[arg-type]

    def event(self, name: str, control: str = "") -> Callable[..., Any]:
        [found] = [
            one
            for one in self.blocks.fns.values()
            if one.name == name and (not control or control in {part.elem_id for part in one.inputs})
        ]
        function: Callable[..., Any] = found.fn
        return function

    def values(self, **changed: Any) -> dict[Any, Any]:
        """The values of all controls as the page opens, those of some ids changed."""
        parts = {part.elem_id: part for part in self.blocks.blocks.values() if getattr(part, "elem_id", None)}
        opened = {part: getattr(part, "value", None) for part in self.controls.inputs | {self.controls.model}}
        return opened | {parts[name]: value for name, value in changed.items()}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    made, new = [], asyncio.new_event_loop

    def noted() -> asyncio.AbstractEventLoop:
        made.append(new())
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", noted)  # Gradio makes loops for its locks, and closes none
        patch.setattr(asyncio.events, "new_event_loop", noted)
        yield Page(tmp_path_factory.mktemp("studio"))
    for loop in made:
        loop.close()
    asyncio.set_event_loop(None)


@pytest.mark.parametrize(("chosen", "wrap"), [("", None), ("off", "off"), ("x", "x"), ("xy", "xy")])
def test_a_wish_takes_what_was_chosen(page: Page, chosen: str, wrap: str | None) -> None:
    assert page.controls.wish(page.values(wrap=chosen)).wrap == wrap
    assert page.controls.wish(page.values()).wrap is None, "as the model was trained, unless told otherwise"


@pytest.mark.parametrize(("name", "shown"), [("cut", True), ("gatys", False)])
def test_it_is_there_for_models_of_one_pass(page: Page, name: str, shown: bool) -> None:
    from gan_style.apps.studio.controls import fitting

    updates = fitting(page.models, page.controls, name, {})  # type: ignore[arg-type]
    assert updates[page.controls.wrap]["visible"] is shown
    assert page.controls.wrap in page.controls.fitted


def test_an_earlier_result_brings_it_back(page: Page, tmp_path: Path) -> None:
    from gan_style.apps.studio.result import entry_of

    picture, file = np.zeros((8, 8, 3), np.uint8), tmp_path / "out.png"
    file.write_bytes(b"")
    entry = entry_of(Made(picture, picture, file, [], ""), "CUT", page.controls, page.values(wrap="xy"), tmp_path)
    updates = page.event("bring_back")(SimpleNamespace(index=0), [entry])
    assert updates[page.controls.wrap]["value"] == "xy"
    assert updates[page.controls.wrap]["visible"] is True


@pytest.mark.parametrize(("chosen", "wrap"), [("", None), ("x", "x")])
def test_a_video_goes_round(
    page: Page, chosen: str, wrap: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gan_style.apps.studio.page as studio
    from gan_style.inference.video import translate

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(studio, "check_video", lambda path: path)
    monkeypatch.setattr(translate, "translate_video", lambda *words, **options: asked.append(options))
    values = page.values(video=str(tmp_path / "in.mp4"), wrap=chosen)
    page.event("run", "video")(values, SimpleNamespace(session_hash="one"))
    assert [options["wrap"] for options in asked] == [wrap]
