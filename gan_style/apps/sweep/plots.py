"""Parallel coordinates and importances as SVG that needs nothing from outside."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gan_style.apps.sweep.scores import Rule
from gan_style.apps.sweep.space import Choice, Dimension, Space
from gan_style.report.svg import document, element, text, title

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
    ordered = sorted(rows, key=lambda row: (row["state"] == "done", sign * row["score"]))  # the best on top
    for row in ordered:
        values = [*(row["params"][key] for key in space), row["score"]]
        points = " ".join(f"{_x(i)},{_y(axes[i][1](value)):.1f}" for i, value in enumerate(values))
        good = (row["score"] - low) / spread if sign > 0 else (high - row["score"]) / spread
        said = title(f"trial {row['trial']}, {row['state']}: {rule.monitor} {row['score']:.4g}")
        look = {
            "stroke": _colour(good),
            "stroke_dasharray": None if row["state"] == "done" else "3 4",
            "stroke_width": 4 if row is ordered[-1] else None,
        }
        parts.append(element("polyline", said, points=points, **look))
    lines = element("g", "".join(parts), fill="none", stroke_width="1.6", stroke_opacity=".85")
    width = 2 * _SIDE + _GAP * (len(axes) - 1)
    label = f"Trials over {', '.join(space)} and {rule.monitor}"
    return document(
        width, _TOP + _HEIGHT + 30, label, lines + "".join(_draw_axis(i, *axes[i][::2]) for i in range(len(axes)))
    )


def importance(shares: dict[str, float]) -> str:
    """Return a bar per key, longest first; "" where nothing is known."""
    bars = []
    for i, (key, share) in enumerate(sorted(shares.items(), key=lambda item: -item[1])):
        y = 34 + 26 * i
        bars.append(text(210, y + 13, key, "e"))
        bars.append(element("rect", x=220, y=y, width=max(1.0, 300 * share), height=18, fill=_colour(1)))
        bars.append(text(226 + 300 * share, y + 13, f"{share:.0%}"))
    head = text(10, 18, "Importance (PED-ANOVA)", "b")
    return document(580, 44 + 26 * len(shares), "Importance of each key", head + "".join(bars)) if bars else ""


def _axis(key: str, dimension: Dimension) -> tuple[str, Scale, list[tuple[float, str]]]:
    """Return name, mapping of a value to its position from 0 at the bottom to 1, and labels of an axis."""
    if isinstance(dimension, Choice):
        names = [str(value) for value in dimension.values]
        at = {name: (i + 0.5) / len(names) for i, name in enumerate(names)}
        return key, lambda value: at.get(str(value), 0.5), [(position, name) for name, position in at.items()]
    low, high = dimension.low, dimension.high
    change: Callable[[float], float] = math.log if dimension.log else float
    span = (change(high) - change(low)) or 1.0
    middle = math.sqrt(low * high) if dimension.log else (low + high) / 2
    labels = [((change(v) - change(low)) / span, f"{v:.4g}") for v in sorted({low, middle, high})]
    return key, lambda value: (change(value) - change(low)) / span, labels


def _draw_axis(index: int, name: str, labels: list[tuple[float, str]]) -> str:
    x = _x(index)
    line = element("path", d=f"M{x} {_TOP}V{_TOP + _HEIGHT}", stroke="#999")
    return text(x, 20, name, "b m") + line + "".join(text(x + 6, _y(at) + 4, label, "t") for at, label in labels)


def _x(index: int) -> int:
    return _SIDE + _GAP * index


def _y(place: float) -> float:
    return _TOP + _HEIGHT * (1 - place)


def _colour(good: float) -> str:
    """Mix orange, for 0, and blue, for 1: told apart by every kind of colour vision."""
    poor, best = (230, 159, 0), (0, 90, 181)
    return "#" + "".join(f"{round(a + (b - a) * good):02x}" for a, b in zip(poor, best, strict=True))
