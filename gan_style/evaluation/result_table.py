"""Results side by side, as Markdown, LaTeX and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gan_style.core.paths import printable
from gan_style.core.quoting import in_markdown
from gan_style.core.sizes import in_pixels, parsed
from gan_style.evaluation.distances import Result, other_protocol
from gan_style.metrics.table import Better, better_end, goodness

LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {c: f"\\{c}" for c in "&%$#_{}"}

# in Markdown, and in LaTeX
BETTER = {
    "highest": ("higher", r"$\uparrow$"),
    "lowest": ("lower", r"$\downarrow$"),
    "one": ("near 1", r"$\to 1$"),
    None: ("", ""),
}


class Row(NamedTuple):
    """Row of a table, one score of one direction: `cells` by column, None where a result does not have it."""

    score: str
    cells: list[dict[str, Any] | None]
    floor: float | None
    ceiling: float | None

    @property
    def better(self) -> Better | None:
        """The end that is better, see `metrics.table.Better`; None for a score that no row and no file knows."""
        return next((end for cell in self.cells if cell and (end := better_end(self.score, cell))), None)

    def best(self) -> set[int]:
        """Return the columns with the best value; none where all have it."""
        values = {i: cell["value"] for i, cell in enumerate(self.cells) if cell is not None}
        if not values or self.better is None:
            return set()
        good = {i: goodness(self.better, value) for i, value in values.items()}
        found = {i for i, value in good.items() if value == max(good.values())}
        return found if len(found) < len(values) else set()


def rows(results: Mapping[str, Result], direction: str) -> list[Row]:
    """Return the rows of a direction; floor and ceiling are of the first result that has one."""
    of = [result["scores"].get(direction, {}) for result in results.values()]
    found = []
    for name in dict.fromkeys(name for scores in of for name in scores):
        cells = [scores.get(name) for scores in of]
        held = [cell for cell in cells if cell is not None]
        ends = [next((cell[key] for cell in held if cell.get(key) is not None), None) for key in ("floor", "ceiling")]
        found.append(Row(name, cells, *ends))
    return found


def directions(results: Mapping[str, Result]) -> list[str]:
    """Return all directions that a result has."""
    return list(dict.fromkeys(direction for result in results.values() for direction in result["scores"]))


def markdown(results: Mapping[str, Result]) -> str:
    """Format a table per direction: a row per score, a column per result; the best value bold."""
    parts = []
    for direction in directions(results):
        head = [in_markdown(name) for name in (direction, "better", *results, "floor", "input")]
        lines = [head, ["---"] * len(head)]
        for row in rows(results, direction):
            cells = [_cell(cell) for cell in row.cells]
            for best in row.best():
                cells[best] = f"**{cells[best].replace(' (', '** (', 1)}"
            lines.append([in_markdown(row.score), BETTER[row.better][0], *cells, *map(_short, row[2:])])
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join([*parts, in_markdown(_about(results))]) + "\n"


def latex(results: Mapping[str, Result]) -> str:
    """Format the tables of `markdown` by booktabs, intervals as small print; needs \\usepackage{booktabs}."""
    parts = []
    for direction in directions(results):
        columns = [*results, "floor", "input"]
        lines = [rf"\begin{{tabular}}{{l{'r' * len(columns)}}}", r"\toprule"]
        lines += [" & ".join(map(escaped, [direction, *columns])) + r" \\", r"\midrule"]
        for row in rows(results, direction):
            cells = [_latex_cell(cell, i in row.best()) for i, cell in enumerate(row.cells)]
            ends = [_short(row.floor), _short(row.ceiling)]
            lines.append(" & ".join([f"{escaped(row.score)} {BETTER[row.better][1]}".strip(), *cells, *ends]) + r" \\")
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    return f"% {printable(_about(results))}\n" + "\n\n".join(parts) + "\n"


def _pixels(size: Any) -> str:
    """Format the size of pictures that a result file records."""
    found = parsed(size)
    return f"{size} pixels" if found is None else in_pixels(found).replace("px", "pixels")


def _about(results: Mapping[str, Result]) -> str:
    """Describe the protocol in a line: that of the first result, with a warning where others differ."""
    other = other_protocol(results)
    warning = f"{other}; floor, input and what follows are of {next(iter(results))}. " if other else ""
    stamp = next(iter(results.values()))["protocol"]
    numbers = " and ".join(f"{stamp.get(key)} {what}" for key, what in (("N_real", "real"), ("N_fake", "made")))
    extractor = f"{stamp.get('extractor')} (sha256 {str(stamp.get('sha256'))[:8]}) at {stamp.get('size')} pixels"
    return warning + (
        (
            f"Data {stamp.get('data')}, {numbers} pictures of {_pixels(stamp.get('picture_size'))}, resized by "
            f"{stamp.get('picture_resize')}; features of {extractor}, {stamp.get('resize')}."
        )
        .replace("'", "")
        .replace("{", "")
        .replace("}", "")
    )


def terminal(results: Mapping[str, Result]) -> str:
    """Format each result by itself: value, interval, floor and the score of the input."""
    lines = []
    for name, result in results.items():
        lines.append(printable(name))
        for direction in result["scores"]:
            lines.append(f"  {printable(direction):32} {'value':>10} {'95% interval':>23} {'floor':>10} {'input':>10}")
            for row in rows({name: result}, direction):
                one = row.cells[0]
                assert one is not None
                interval = f"{one['low']:.4g} to {one['high']:.4g}"
                ends = f"{_short(row.floor):>10} {_short(row.ceiling):>10}"
                lines.append(f"    {printable(row.score):30} {one['value']:10.4g} {interval:>23} {ends}".rstrip())
    return "\n".join(lines)


def _cell(cell: Mapping[str, Any] | None) -> str:
    return "" if cell is None else f"{cell['value']:.4g} ({cell['low']:.4g} to {cell['high']:.4g})"


def _latex_cell(cell: Mapping[str, Any] | None, best: bool) -> str:
    if cell is None:
        return ""
    value = rf"\textbf{{{cell['value']:.4g}}}" if best else f"{cell['value']:.4g}"
    return rf"{value} {{\scriptsize [{cell['low']:.3g}, {cell['high']:.3g}]}}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def escaped(text: str) -> str:
    return "".join(LATEX.get(c, c) for c in printable(text))
