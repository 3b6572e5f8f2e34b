"""A report in Chromium with the network off: no error, no request, no page wider than the window."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gan_style.report import write_report
from tests.test_report import SCORES
from tests.test_report_comparison import make

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.quiet, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


def look(path: Path, width: int) -> dict[str, Any]:
    """What a browser says of a page."""
    sync_api = pytest.importorskip("playwright.sync_api")
    messages: list[str] = []
    requests: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, is_mobile=width < 500)
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        found = {
            "messages": messages,
            "requests": [url for url in requests if not url.startswith("data:")],
            "width": page.evaluate("document.documentElement.scrollWidth"),
            "pictures": page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)"),
            "sliders": page.locator("input[type=range]").count(),
        }
        if found["sliders"]:
            page.locator("input[type=range]").fill("0")
            found["label"] = page.locator("#grid-label").inner_text()
        browser.close()
    return found


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("several", [False, True])
def test_a_report_opens_without_a_network(tmp_path: Path, width: int, several: bool) -> None:
    for name in ("a", "with_a_rather_long_name_that_does_not_break", "c", "d", "e", "f"):
        folder = make(tmp_path / name, SCORES)
        shutil.copy(folder / "images/iteration-000500.png", folder / "images/iteration-000250.png")
    path = write_report(tmp_path if several else tmp_path / "a")
    found = look(path, width)
    assert found["messages"] == []
    assert found["requests"] == [path.as_uri()]
    assert found["width"] == width
    assert found["pictures"]
    assert found["sliders"] == (0 if several else 1)
    assert several or found["label"] == "Iteration 250"


def test_the_look_sees_an_error_and_a_request(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<img src="http://192.0.2.1/x.png"><p style="width:2000px">wide</p>')
    found = look(page, 1280)
    assert found["messages"]
    assert "http://192.0.2.1/x.png" in found["requests"]
    assert found["width"] > 1280
    assert not found["pictures"]
