"""From the columns of a metrics file to the charts of a report."""

from dataclasses import dataclass, field
from typing import Any

from gan_style.report.names import describe
from gan_style.report.read import Run, Series, as_mapping, as_number

MAX_POINTS = 400
_SMOOTH_FROM = 30
_TITLES = {
    "train/G": "Generator losses",
    "train/D": "Discriminator losses",
    "lr": "Learning rate",
    "time/images_per_s": "Speed, images per second",
}
_ORDER = ("val", "train", "lr", "time")

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One curve of a chart.

    Attributes:
        label: Its name in the legend.
        points: The curve itself, thinned.
        raw: The values before smoothing, thinned; empty where the curve is not smoothed.
        last: The newest value of the curve.
        dots: Whether the points are marked, as for a curve of few values.
    """

    label: str
    points: Points
    raw: Points
    last: float
    dots: bool = False


@dataclass(frozen=True)
class Level:
    """A horizontal line of a chart: a baseline.

    Attributes:
        label: Its name in the legend.
        value: Its height.
        line: Index of the curve whose colour it has.
        style: Index of its dash pattern.
    """

    label: str
    value: float
    line: int
    style: int


@dataclass
class Chart:
    """One chart: curves over iterations, and baselines.

    Attributes:
        title: What is shown.
        lines: The curves.
        levels: The baselines.
        mark: An iteration to mark: the one that was scored.
        notes: Short sentences under the chart.
    """

    title: str
    lines: list[Line]
    levels: list[Level] = field(default_factory=list)
    mark: float | None = None
    notes: list[str] = field(default_factory=list)


def make_charts(run: Run) -> list[Chart]:
    """Groups the columns of a run into charts: validation first, then losses, then the rest."""
    groups: dict[str, list[tuple[str, Series]]] = {}
    for series in run.metrics:
        key, label = _place(series.name)
        groups.setdefault(key, []).append((label, series))
    return [_chart(key, groups[key], run.scores) for key in sorted(groups, key=_rank)]


def smooth(values: list[float], span: float) -> list[float]:
    """Returns the exponential moving average, corrected for its start."""
    keep = 1.0 - 2.0 / (span + 1.0)
    total = weight = 0.0
    result = []
    for value in values:
        total = keep * total + value
        weight = keep * weight + 1.0
        result.append(total / weight)
    return result


def thin(x: list[float], y: list[float], limit: int = MAX_POINTS) -> Points:
    """Returns at most ``limit`` points evenly chosen, the first and the last among them."""
    count = len(x)
    if count <= limit:
        return list(zip(x, y, strict=True))
    picks = [index * (count - 1) // (limit - 1) for index in range(limit)]
    return [(x[pick], y[pick]) for pick in picks]


def thin_extremes(x: list[float], y: list[float], limit: int = MAX_POINTS) -> Points:
    """Returns at most ``limit`` points: the lowest and highest of equal stretches, so that spikes stay."""
    count, stretches = len(x), limit // 2
    if count <= limit:
        return list(zip(x, y, strict=True))
    picks: list[int] = []
    for index in range(stretches):
        stretch = range(index * count // stretches, (index + 1) * count // stretches)
        low = min(stretch, key=y.__getitem__)
        high = max(stretch, key=y.__getitem__)
        picks += sorted({low, high})
    return [(x[pick], y[pick]) for pick in picks]


def _place(name: str) -> tuple[str, str]:
    """Returns the chart a column belongs to, and its label there."""
    parts = name.split("/")
    if parts[0] == "val" and len(parts) > 2:
        return "val/" + "/".join(parts[2:]), parts[1]
    if parts[0] == "val" and len(parts) == 2:
        return name, "overall"
    if parts[0] == "train" and len(parts) == 2:
        return f"train/{parts[1].split('_')[0]}", parts[1]
    if parts[0] == "time" or len(parts) == 1:
        return name, parts[-1]
    return parts[0], "/".join(parts[1:])


def _rank(key: str) -> tuple[int, int, str]:
    top = key.split("/")[0]
    known = list(_TITLES)
    return (
        _ORDER.index(top) if top in _ORDER else len(_ORDER),
        known.index(key) if key in known else len(known),
        key,
    )


def _chart(key: str, members: list[tuple[str, Series]], scores: dict[str, Any]) -> Chart:
    is_noisy, is_validation = key.startswith(("train/", "time/")), key.startswith("val/")
    members = [(label, series) for label, series in members if series.x or series.lost]
    if is_validation:
        members.sort(key=lambda member: member[0])
    spans = [max(5, len(series.x) // 30) if is_noisy else 0 for _, series in members]
    chart = Chart(
        title=_title(key),
        lines=[_line(*member, span) for member, span in zip(members, spans, strict=True) if member[1].x],
    )
    if is_validation:
        _add_baselines(chart, key.removeprefix("val/"), scores)
    if any(line.raw for line in chart.lines):
        chart.notes.append(f"Thin: as logged; bold: moving average over about {max(spans):,} values.")
    for label, series in members:
        if series.lost:
            chart.notes.append(f"{label}: {series.lost:,} of the values are not finite and are left out.")
    return chart


def _title(key: str) -> str:
    if key.startswith("val/"):
        return f"Validation {describe(key.removeprefix('val/')).title}"
    return _TITLES.get(key, key)


def _line(label: str, series: Series, span: int) -> Line:
    if span and len(series.x) >= _SMOOTH_FROM:
        bold = smooth(series.y, span)
        return Line(label, thin(series.x, bold), thin_extremes(series.x, series.y), bold[-1])
    points = thin(series.x, series.y)
    return Line(label, points, [], series.y[-1], dots=len(points) <= _SMOOTH_FROM)


def _add_baselines(chart: Chart, score: str, scores: dict[str, Any]) -> None:
    directions = [line.label for line in chart.lines]
    for style, (name, entries) in enumerate(as_mapping(scores.get("baselines")).items()):
        for index, direction in enumerate(directions):
            entry = as_mapping(as_mapping(entries).get(direction)).get(score)
            value = as_number(as_mapping(entry).get("value", entry))
            if value is not None:
                chart.levels.append(Level(f"{name}, {direction}", value, index, style))
    chart.mark = as_number(as_mapping(scores.get("protocol")).get("iteration"))
