"""Texts from elsewhere in Markdown, where they are to be text."""

from __future__ import annotations

from gan_style.core.paths import printable

SPECIAL = {c: f"\\{c}" for c in "\\|`[]*"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def in_markdown(text: object) -> str:
    """One line without tables, links, code or HTML of its own, also in a cell of a table."""
    return "".join(SPECIAL.get(c, c) for c in printable(str(text)))
