"""The site: its pages hold every key, its links lead somewhere, and nothing comes from another machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("zensical", reason="the site's tools are not installed")
pytest.importorskip("griffe", reason="the site's tools are not installed")

from pages import build, keys
from pages.build import ROOT, broken, outside, page, places

CONFIGS = [path for path in sorted((ROOT / "conf").rglob("*.yaml")) if "hydra" not in path.parts]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.build(tmp_path_factory.mktemp("pages"))


def leaves(node: Any, path: str = "") -> Iterator[str]:
    """The keys of a config that a command may set."""
    for key, value in node.items():
        if key in ("_target_", "_partial_", "defaults", "hydra") or str(key).startswith("override "):
            continue
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.relative_to(ROOT / "conf").as_posix())
def test_every_key_of_every_config_is_listed(config: Path) -> None:
    text = config.read_text()
    listed = {row.key for row in keys.rows_of(text)}
    written = {key for key in leaves(yaml.safe_load(text) or {}) if not any(key.startswith(f"{k}.") for k in listed)}
    assert written <= listed


def test_a_key_is_said_by_its_comment_its_signature_and_its_docstring() -> None:
    text = (
        "# A generator.\n_target_: gan_style.networks.resnet.ResnetGenerator\n_partial_: true\n"
        "filters: 32 # fewer | here\nhead: tanh\n"
    )
    rows = {row.key: row for row in keys.rows_of(text)}
    assert rows["filters"] == keys.Row("filters", "32", "whole number ≥ 1", "fewer | here")
    assert rows["head"].kind == "`tanh`, `residual`, `band`"
    assert "begin at the input" in rows["head"].meaning
    assert rows["blocks"].default == "9"  # which the file leaves to the signature
    assert "| `model.generator.filters` | `32` | whole number ≥ 1 | fewer \\| here |" in keys.section(
        text, "small", "model.generator."
    )


def test_every_method_has_an_equation_and_a_picture() -> None:
    text = (ROOT / "docs" / "methods.md").read_text()
    sections = text.split("\n### ")[1:]
    for path in (ROOT / "conf" / "model").glob("*.yaml"):
        if path.stem == "ugatit":
            continue  # whose picture is that of ugatit_light
        shown = [part for part in sections if f"gallery/{path.stem}.jpg" in part]
        assert len(shown) == 1, path.stem
        assert "```math" in shown[0], path.stem
        assert (ROOT / "docs" / "gallery" / f"{path.stem}.jpg").is_file()


def test_every_document_is_a_page_of_the_navigation() -> None:
    navigation = re.findall(r"[\w/]+\.md", (build.HERE / "mkdocs.yml").read_text().partition("nav:")[2])
    pages = [place for place in places().values() if place.endswith(".md") and not place.startswith("notes/")]
    assert sorted(navigation) == sorted(pages)


def test_a_document_becomes_a_page() -> None:
    text = (
        "A [note](../experiments/2026-11-29-bench/README.md#x), [keys](../SECURITY.md).\n\n"
        "<!-- not run: REASON -->\n\n    make demo        # all\n    make\n\n"
        "<!-- not code: a folder -->\n\n    data/\n\n"
        "$`a`$ is\n\n```math\n\\lambda\n```\n\n```python\n[no](link.md)\n```\n"
    )
    made = page(text, "docs/some.md", {**places(), "docs/some.md": "some.md"})
    assert "[note](notes/2026-11-29-bench/README.md#x), [keys](security.md)" in made
    assert "```sh\nmake demo  # all\nmake\n```" in made
    assert "```text\ndata/\n```" in made
    assert "<!--" not in made
    assert made.count("<math") == 2
    assert "[no](link.md)" in made


def test_the_site_is_built_and_whole(site: Path) -> None:
    assert [*broken(site)] == []
    assert [*outside(site)] == []
    assert len([*site.rglob("*.html")]) > 50
    assert "translate_all" in (site / "api.html").read_text()
    assert "lambda_cycle" in (site / "search.json").read_text()
    equations = re.findall(r"<math.*?</math>", (site / "methods.html").read_text(), re.DOTALL)
    assert len(equations) > 25
    assert not [one for one in equations if "\\" in one or "&amp;" in one]  # TeX that was not understood


def test_what_is_wrong_with_a_site_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">x</a><a href="b.html#gone">x</a><a href="c.html">x</a><img src="d.png">'
        '<script src="https://192.0.2.1/x.js"></script><link rel="stylesheet" href="//192.0.2.1/x.css">'
        '<a href="https://192.0.2.1/">a link is no request</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there">')
    (tmp_path / "s.css").write_text("@import 'https://192.0.2.1/font.css'")
    assert [*broken(tmp_path)] == [
        "a.html: b.html#gone has no such place",
        "a.html: c.html is not there",
        "a.html: d.png is not there",
    ]
    assert len([*outside(tmp_path)]) == 3
