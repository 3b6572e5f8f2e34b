"""Parallel coordinates and importances as SVG that needs nothing from outside."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gan_style.apps.sweep.scores import Rule
from gan_style.apps.sweep.space import Choice, Dimension, Space
from gan_style.report.markup import escape

_STYLE = "<style>text{font:12px system-ui,sans-serif;fill:#333}.b{font-weight:600}"
_STYLE += ".t{stroke:#fff;stroke-width:4px;paint-order:stroke}</style>"
_TOP, _HEIGHT, _GAP, _SIDE = 40, 220, 190, 70
Scale = Callable[[Any], float]


def parallel(rows: list[dict[str, Any]], space: Space, rule: Rule) -> str:
    """Draw a line per scored trial over an axis per key and one for the score, the best one thick.

    Returns: an SVG document, or "" where there is nothing to draw.
    """
    rows = [row for row in rows if row["score"] is not None and row["params"].keys() >= space.keys()]
    if not rows:
        return ""
    low, high = min(row["score"] for row in rows), max(row["score"] for row in rows)
    spread = (high - low) or 1.0
    axes: list[tuple[str, Scale, list[tuple[float, str]]]] = [_axis(key, space[key]) for key in space]
    ends = [(0.0, f"{low:.4g}")] + ([(1.0, f"{high:.4g}")] if high > low else [])
    axes.append((rule.monitor, lambda score: (score - low) / spread, ends))
    sign = 1 if rule.mode == "highest" else -1
    parts = []
    for row in sorted(rows, key=lambda row: (row["state"] == "done", sign * row["score"])):  # the best on top
        values = [*(row["params"][key] for key in space), row["score"]]
        points = " ".join(f"{_x(i)},{_y(axes[i][1](value)):.1f}" for i, value in enumerate(values))
        good = (row["score"] - low) / spread if sign > 0 else (high - row["score"]) / spread
        dashes = "" if row["state"] == "done" else ' stroke-dasharray="3 4"'
        title = escape(f"trial {row['trial']}, {row['state']}: {rule.monitor} {row['score']:.4g}")
        parts.append(f'<polyline points="{points}" stroke="{_colour(good)}"{dashes}><title>{title}</title></polyline>')
    parts[-1] = parts[-1].replace("<polyline", '<polyline stroke-width="4"')
    lines = f'<g fill="none" stroke-width="1.6" stroke-opacity=".85">{"".join(parts)}</g>'
    width = 2 * _SIDE + _GAP * (len(axes) - 1)
    label = f"Trials over {', '.join(space)} and {rule.monitor}"
    return _svg(
        width, _TOP + _HEIGHT + 30, label, lines + "".join(_draw_axis(i, *axes[i][::2]) for i in range(len(axes)))
    )


def importance(shares: dict[str, float]) -> str:
    """Return a bar per key, longest first; "" where nothing is known."""
    bars = []
    for i, (key, share) in enumerate(sorted(shares.items(), key=lambda item: -item[1])):
        y = 34 + 26 * i
        bars.append(f'<text x="210" y="{y + 13}" text-anchor="end">{escape(key)}</text>')
        bars.append(f'<rect x="220" y="{y}" width="{max(1.0, 300 * share):.1f}" height="18" fill="{_colour(1)}"/>')
        bars.append(f'<text x="{226 + 300 * share:.1f}" y="{y + 13}">{share:.0%}</text>')
    title = '<text x="10" y="18" class="b">Importance (PED-ANOVA)</text>'
    return _svg(580, 44 + 26 * len(shares), "Importance of each key", title + "".join(bars)) if bars else ""


def _svg(width: int, height: int, label: str, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(label)}">{_STYLE}<rect width="100%" height="100%" fill="#fff"/>'
        f"{content}</svg>\n"
    )


def _axis(key: str, dimension: Dimension) -> tuple[str, Scale, list[tuple[float, str]]]:
    """Name, place of a value from 0 at the bottom to 1, and labels."""
    if isinstance(dimension, Choice):
        names = [str(value) for value in dimension.values]
        places = {name: (i + 0.5) / len(names) for i, name in enumerate(names)}
        return key, lambda value: places.get(str(value), 0.5), [(place, name) for name, place in places.items()]
    low, high = dimension.low, dimension.high
    change: Callable[[float], float] = math.log if dimension.log else float
    span = (change(high) - change(low)) or 1.0
    middle = math.sqrt(low * high) if dimension.log else (low + high) / 2
    labels = [((change(v) - change(low)) / span, f"{v:.4g}") for v in sorted({low, middle, high})]
    return key, lambda value: (change(value) - change(low)) / span, labels


def _draw_axis(index: int, name: str, labels: list[tuple[float, str]]) -> str:
    x = _x(index)
    line = f'<path d="M{x} {_TOP}V{_TOP + _HEIGHT}" stroke="#999"/>'
    title = f'<text x="{x}" y="20" text-anchor="middle" class="b">{escape(name)}</text>'
    ticks = "".join(f'<text class="t" x="{x + 6}" y="{_y(at) + 4:.1f}">{escape(text)}</text>' for at, text in labels)
    return title + line + ticks


def _x(index: int) -> int:
    return _SIDE + _GAP * index


def _y(place: float) -> float:
    return _TOP + _HEIGHT * (1 - place)


def _colour(good: float) -> str:
    """From orange, poor, to blue, good: told apart by every kind of colour vision."""
    poor, best = (230, 159, 0), (0, 90, 181)
    return "#" + "".join(f"{round(a + (b - a) * good):02x}" for a, b in zip(poor, best, strict=True))
