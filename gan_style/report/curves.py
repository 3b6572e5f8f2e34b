"""From the columns of a metrics file to the charts of a report."""

from dataclasses import dataclass, field, replace

from gan_style.report.names import describe
from gan_style.report.read import Run, Series, as_mapping, as_number
from gan_style.report.scores import make_rows

MAX_POINTS = 400
_SMOOTH_FROM = 30
_TITLES = {
    "train/G": "Generator losses",
    "train/D": "Discriminator losses",
    "lr": "Learning rate",
    "time/images_per_s": "Speed, images per second",
    "time/data_wait": "Share of the time that waited for data",
    "memory/peak_GB": "Peak of memory, GB",
    "doctor/spread": "Variation of outputs, as a share of that of inputs",
    "doctor/correlation": "Correlation of luminance, input and output",
    "doctor/moved": "Mean difference of input and output",
    "doctor/saturated": "Share of values at the limits",
    "doctor/grid": "Amplitude of a grid at the stride",
    "doctor/right": "Share of patches that discriminators tell right",
    "doctor/certainty": "Margin of the discriminators, of 1",
    "doctor/gradient": "Norm of the gradient",
    "doctor/slope": "Steepest derivative of each loss term",
}
_ORDER = ("val", "train", "lr", "doctor", "time", "memory")

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """Curve of a chart.

    Attributes:
        label: Its name in the legend.
        points: The curve itself, thinned.
        raw: The values before smoothing, thinned; empty where the curve is not smoothed.
        last: The newest value of the curve.
        colour: Its number among the colours.
        dots: Whether the points are marked, as for a curve of few values.
    """

    label: str
    points: Points
    raw: Points
    last: float
    colour: int
    dots: bool = False


@dataclass(frozen=True)
class Level:
    """A horizontal line of a chart: a baseline.

    Attributes:
        label: Its name in the legend.
        value: Its height.
        colour: That of the curve it belongs to.
        style: Index of its dash pattern.
    """

    label: str
    value: float
    colour: int
    style: int


@dataclass
class Chart:
    """Chart of curves over iterations, with baselines.

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
    """Group the columns of a run into charts: validation first, then losses, then the rest."""
    groups: dict[str, list[tuple[str, Series]]] = {}
    for series in _drawn(run):
        key, label = _place(series.name)
        groups.setdefault(key, []).append((label, series))
    charts = []
    for key in sorted(groups, key=_rank):
        is_validation = key.startswith("val/")
        members = sorted(groups[key], key=lambda member: member[0]) if is_validation else groups[key]
        chart = _chart(_title(key), [(*member, colour) for colour, member in enumerate(members)])
        if is_validation:
            _add_levels(chart, key.removeprefix("val/"), run)
        charts.append(chart)
    return charts


def overlay(runs: list[Run]) -> tuple[list[Chart], list[Chart]]:
    """Draw each column of several runs into one chart, a colour for each run.

    Returns:
        The charts of the validation, and the others.
    """
    columns: dict[str, list[tuple[str, Series, int]]] = {}
    for colour, run in enumerate(runs):
        for series in _drawn(run):
            columns.setdefault(series.name, []).append((run.folder, series, colour))
    charts: tuple[list[Chart], list[Chart]] = ([], [])
    for name in sorted(columns, key=lambda name: (_rank(_place(name)[0]), name)):
        key, label = _place(name)
        title = _title(key) if name in (key, *_TITLES) else f"{_title(key)}: {label}"
        chart = _chart(title, columns[name], raw=False)
        charts[not name.startswith("val/")].append(chart)
    return charts


def smooth(values: list[float], span: float) -> list[float]:
    """Return the exponential moving average, corrected for its start."""
    keep = 1.0 - 2.0 / (span + 1.0)
    total = weight = 0.0
    result = []
    for value in values:
        total = keep * total + value
        weight = keep * weight + 1.0
        result.append(total / weight)
    return result


def thin(x: list[float], y: list[float], limit: int = MAX_POINTS) -> Points:
    """Return at most ``limit`` points evenly chosen, the first and the last among them."""
    count = len(x)
    if count <= limit:
        return list(zip(x, y, strict=True))
    picks = [index * (count - 1) // (limit - 1) for index in range(limit)]
    return [(x[pick], y[pick]) for pick in picks]


def thin_extremes(x: list[float], y: list[float], limit: int = MAX_POINTS) -> Points:
    """Return at most ``limit`` points: the lowest and highest of equal stretches, so that spikes stay."""
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


def _drawn(run: Run) -> list[Series]:
    """Return the columns without the marks of findings, which have a table."""
    return [series for series in run.metrics if not series.name.startswith("doctor/found/")]


def _place(name: str) -> tuple[str, str]:
    """Return the chart a column belongs to, and its label there."""
    parts = name.split("/")
    if parts[0] == "val" and len(parts) > 2:
        return "val/" + "/".join(parts[2:]), parts[1]
    if parts[0] == "val" and len(parts) == 2:
        return name, "overall"
    if parts[0] == "train" and len(parts) == 2:
        return f"train/{parts[1].split('_')[0]}", parts[1]
    if parts[0] == "doctor" and len(parts) == 3:
        number, _, of = parts[2].partition("_")
        return f"doctor/{number}", f"{parts[1]} {of}".strip()
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


def _chart(title: str, members: list[tuple[str, Series, int]], raw: bool = True) -> Chart:
    """Make a chart of curves given by label, column and colour; without ``raw`` of smooth curves alone."""
    is_noisy = members[0][1].name.startswith(("train/", "time/"))
    spans = [max(5, len(series.x) // 30) if is_noisy else 0 for _, series, _ in members]
    lines = [_line(*member, span) for member, span in zip(members, spans, strict=True) if member[1].x]
    chart = Chart(title, lines if raw else [replace(line, raw=[]) for line in lines])
    if any(line.raw for line in lines):
        thin_lines = "Thin: as logged; bold: moving" if raw else "Moving"
        chart.notes.append(f"{thin_lines} average over about {max(spans):,} values.")
    for label, series, _ in members:
        if series.lost:
            chart.notes.append(f"{label}: {series.lost:,} of the values are not finite and are left out.")
    return chart


def _title(key: str) -> str:
    if key.startswith("val/"):
        return f"Validation {describe(key.removeprefix('val/')).title}"
    return _TITLES.get(key, key)


def _line(label: str, series: Series, colour: int, span: int) -> Line:
    if span and len(series.x) >= _SMOOTH_FROM:
        bold = smooth(series.y, span)
        return Line(label, thin(series.x, bold), thin_extremes(series.x, series.y), bold[-1], colour)
    points = thin(series.x, series.y)
    return Line(label, points, [], series.y[-1], colour, dots=len(points) <= _SMOOTH_FROM)


def _add_levels(chart: Chart, score: str, run: Run) -> None:
    """Add the values to beat: baselines and the floor."""
    colours = {line.label: line.colour for line in chart.lines}
    styles: dict[str, int] = {}
    for row in make_rows(run.scores):
        if row.name != score or row.direction not in colours:
            continue
        for name, value in (*((name, entry.value) for name, entry in row.baselines.items()), ("floor", row.own.floor)):
            if value is not None:
                style = styles.setdefault(name, len(styles))
                chart.levels.append(Level(f"{name}, {row.direction}", value, colours[row.direction], style))
    chart.levels.sort(key=lambda level: level.style)
    chart.mark = as_number(as_mapping(run.scores.get("protocol")).get("iteration"))
