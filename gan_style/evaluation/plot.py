"""Results side by side as SVG that needs nothing from outside: a panel per score, a line per result."""

from __future__ import annotations

from collections.abc import Mapping

from gan_style.evaluation.distances import Result
from gan_style.evaluation.table import BETTER, Row, directions, rows
from gan_style.report.chart import nice_ticks
from gan_style.report.markup import escape

COLUMNS = 2
WIDTH, LABELS, MARGIN = 520, 170, 16  # of a panel
HEAD, LINE, FOOT = 30, 22, 26
LETTERS = 26  # of a label
FLOOR, INPUT, VALUE = "#1b7837", "#b2560d", "#005ab5"
STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#333}.b{font-weight:600}.s{font-size:11px;fill:#666}"
    ".e{text-anchor:end}.m{text-anchor:middle}</style>"
)


def plot(results: Mapping[str, Result]) -> str:
    """Values with their intervals, the floor and the input's own score as vertical lines, for every score."""
    height = HEAD + LINE * len(results) + FOOT
    parts, place = [_legend()], 0
    for direction in directions(results):
        for row in rows(results, direction):
            x, y = (place % COLUMNS) * (WIDTH + MARGIN), HEAD + (place // COLUMNS) * (height + MARGIN)
            parts.append(f'<g transform="translate({x} {y})">{_panel(direction, row, list(results))}</g>')
            place += 1
        place += -place % COLUMNS  # each direction begins in a line of its own
    whole = COLUMNS * WIDTH + (COLUMNS - 1) * MARGIN
    tall = HEAD + place // COLUMNS * (height + MARGIN)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {tall}" width="{whole}" height="{tall}" '
        f'role="img" aria-label="Scores of {escape(", ".join(results))}">{STYLE}'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _panel(direction: str, row: Row, names: list[str]) -> str:
    ends = [end for end in (row.floor, row.ceiling) if end is not None]
    values = [cell[key] for cell in row.cells if cell for key in ("value", "low", "high")] + ends
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low, high = low - margin, high + margin
    bottom = HEAD + LINE * len(names)

    def at(value: float) -> float:
        return LABELS + (value - low) / (high - low) * (WIDTH - LABELS - MARGIN)

    better = f"{BETTER[row.better][0]} is better" if row.better else ""
    parts = [f'<text x="{LABELS}" y="18" class="b">{escape(f"{direction} {row.score}")}</text>']
    parts.append(f'<text x="{WIDTH - MARGIN}" y="18" class="s e">{better}</text>')
    for tick in nice_ticks(low, high, 4):
        parts.append(f'<path d="M{at(tick):.1f} {HEAD}V{bottom}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{at(tick):.1f}" y="{bottom + 16}" class="s m">{tick:.6g}</text>')
    for value, colour in ((row.floor, FLOOR), (row.ceiling, INPUT)):
        if value is not None:
            parts.append(
                f'<path d="M{at(value):.1f} {HEAD}V{bottom}" stroke="{colour}" stroke-width="1.5" '
                'stroke-dasharray="5 4"/>'
            )
    for i, (name, cell) in enumerate(zip(names, row.cells, strict=True)):
        y = HEAD + LINE * (i + 0.5)
        label = name if len(name) <= LETTERS else f"…{name[1 - LETTERS :]}"
        weight = ' class="b e"' if i in row.best() else ' class="e"'
        parts.append(f'<text x="{LABELS - 8}" y="{y + 4:.1f}"{weight}>{escape(label)}</text>')
        if cell:
            title = f"{name}: {cell['value']:.4g} ({cell['low']:.4g} to {cell['high']:.4g})"
            span = f"M{at(cell['low']):.1f} {y:.1f}H{at(cell['high']):.1f}"
            parts.append(
                f'<g stroke="{VALUE}" fill="{VALUE}"><title>{escape(title)}</title>'
                f'<path d="{span}" stroke-width="2"/><circle cx="{at(cell["value"]):.1f}" cy="{y:.1f}" r="4"/></g>'
            )
    return "".join(parts)


def _legend() -> str:
    dash = 'stroke-width="1.5" stroke-dasharray="5 4"'
    return (
        f'<g transform="translate({LABELS} 18)"><circle cx="4" r="4" fill="{VALUE}" cy="-4"/>'
        f'<text x="14">value and 95% interval</text><path d="M170-4h24" stroke="{FLOOR}" {dash}/>'
        f'<text x="200">floor: real against real</text><path d="M350-4h24" stroke="{INPUT}" {dash}/>'
        f'<text x="380">the input as it is</text></g>'
    )
