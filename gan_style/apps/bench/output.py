"""A benchmark's table as JSON, Markdown, LaTeX and a page."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from gan_style.apps.bench.collect import Images, Row, Table, best_of
from gan_style.apps.bench.settings import PLANTED
from gan_style.core.paths import write_whole
from gan_style.core.quoting import in_markdown
from gan_style.data.scenes import TASKS
from gan_style.evaluation.result_table import escaped
from gan_style.metrics.table import NAMED
from gan_style.report.markup import escape
from gan_style.report.svg import element

# Columns in this order; what a task has no number for is left out of its table.
COLUMNS = (
    *("psnr", "ssim", "label_iou", "energy_distance", "texture", "detail", "fine_detail", "grid"),
    *("invented", "lost", "spread"),
)
MIN_SHOWN_SIDE = 96  # pixels of a picture on the page


def write(table: Table, folder: Path) -> list[Path]:
    """Write bench.json, bench.md, bench.tex and bench.html, each whole or not at all, and return their paths."""
    content = {
        "bench.json": json.dumps(table.as_dict(), indent=1, allow_nan=False) + "\n",
        "bench.md": markdown(table),
        "bench.tex": latex(table),
        "bench.html": page(table),
    }
    for name, text in content.items():
        write_whole(folder / name, text)
    return [folder / name for name in content]


def tasks_of(table: Table) -> dict[str, list[Row]]:
    """Return the rows of each task."""
    found: dict[str, list[Row]] = {}
    for row in table.rows:
        found.setdefault(row.task, []).append(row)
    return found


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Return the scores that a row of the task has, in the order of tables."""
    return [name for name in COLUMNS if any(name in row.scores for row in rows)]


def markdown(table: Table) -> str:
    """Format a table per task; the best trained row of each column is bold."""
    parts = [f"# Benchmark\n\n{in_markdown(about(table))}"]
    for task, rows in tasks_of(table).items():
        columns = columns_of(rows)
        head = ["", *(f"{NAMED[name].title} ({BETTER_WORD[NAMED[name].better]})" for name in columns), "CPU s", "GB"]
        lines = [head, ["---", *["---:"] * (len(head) - 1)]]
        for row in rows:
            cells = [_cell(row, name, "**{}**" if row.model in best_of(rows, name) else "{}") for name in columns]
            lines.append([in_markdown(row.model), *cells, _number(row.seconds, 0), _number(row.peak_GB, 2)])
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        failed = [f"- {in_markdown(row.model)} failed: {in_markdown(row.failed)}" for row in rows if row.failed]
        told = [f"- {in_markdown(line)}" for line in verdict_lines(table, task)]
        below = "\n".join([*failed, *told])
        parts.append(f"## {task}: {TASKS[task].title}\n\n{TASKS[task].text}\n\n{text}\n\n{below}".rstrip())
    return "\n\n".join(parts) + "\n"


BETTER_WORD = {"highest": "higher", "lowest": "lower", "one": "near 1"}
ARROW = {"highest": r"$\uparrow$", "lowest": r"$\downarrow$", "one": r"$\to 1$"}


def about(table: Table) -> str:
    """Describe the protocol in a line."""
    p = table.protocol
    seeds = max((len(row.seeds) for row in table.rows), default=0)
    return (
        f"Drawn tasks, A to B, {p['size']} px, {p['iterations']} iterations, {seeds} trainings of each row, "
        f"{p['count']} test pictures with {p['samples']} true ones each; checkpoint: {p['checkpoint']}; intervals: "
        f"{p['interval']}. gan_style {p['versions']['gan_style']}, torch {p['versions']['torch']}."
    )


def verdict_lines(table: Table, task: str) -> list[str]:
    """Say for each score which rows beat which, and how large a difference must be to be told."""
    lines = []
    for score in COLUMNS:
        of = [v for v in table.verdicts if v.task == task and v.score == score]
        if not of:
            continue
        told: dict[str, list[str]] = {}
        for verdict in of:
            if verdict.told:
                told.setdefault(verdict.better, []).append(verdict.worse)
        smallest = [v.smallest for v in of if v.smallest is not None and NAMED[score].better != "one"]
        able = f"; differences from {np.median(smallest):.2g} on can be told" if smallest else ""
        if told:
            said = "; ".join(f"{better} beats {', '.join(worse)}" for better, worse in told.items())
        elif all(v.p is None for v in of):
            said = "too few trainings to tell rows apart: give --seeds 4 or more"
        else:
            said = "no row beats another"
        lines.append(f"{NAMED[score].title}: {said}{able}.")
    return lines


def latex(table: Table) -> str:
    """Format the tables of `markdown` by booktabs; needs \\usepackage{booktabs}."""
    parts = [f"% {about(table)}"]
    for task, rows in tasks_of(table).items():
        columns = columns_of(rows)
        lines = [rf"\begin{{tabular}}{{l{'r' * len(columns)}}}", r"\toprule"]
        titles = [f"{escaped(NAMED[name].title)} {ARROW[NAMED[name].better]}" for name in columns]
        lines += [" & ".join([escaped(task), *titles]) + r" \\", r"\midrule"]
        for row in rows:
            cells = [
                _cell(row, name, r"\textbf{{{}}}" if row.model in best_of(rows, name) else "{}") for name in columns
            ]
            lines.append(" & ".join([escaped(row.model), *cells]) + r" \\")
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    return "\n\n".join(parts) + "\n"


def _cell(row: Row, name: str, frame: str) -> str:
    return frame.format(_number(row.scores[name]["value"], NAMED[name].digits)) if name in row.scores else ""


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def page(table: Table) -> str:
    """Return the page: a sortable table per task, the pictures of every row on the same scenes, spread as bars."""
    template = resources.files("gan_style.apps.bench").joinpath("page.html").read_text(encoding="utf-8")
    sections = "\n".join(_section(table, task, rows) for task, rows in tasks_of(table).items())
    links = "".join(f'<a href="#{task}">{escape(task)}</a>' for task in tasks_of(table))
    return Template(template).substitute(about=escape(about(table)), links=links, sections=sections)


def _section(table: Table, task: str, rows: Sequence[Row]) -> str:
    columns = columns_of(rows)
    head = "".join(
        f'<th scope="col" data-better="{NAMED[name].better}" title="{escape(NAMED[name].text)}">'
        f"<button>{escape(NAMED[name].title)}</button></th>"
        for name in columns
    )
    ranges = {name: _range(rows, name) for name in columns}
    lines = "".join(_line(row, rows, columns, ranges) for row in rows)
    source, truth = table.scenes[task]
    strips = [_strip("input", source), _strip("truth", truth)]
    strips += [_strip(row.model, row.images) for row in rows if row.images is not None and row.model != "input"]
    told = "".join(f"<li>{escape(line)}</li>" for line in verdict_lines(table, task))
    failed = "".join(f"<li>{escape(row.model)} failed: {escape(row.failed)}</li>" for row in rows if row.failed)
    return (
        f'<section id="{task}"><h2>{escape(TASKS[task].title)}</h2><p>{escape(TASKS[task].text)}</p>'
        f'<div class="wide"><table><thead><tr><th scope="col">{escape(task)}</th>{head}'
        f'<th scope="col" data-better="lowest"><button>CPU s</button></th>'
        f'<th scope="col" data-better="lowest"><button>GB</button></th></tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
        f'<ul>{failed}{told}</ul><div class="strips">{"".join(strips)}</div></section>'
    )


def _line(row: Row, rows: Sequence[Row], columns: Sequence[str], ranges: dict[str, tuple[float, float]]) -> str:
    cells = []
    for name in columns:
        entry = row.scores.get(name)
        if entry is None:
            cells.append("<td></td>")
            continue
        best = ' class="best"' if row.model in best_of(rows, name) else ""
        number = _number(entry["value"], NAMED[name].digits)
        interval = f"{entry['low']:.4g} to {entry['high']:.4g}"
        cells.append(
            f'<td data-value="{entry["value"]:.6g}" title="{interval}"{best}>{number}{_bar(entry, ranges[name])}</td>'
        )
    for value, digits in ((row.seconds, 0), (row.peak_GB, 2)):
        shown = _number(value, digits)
        cells.append(f'<td data-value="{value:.6g}">{shown}</td>' if value is not None else "<td></td>")
    kind = ' class="planted"' if row.model in PLANTED else ""
    return f'<tr{kind}><th scope="row">{escape(row.model)}</th>{"".join(cells)}</tr>'


def _range(rows: Sequence[Row], name: str) -> tuple[float, float]:
    ends = [row.scores[name][key] for row in rows if name in row.scores for key in ("low", "high", "value")]
    return (min(ends), max(ends)) if min(ends) < max(ends) else (min(ends) - 1, max(ends) + 1)


def _bar(entry: dict[str, Any], ends: tuple[float, float]) -> str:
    """Return the interval of a cell as a line on the range of its column, with the value as a dot."""
    low, value, high = (60 * (entry[key] - ends[0]) / (ends[1] - ends[0]) + 2 for key in ("low", "value", "high"))
    inside = element("line", x1=float(low), x2=float(high), y1=4.0, y2=4.0) + element(
        "circle", cx=float(value), cy=4.0, r=2.0
    )
    return element("svg", inside, width=64, height=8, viewBox="0 0 64 8", aria_hidden="true")


def _strip(name: str, images: Images) -> str:
    strip = np.concatenate(list(images), axis=1)
    file = io.BytesIO()
    Image.fromarray(strip).save(file, "PNG", optimize=True)
    side = images.shape[1]
    height = side * max(1, -(-MIN_SHOWN_SIDE // side))
    width = height * len(images)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure><figcaption>{escape(name)}</figcaption><img src="data:image/png;base64,{data}" width="{width}" '
        f'height="{height}" alt="{escape(name)} on {len(images)} scenes"></figure>'
    )
