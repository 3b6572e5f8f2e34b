"""The page in headless Chromium, as a person uses it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

import gan_style
from gan_style.apps.studio.images import draw_samples
from gan_style.data.images import read_image
from tests.apps.studio.conftest import Server

# starts the studio, whose imports alone take seconds, and many on a busy machine
pytestmark = [pytest.mark.quiet, pytest.mark.timeout(900)]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
WAIT = 180_000  # milliseconds; a busy machine needs them


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Callable[..., Any]]:
    """Opens the page; at the end of the test no request may have gone elsewhere, and nothing have failed."""
    said = len(server.log.read_text())
    asked: list[str] = []
    failed: list[str] = []
    contexts = []

    def start(**options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(server.address)
        page.wait_for_selector("#styles")  # its first model, the shipped one, is loaded
        return page

    yield start
    for context in contexts:
        context.close()
    assert asked
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in ("data", "blob")}
    assert hosts == {urlsplit(server.address).netloc}
    assert failed == []
    assert "Traceback" not in server.log.read_text()[said:]


def put(page: Any, place: str, path: Path) -> None:
    page.locator(f"#{place} input[type=file]").set_input_files(path)
    page.wait_for_selector(f"#{place} img")


def choose_model(page: Any, name: str) -> None:
    page.locator("#model input").click()
    page.get_by_role("option", name=name).click()


def test_two_styles_are_mixed_shown_and_downloaded(visit: Callable[..., Any], server: Server, tmp_path: Path) -> None:
    photo, *_ = draw_samples(tmp_path, "A")
    first, second, *_ = draw_samples(tmp_path, "B")
    page = visit(viewport={"width": 1280, "height": 900})
    choose_model(page, "AdaIN: ")
    put(page, "picture", photo)
    put(page, "style-1", first)
    put(page, "style-2", second)
    page.wait_for_selector("#style-3")  # there is room for one more
    weight = page.locator("#weight-1 input[type=number]")
    weight.fill("0.25")
    weight.press("Tab")
    page.click("#translate")
    page.wait_for_function("document.querySelectorAll('#slider img').length >= 2")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "scene-1-adain-first.png"
    runs = server.folder.parent / "runs"
    translator = gan_style.load(runs / "adain" / "first" / "checkpoints" / "best.ckpt")
    wanted = np.asarray(translator.translate(photo, style=[(first, 0.25), (second, 1.0)], size=512))
    assert np.abs(read_image(Path(download.value.path())).astype(int) - wanted).max() <= 1
    shown = page.locator("#slider img").evaluate_all("pictures => pictures.map(picture => picture.naturalWidth)")
    assert shown[:2] == [384, 384]


def test_a_painted_region_is_translated_and_the_rest_stays(
    visit: Callable[..., Any], server: Server, tmp_path: Path
) -> None:
    photo, *_ = draw_samples(tmp_path, "A")
    style, *_ = draw_samples(tmp_path, "B")
    page = visit(viewport={"width": 1280, "height": 900})
    choose_model(page, "AdaIN: ")
    put(page, "picture", photo)
    put(page, "style-1", style)
    page.get_by_text("Paint where a style holds").click()
    canvas = page.locator("#painting canvas").first
    canvas.wait_for()
    page.wait_for_timeout(3000)  # its picture comes through the canvas, not through an element
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 40, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=10)
    page.mouse.up()
    page.wait_for_timeout(1000)
    page.click("#translate")
    page.wait_for_selector("#download")
    with page.expect_download() as download:
        page.click("#download")
    made, content = read_image(Path(download.value.path())).astype(int), read_image(photo).astype(int)
    changed = np.abs(made - content).max(axis=2) > 2
    assert changed[192 - 4 : 192 + 4, 192 - 10 : 192 + 10].all()  # under the stroke, in the middle
    assert not changed[:40].any()
    assert not changed[-40:].any()


def test_methods_side_by_side_directions_and_a_bad_file(visit: Callable[..., Any], tmp_path: Path) -> None:
    bad = tmp_path / "holiday.png"
    bad.write_text("no picture")
    page = visit(viewport={"width": 1280, "height": 900})
    page.locator("#picture input[type=file]").set_input_files(bad)
    page.get_by_text("holiday.png is a text file and not a picture: replace or remove it.").wait_for()
    choose_model(page, "AdaIN: ")
    page.locator("#samples button").first.click()
    page.wait_for_selector("#picture img")
    page.locator("#style-samples button").first.click()
    page.wait_for_selector("#style-1 img")
    choose_model(page, "CycleGAN: ")
    page.wait_for_selector("#direction")
    page.wait_for_selector("#styles", state="hidden")
    page.get_by_role("tab", name="Compare").click()
    page.click("#compare-go")
    page.wait_for_function("document.querySelectorAll('#comparison img').length >= 3")
    captions = page.locator("#comparison .caption-label").all_inner_texts()
    assert [text.strip().split(":")[0] for text in sorted(captions)] == ["AdaIN", "CycleGAN", "input"]


def test_gatys_tells_its_steps_and_stops(visit: Callable[..., Any]) -> None:
    page = visit(viewport={"width": 1280, "height": 900})
    choose_model(page, "Gatys: ")
    page.wait_for_selector("#steps")
    page.click("#translate")
    page.get_by_text("choose a picture first: drop one, or take a sample").wait_for()
    page.locator("#samples button").first.click()
    page.wait_for_selector("#picture img")
    page.locator("#style-samples button").first.click()
    page.wait_for_selector("#style-1 img")
    page.click("#translate")
    page.get_by_text(re.compile(r"step \d+ of 200, .* left")).first.wait_for()
    page.wait_for_function("document.querySelectorAll('#slider img').length >= 2")  # it grows
    page.click("#stop")
    page.get_by_text("this is the picture of step").wait_for()
    page.wait_for_selector("#download")


def test_an_earlier_result_comes_back_with_its_settings(visit: Callable[..., Any]) -> None:
    page = visit(viewport={"width": 1280, "height": 900})
    page.wait_for_selector("#regions")
    page.locator("#samples button").first.click()
    page.wait_for_selector("#picture img")
    page.locator("#style-samples button").first.click()
    page.wait_for_selector("#style-1 img")
    page.locator("#alpha input[type=number]").fill("0.5")
    page.locator("#alpha input[type=number]").press("Tab")
    page.click("#translate")
    page.wait_for_selector("#history img")
    choose_model(page, "CycleGAN: ")
    page.wait_for_selector("#regions", state="hidden")  # regions are of styles
    page.locator("#alpha input[type=number]").fill("1")
    page.locator("#alpha input[type=number]").press("Tab")
    page.click("#translate")
    page.wait_for_function("document.querySelectorAll('#history img').length == 2")
    page.locator("#history button").nth(1).click()
    page.wait_for_selector("#regions")
    page.wait_for_selector("#style-1 img")
    assert page.locator("#model input").input_value().startswith("MicroAST: ")
    page.wait_for_function("document.querySelector('#alpha input[type=number]').value == '0.5'")


# What the network can do: an answer by another connection overtakes the events of the page's stream.
SLOW = """
const ask = window.fetch;
const wait = time => new Promise(done => setTimeout(done, time));
window.fetch = async (...words) => {
    const answer = await ask(...words), path = words[0].url ?? String(words[0]);
    if (path.includes("/queue/join")) await wait(ANSWER);
    if (!path.includes("/queue/data")) return answer;
    await wait(STREAM);
    const later = new TransformStream({
        async transform(chunk, to) { await wait(STREAM); to.enqueue(chunk); }, flush: () => wait(STREAM)
    });
    return new Response(answer.body.pipeThrough(later), answer);
};
"""


# milliseconds by which each part of the stream of events comes late, and the answers to new ones
@pytest.mark.parametrize(("stream", "answer"), [(80, 0), (300, 0), (0, 300)])
def test_what_begins_while_another_event_ends_is_answered(
    visit: Callable[..., Any], tmp_path: Path, stream: int, answer: int
) -> None:
    photo, *_ = draw_samples(tmp_path, "A")
    first, second, *_ = draw_samples(tmp_path, "B")
    page = visit(viewport={"width": 1280, "height": 900})
    page.add_init_script(SLOW.replace("STREAM", str(stream)).replace("ANSWER", str(answer)))
    for moment in range(0, 200, 40):  # milliseconds; before, while and after an upload's own event ends
        page.reload()
        page.wait_for_selector("#styles")
        choose_model(page, "AdaIN: ")
        put(page, "picture", photo)
        put(page, "style-1", first)
        page.wait_for_timeout(1000)
        page.locator("#style-2 input[type=file]").set_input_files(second)
        page.wait_for_timeout(moment)
        page.click("#translate")
        page.wait_for_function("document.querySelectorAll('#slider img').length >= 2")


def test_the_page_fits_a_phone_and_shows_the_runs(visit: Callable[..., Any]) -> None:
    page = visit(viewport={"width": 400, "height": 800}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    box = page.locator("#translate").bounding_box()
    assert box["y"] + box["height"] <= 800  # within reach, wherever the page is
    page.get_by_role("tab", name="Runs").click()
    page.wait_for_selector(".cards article img")
    titles = page.locator(".cards article > h3").all_inner_texts()
    assert sorted(titles) == ["adain/first", "cyclegan/first"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.get_by_text("Scores").first.click()
    page.wait_for_selector(".cards table")
