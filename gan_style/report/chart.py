"""Line charts as inline SVG; colours come from the style sheet, so that dark mode needs no second chart."""

import math

from gan_style.report.curves import Chart, Line, Points
from gan_style.report.markup import escape
from gan_style.report.names import compact

WIDTH, HEIGHT = 460, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 10, 8, 24
_COLOURS = 6
_DASHES = ("7 3", "2 3", "9 3 2 3", "1 4", "12 4")
_ROBUST_FROM = 200


def draw(chart: Chart) -> str:
    """Returns a chart as an HTML figure: title, legend, curves and notes."""
    title = f'<h3 class="chart-title">{escape(chart.title)}</h3>'
    if not chart.lines:
        empty = _notes([*chart.notes, "No finite value was logged."])
        return f'<figure class="chart">{title}{empty}</figure>'
    x_range, y_range = _x_range(chart), _y_range(chart)
    notes = list(chart.notes)
    notes += _outside(chart, y_range)
    if _mark_shown(chart, x_range):
        notes.append(f"Vertical line: the scored checkpoint, iteration {chart.mark:,.0f}.")
    label = escape(f"{chart.title}: {', '.join(line.label for line in chart.lines)}")
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{_axes(x_range, y_range)}{_plot(chart, x_range, y_range)}</svg>"
    )
    return f'<figure class="chart">{title}{_legend(chart)}{svg}{_notes(notes)}</figure>'


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns about ``count`` round numbers within a range."""
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    choices = [
        [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
        for step in (factor * power for factor in (1, 2, 5, 10))
    ]
    return min(choices, key=lambda ticks: abs(len(ticks) - count))


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


def _outside(chart: Chart, y_range: tuple[float, float]) -> list[str]:
    low, high = y_range
    values = [y for line in chart.lines for _, y in line.raw]
    sides = [f"above {compact(high)}"] if max(values, default=high) > high else []
    sides += [f"below {compact(low)}"] if min(values, default=low) < low else []
    return [f"Values {' and '.join(sides)} leave the frame."] if sides else []


def _mark_shown(chart: Chart, x_range: tuple[float, float]) -> bool:
    # At the right end the line would only look like a frame.
    return chart.mark is not None and x_range[0] <= chart.mark < x_range[1]


def _at(value: float, bounds: tuple[float, float], size: float) -> float:
    return (value - bounds[0]) / (bounds[1] - bounds[0]) * size


def _tick_text(value: float, step: float) -> str:
    if abs(value) < step * 1e-6:
        return "0"
    if step < 1e-3 or abs(value) >= 1e9:
        return compact(value)
    if abs(value) >= 1e4 and step >= 100:
        return _thousands(value)
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def _axes(x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    parts = []
    ticks = nice_ticks(*y_range, 4)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(ticks[0]) or 1.0
    for tick in ticks:
        y = _TOP + height - _at(tick, y_range, height)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="y">{_tick_text(tick, step)}</text>')
    ticks = nice_ticks(*x_range, 4)
    for tick in ticks:
        x = _LEFT + _at(tick, x_range, width)
        # A label centred on the frame's right end would be cut off.
        anchor = "y" if x > WIDTH - _RIGHT - 16 else "x"
        x = WIDTH - 2 if anchor == "y" else x
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 7}" class="{anchor}">{_thousands(tick)}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}"/>')
    return "".join(parts)


def _thousands(value: float) -> str:
    """Returns a round number as an axis label: 500, 3,000, 200k, 1.5M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _plot(chart: Chart, x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def path(points: Points) -> str:
        pairs = (f"{_at(x, x_range, width):.1f} {height - _at(y, y_range, height):.1f}" for x, y in points)
        return "M" + "L".join(pairs)

    parts = []
    if _mark_shown(chart, x_range) and chart.mark is not None:
        parts.append(f'<path class="mark" d="M{_at(chart.mark, x_range, width):.1f} 0V{height}"/>')
    for level in chart.levels:
        y = height - _at(level.value, y_range, height)
        parts.append(
            f'<path class="level {_colour(level.colour)}" stroke-dasharray="{_dash(level.style)}" '
            f'd="M0 {y:.1f}H{width}"/>'
        )
    parts += [f'<path class="raw {_colour(line.colour)}" d="{path(line.raw)}"/>' for line in chart.lines if line.raw]
    for line in chart.lines:
        parts.append(f'<path class="line {_colour(line.colour)}"{_over(chart, line)} d="{path(line.points)}"/>')
        parts += _dots(line, x_range, y_range) if line.dots else []
    # A nested svg cuts off what leaves the frame, without the ids that a clipPath needs.
    overflow = "hidden" if any(line.raw for line in chart.lines) else "visible"
    frame = f'x="{_LEFT}" y="{_TOP}" width="{width}" height="{height}" overflow="{overflow}"'
    return f"<svg {frame}>{''.join(parts)}</svg>"


def _dots(line: Line, x_range: tuple[float, float], y_range: tuple[float, float]) -> list[str]:
    width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    return [
        f'<circle class="{_colour(line.colour)}" cx="{_at(x, x_range, width):.1f}" '
        f'cy="{height - _at(y, y_range, height):.1f}" r="2.4"/>'
        for x, y in line.points
    ]


def _over(chart: Chart, line: Line) -> str:
    """Dashes a curve that lies on an earlier one, and every curve once the colours are used up."""
    before = chart.lines[: chart.lines.index(line)]
    hidden = any(other.points == line.points for other in before)
    return ' stroke-dasharray="5 5"' if hidden or line.colour >= _COLOURS else ""


def _colour(number: int) -> str:
    return f"c{number % _COLOURS}"


def _dash(style: int) -> str:
    return _DASHES[style % len(_DASHES)]


def _legend(chart: Chart) -> str:
    items = []
    for line in chart.lines:
        items.append((line.label, line.last, f'class="line {_colour(line.colour)}"{_over(chart, line)}'))
    for level in chart.levels:
        style = f'class="level {_colour(level.colour)}" stroke-dasharray="{_dash(level.style)}"'
        items.append((level.label, level.value, style))
    entries = "".join(
        f'<li><svg class="key" viewBox="0 0 24 8" aria-hidden="true"><path {style} d="M0 4H24"/></svg>'
        f"{escape(label)} <b>{compact(value)}</b></li>"
        for label, value, style in items
    )
    return f'<ul class="legend">{entries}</ul>'


def _notes(notes: list[str]) -> str:
    return f'<figcaption class="note">{escape(" ".join(notes))}</figcaption>' if notes else ""
