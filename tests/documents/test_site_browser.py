"""The site in Chromium, opened from the disk with the network off."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("zensical", reason="the site's tools are not installed")

from pages import build
from tests.test_report_browser import CHROMIUM

pytestmark = [pytest.mark.quiet, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.build(tmp_path_factory.mktemp("pages"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_pages_open_from_a_disk_and_a_search_finds_a_key(site: Path, width: int, scheme: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    messages: list[str] = []
    requests: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, offline=True, is_mobile=width < 500, color_scheme=scheme)
        window = context.new_page()
        window.on("console", lambda message: messages.append(message.text) if message.type == "error" else None)
        window.on("pageerror", lambda error: messages.append(str(error)))
        window.on("request", lambda request: requests.append(request.url))
        for path in sorted({*site.glob("*.html")} - {site / "404.html"}):  # which a server sends for any folder
            window.goto(path.as_uri())
            assert window.evaluate("document.documentElement.scrollWidth") <= width, path.name
            assert window.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)"), path.name
        background = window.evaluate("getComputedStyle(document.body).backgroundColor")
        window.goto((site / "index.html").as_uri())
        window.keyboard.press("Control+k")
        window.keyboard.type("model.lambda_cycle")
        window.get_by_role("listbox").get_by_text("Methods: keys").first.wait_for(timeout=10_000)
        browser.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
    light = sum(int(number) for number in background[4:-1].split(",")[:3]) > 600
    assert light == (scheme == "light")
