"""Line charts as inline SVG; colours come from the style sheet, so that dark mode needs no second chart."""

import math

from gan_style.report.curves import Chart, Line, Points
from gan_style.report.markup import escape
from gan_style.report.names import compact
from gan_style.report.svg import Scale, element, text

WIDTH, HEIGHT = 460, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 10, 8, 24
_WIDE, _HIGH = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM  # of the frame
_COLOURS = 6
_DASHES = ("7 3", "2 3", "9 3 2 3", "1 4", "12 4")
_ROBUST_FROM = 200


def draw(chart: Chart) -> str:
    """Return a chart as an HTML figure: title, legend, curves and notes."""
    title = f'<h3 class="chart-title">{escape(chart.title)}</h3>'
    if not chart.lines:
        empty = _notes([*chart.notes, "No finite value was logged."])
        return f'<figure class="chart">{title}{empty}</figure>'
    x_at, y_at = Scale(*_x_range(chart), 0, _WIDE), Scale(*_y_range(chart), _HIGH, 0)
    notes = list(chart.notes)
    notes += _outside(chart, y_at)
    if _mark_shown(chart, x_at):
        notes.append(f"Vertical line: the scored checkpoint, iteration {chart.mark:,.0f}.")
    label = escape(f"{chart.title}: {', '.join(line.label for line in chart.lines)}")
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{_axes(x_at, y_at)}{_plot(chart, x_at, y_at)}</svg>"
    )
    return f'<figure class="chart">{title}{_legend(chart)}{svg}{_notes(notes)}</figure>'


def _x_range(chart: Chart) -> tuple[float, float]:
    values = [x for line in chart.lines for x, _ in line.points]
    low, high = min(values), max(values)
    if low == high:
        return low - 1, high + 1
    return (0.0 if 0 <= low < 0.2 * high else low), high


def _y_range(chart: Chart) -> tuple[float, float]:
    values = [level.value for level in chart.levels]
    for line in chart.lines:
        inner = sorted(y for _, y in (line.raw or line.points))
        # A few spikes would flatten all the rest.
        skip = len(inner) // 100 if line.raw and len(inner) >= _ROBUST_FROM else 0
        values += inner[skip : len(inner) - skip]
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(low) * 0.1 or 1.0
        return low - margin, high + margin
    margin = (high - low) * 0.06
    starts_at_zero = 0 <= low < 0.4 * high
    return (0.0 if starts_at_zero else low - margin), high + margin


def _outside(chart: Chart, y_at: Scale) -> list[str]:
    low, high = y_at.low, y_at.high
    values = [y for line in chart.lines for _, y in line.raw]
    sides = [f"above {compact(high)}"] if max(values, default=high) > high else []
    sides += [f"below {compact(low)}"] if min(values, default=low) < low else []
    return [f"Values {' and '.join(sides)} leave the frame."] if sides else []


def _mark_shown(chart: Chart, x_at: Scale) -> bool:
    # At the right end the line would only look like a frame.
    return chart.mark is not None and x_at.low <= chart.mark < x_at.high


def _tick_text(value: float, step: float) -> str:
    if abs(value) < step * 1e-6:
        return "0"
    if step < 1e-3 or abs(value) >= 1e9:
        return compact(value)
    if abs(value) >= 1e4 and step >= 100:
        return _thousands(value)
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def _axes(x_at: Scale, y_at: Scale) -> str:
    parts = []
    ticks = y_at.ticks(4)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(ticks[0]) or 1.0
    for tick in ticks:
        y = _TOP + y_at(tick)
        parts.append(element("path", class_="grid", d=f"M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"))
        parts.append(text(_LEFT - 6, y + 4, _tick_text(tick, step), "y"))
    for tick in x_at.ticks(4):
        x = _LEFT + x_at(tick)
        # A label centred on the frame's right end would be cut off.
        cut_off = x > WIDTH - _RIGHT - 16
        parts.append(text(float(WIDTH - 2) if cut_off else x, HEIGHT - 7, _thousands(tick), "y" if cut_off else "x"))
    parts.append(element("path", class_="axis", d=f"M{_LEFT} {HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}"))
    return "".join(parts)


def _thousands(value: float) -> str:
    """Return a round number as an axis label: 500, 3,000, 200k, 1.5M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _plot(chart: Chart, x_at: Scale, y_at: Scale) -> str:
    def path(points: Points) -> str:
        return "M" + "L".join(f"{x_at(x):.1f} {y_at(y):.1f}" for x, y in points)

    parts = []
    if chart.mark is not None and _mark_shown(chart, x_at):
        parts.append(element("path", class_="mark", d=f"M{x_at(chart.mark):.1f} 0V{_HIGH}"))
    for level in chart.levels:
        kind, height = f"level {_colour(level.colour)}", y_at(level.value)
        parts.append(element("path", class_=kind, stroke_dasharray=_dash(level.style), d=f"M0 {height:.1f}H{_WIDE}"))
    parts += [
        element("path", class_=f"raw {_colour(line.colour)}", d=path(line.raw)) for line in chart.lines if line.raw
    ]
    for line in chart.lines:
        kind, dashes = f"line {_colour(line.colour)}", _over(chart, line)
        parts.append(element("path", class_=kind, stroke_dasharray=dashes, d=path(line.points)))
        for x, y in line.points if line.dots else ():
            parts.append(element("circle", class_=_colour(line.colour), cx=x_at(x), cy=y_at(y), r="2.4"))
    # A nested svg cuts off what leaves the frame, without the ids that a clipPath needs.
    overflow = "hidden" if any(line.raw for line in chart.lines) else "visible"
    return element("svg", "".join(parts), x=_LEFT, y=_TOP, width=_WIDE, height=_HIGH, overflow=overflow)


def _over(chart: Chart, line: Line) -> str | None:
    """Return the dashes of a curve that lies on an earlier one, and of every curve once the colours are used up."""
    before = chart.lines[: chart.lines.index(line)]
    hidden = any(other.points == line.points for other in before)
    return "5 5" if hidden or line.colour >= _COLOURS else None


def _colour(number: int) -> str:
    return f"c{number % _COLOURS}"


def _dash(style: int) -> str:
    return _DASHES[style % len(_DASHES)]


def _legend(chart: Chart) -> str:
    items: list[tuple[str, float, str, str | None]] = []
    for line in chart.lines:
        items.append((line.label, line.last, f"line {_colour(line.colour)}", _over(chart, line)))
    for level in chart.levels:
        items.append((level.label, level.value, f"level {_colour(level.colour)}", _dash(level.style)))
    entries = ""
    for label, value, kind, dashes in items:
        stroke = element("path", class_=kind, stroke_dasharray=dashes, d="M0 4H24")
        key = element("svg", stroke, class_="key", viewBox="0 0 24 8", aria_hidden="true")
        entries += f"<li>{key}{escape(label)} <b>{compact(value)}</b></li>"
    return f'<ul class="legend">{entries}</ul>'


def _notes(notes: list[str]) -> str:
    return f'<figcaption class="note">{escape(" ".join(notes))}</figcaption>' if notes else ""
