"""Every code has its place and its picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from gan_style.training.doctor.codes import CODES

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_has_one_section_for_each_code() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(CODES)


@pytest.mark.parametrize("code", CODES)
def test_each_section_shows_a_small_picture_and_says_what_to_change(code: str) -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    section = text.split(f"\n## {code}\n")[1].split("\n## ")[0]
    for part in (f"![{code}](troubleshooting/{code}.jpg)", "**Why.**", "**Change.**", "**How it is seen.**"):
        assert part in section
    image = DOCS / "troubleshooting" / f"{code}.jpg"
    assert image.stat().st_size < 15_000
    with Image.open(image) as image:
        assert image.width >= 300
    assert f"| [{code}](#{code}) | {CODES[code].severity} |" in text
