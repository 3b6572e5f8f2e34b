"""Pieces of HTML that several parts of a report are made of."""

import html
from collections.abc import Sequence

from gan_style.core.paths import printable

NONE = '<span class="none">\N{EN DASH}</span>'


def escape(text: str) -> str:
    """Return text for a page, without markup or characters that control a terminal, an editor or a reader's eye.

    Lines stay lines: of one name the page makes one, but a configuration has several.
    """
    return html.escape("\n".join(map(printable, text.split("\n"))))


def definition_list(rows: Sequence[tuple[str, str]], kind: str = "facts") -> str:
    """Return pairs of name and text as an HTML definition list."""
    items = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in rows)
    return f'<dl class="{kind}">{items}</dl>'


def table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], kind: str) -> str:
    """Return a table that scrolls inside itself where the page is narrow.

    Args:
        head: Titles as text, that of the rows' names first; empty for none.
        rows: Name and cells of each line, as HTML.
        kind: Its class in the style sheet.
    """
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    lines = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for name, cells in rows
    )
    top = f"<thead><tr>{titles}</tr></thead>" if head else ""
    return f'<div class="wide"><table class="{kind}">{top}<tbody>{lines}</tbody></table></div>'


def upper(label: str) -> str:
    """Return a text with a capital first letter, the others as they are."""
    return label[:1].upper() + label[1:]
