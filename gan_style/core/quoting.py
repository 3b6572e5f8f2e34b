"""Texts from elsewhere on one line: in a message, and escaped in Markdown."""

from __future__ import annotations

from gan_style.core.paths import printable

SPECIAL = {c: f"\\{c}" for c in "\\|`[]*"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}

MAX_CHARACTERS = 120  # of a value in a message


def one_line(text: object) -> str:
    """Join the lines of a text with spaces."""
    return " ".join(str(text).split())


def shortened(value: object, most: int = MAX_CHARACTERS) -> str:
    """Format a key or a value for a message: on one line, of bounded length."""
    text = printable(one_line(value))
    return text if len(text) <= most else f"{text[:most]}..."


def in_markdown(text: object) -> str:
    """Escape a text to one line without tables, links, code or HTML, also for a cell of a table."""
    return "".join(SPECIAL.get(c, c) for c in printable(str(text)))
