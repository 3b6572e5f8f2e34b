"""Escaping of foreign texts in Markdown."""

from __future__ import annotations

from gan_style.core.paths import printable

SPECIAL = {c: f"\\{c}" for c in "\\|`[]*"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def in_markdown(text: object) -> str:
    """Escape a text to one line without tables, links, code or HTML, also for a cell of a table."""
    return "".join(SPECIAL.get(c, c) for c in printable(str(text)))
