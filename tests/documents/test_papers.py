"""The papers of the methods: each has one, a link to it and a BibTeX entry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
PAGE = (ROOT / "docs" / "papers.md").read_text()
ROW = re.compile(r"^\| (`.+?`) \| \[([^\]]+) (\d{4})\]\((https://\S+)\) \| `(\w+)` \|$", re.MULTILINE)
ENTRY = re.compile(r"^@inproceedings\{(\w+),\n((?:  \w+ += \{.*\},\n)+)\}$", re.MULTILINE)
ENTRIES = {key: dict(re.findall(r"(\w+) += \{(.*)\},", fields)) for key, fields in ENTRY.findall(PAGE)}


@pytest.mark.parametrize("model", MODELS)
def test_every_method_has_a_paper_and_its_entry(model: str) -> None:
    (row,) = [row for row in ROW.findall(PAGE) if f"`{model}`" in row[0].split(", ")]
    _, authors, year, link, key = row
    entry = ENTRIES[key]
    assert set(entry) == {"title", "author", "booktitle", "year", "url"}
    assert (entry["year"], entry["url"]) == (year, link)
    assert entry["author"].startswith(authors.split()[0] + ",")
    assert (" et al." in authors) == (entry["author"].count(" and ") > 1)
    beside = (ROOT / "docs" / "models.md").read_text().partition("## What each is for")[2]
    (row,) = re.findall(rf"^\| `{model}` \|.*$", beside.partition("\n###")[0], re.MULTILINE)
    assert f"[{authors} {year}]({link})" in row


def test_every_entry_is_a_method_s_and_whole() -> None:
    assert sorted(ENTRIES) == sorted(key for *_, key in ROW.findall(PAGE))
    assert PAGE.count("@") == len(ENTRIES) > 10
    for entry in ENTRIES.values():
        assert all(field.count("{") == field.count("}") for field in entry.values())
