"""Results side by side as SVG that needs nothing from outside: a panel per score, a line per result."""

from __future__ import annotations

from collections.abc import Mapping

from gan_style.evaluation.distances import Result
from gan_style.evaluation.result_table import BETTER, Row, directions, rows
from gan_style.report.svg import Scale, document, element, text, title

COLUMNS = 2
WIDTH, LABELS, MARGIN = 520, 170, 16  # of a panel
HEAD, LINE, FOOT = 30, 22, 26
LETTERS = 26  # of a label
FLOOR, INPUT, VALUE = "#1b7837", "#b2560d", "#005ab5"
DASHES = {"stroke_width": "1.5", "stroke_dasharray": "5 4"}


def plot(results: Mapping[str, Result]) -> str:
    """Draw values with their intervals, the floor and the input's own score as vertical lines, for every score."""
    height = HEAD + LINE * len(results) + FOOT
    parts, position = [_legend()], 0
    for direction in directions(results):
        for row in rows(results, direction):
            x, y = (position % COLUMNS) * (WIDTH + MARGIN), HEAD + (position // COLUMNS) * (height + MARGIN)
            parts.append(element("g", _panel(direction, row, list(results)), transform=f"translate({x} {y})"))
            position += 1
        position += -position % COLUMNS  # each direction begins in a line of its own
    whole = COLUMNS * WIDTH + (COLUMNS - 1) * MARGIN
    tall = HEAD + position // COLUMNS * (height + MARGIN)
    return document(whole, tall, f"Scores of {', '.join(results)}", "".join(parts))


def _panel(direction: str, row: Row, names: list[str]) -> str:
    ends = [end for end in (row.floor, row.ceiling) if end is not None]
    values = [cell[key] for cell in row.cells if cell for key in ("value", "low", "high")] + ends
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    at = Scale(low - margin, high + margin, LABELS, WIDTH - MARGIN)
    bottom = HEAD + LINE * len(names)
    better = f"{BETTER[row.better][0]} is better" if row.better else ""
    parts = [text(LABELS, 18, f"{direction} {row.score}", "b"), text(WIDTH - MARGIN, 18, better, "s e")]
    for tick in at.ticks(4):
        parts.append(element("path", d=f"M{at(tick):.1f} {HEAD}V{bottom}", stroke="#e4e4e4"))
        parts.append(text(at(tick), bottom + 16, f"{tick:.6g}", "s m"))
    for value, colour in ((row.floor, FLOOR), (row.ceiling, INPUT)):
        if value is not None:
            parts.append(element("path", d=f"M{at(value):.1f} {HEAD}V{bottom}", stroke=colour, **DASHES))
    for i, (name, cell) in enumerate(zip(names, row.cells, strict=True)):
        y = HEAD + LINE * (i + 0.5)
        label = name if len(name) <= LETTERS else f"…{name[1 - LETTERS :]}"
        parts.append(text(LABELS - 8, y + 4, label, "b e" if i in row.best() else "e"))
        if cell:
            said = title(f"{name}: {cell['value']:.4g} ({cell['low']:.4g} to {cell['high']:.4g})")
            span = element("path", d=f"M{at(cell['low']):.1f} {y:.1f}H{at(cell['high']):.1f}", stroke_width=2)
            dot = element("circle", cx=at(cell["value"]), cy=y, r=4)
            parts.append(element("g", said + span + dot, stroke=VALUE, fill=VALUE))
    return "".join(parts)


def _legend() -> str:
    parts = [
        element("circle", cx=4, cy=-4, r=4, fill=VALUE),
        text(14, 0, "value and 95% interval"),
        element("path", d="M170-4h24", stroke=FLOOR, **DASHES),
        text(200, 0, "floor: real against real"),
        element("path", d="M350-4h24", stroke=INPUT, **DASHES),
        text(380, 0, "the input as it is"),
    ]
    return element("g", "".join(parts), transform=f"translate({LABELS} 18)")
