"""Several runs on one page."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gan_style.report.curves import overlay
from gan_style.report.images import side_by_side
from gan_style.report.markup import NONE, definition_list, escape, table, upper
from gan_style.report.names import plain
from gan_style.report.page import CURVES_NOTE, draw_all, page
from gan_style.report.read import Run, as_mapping
from gan_style.report.scores import Row, Value, baseline_names, make_rows, rule_of, score_cell, score_name
from gan_style.report.summary import data_name, failure, model_name, origin

_OWN_TO_A_RUN = ("run_dir", "resume")
_CHANGES_WITH_TIME = "iteration"  # at which a result was taken: no other protocol

Results = list[dict[tuple[str, str], Row]]


def render_comparison(runs: list[Run]) -> str:
    """Return the page that compares runs, each named by its ``folder``."""
    found: Results = [{(row.direction, row.name): row for row in make_rows(run.scores)} for run in runs]
    protocols = _differing([flat(_protocol(run)) for run in runs if run.scores], _CHANGES_WITH_TIME)
    warnings = [f"{run.folder} did not finish: {failure(run)}." for run in runs if failure(run)]
    warnings += [f"{run.folder}: {problem}" for run in runs for problem in run.problems.values()]
    if protocols:
        warnings.append(
            f"The scores were taken by different protocols ({', '.join(protocols)}) and are not to be compared."
        )
    intro = "".join(f'<p class="warning">{escape(text)}</p>' for text in warnings)
    validation, others = (draw_all(charts) for charts in overlay(runs))
    if others:
        others = f"<details><summary>Losses, learning rates and speed</summary>{others}</details>"
    curves = CURVES_NOTE + validation + others if validation or others else ""
    sections = [
        ("Scores and cost", _table(runs, found, comparable=not protocols)),
        ("Configurations", _configurations(runs)),
        ("Pictures", side_by_side(runs) or '<p class="missing">No run has made pictures.</p>'),
        ("Curves", curves or '<p class="missing">No run has logged anything.</p>'),
    ]
    known = [("Runs", ", ".join(run.folder for run in runs))]
    return page(
        f"{len(runs)} runs compared", _sentence(runs, found, bool(protocols)), intro + definition_list(known), sections
    )


def flat(mapping: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Return nested mappings as one, with dots in its keys and text as values, without what is null."""
    result: dict[str, str] = {}
    for key, value in mapping.items():
        inner = as_mapping(value)
        if inner:
            result |= flat(inner, f"{before}{key}.")
        elif value is not None:
            result[f"{before}{key}"] = plain(value)
    return result


def best_of(rows: Iterable[Row | None]) -> float | None:
    """Return the best value of one score; None where its better end is not known, or there is nothing beside it."""
    known = [(row.own.value, row.score.higher) for row in rows if row is not None and row.own.value is not None]
    if len(known) < 2 or known[0][1] is None:
        return None
    values = [value for value, _ in known]
    return max(values) if known[0][1] else min(values)


def _differing(mappings: list[dict[str, str]], *left_out: str) -> dict[str, list[str]]:
    keys = dict.fromkeys(key for mapping in mappings for key in mapping if key.rpartition(".")[2] not in left_out)
    values = {key: [mapping.get(key, "") for mapping in mappings] for key in keys}
    return {key: each for key, each in values.items() if len(set(each)) > 1}


def _sentence(runs: list[Run], found: Results, incomparable: bool) -> str:
    subjects = dict.fromkeys(f"{model_name(run)} on {data_name(run)}" for run in runs if run.settings)
    text = f"{len(runs)} runs" + (f" of {', '.join(subjects)}" if len(subjects) in (1, 2) else "")
    chosen = rule_of(runs[0]).rpartition("/")[2]
    keys = list(dict.fromkeys(key for rows in found for key in rows))
    parts = []
    for direction, name in [key for key in keys if key[1] == chosen] or keys[:1]:
        rows = [rows.get((direction, name)) for rows in found]
        best = best_of(rows)
        if best is None or incomparable:
            continue
        row, run = next((row, run) for row, run in zip(rows, runs, strict=True) if row and row.own.value == best)
        parts.append(f"{direction} {row.score.title} is best in {run.folder}, {best:.{row.score.digits}f}")
    return f"{text}: {'; '.join(parts)}." if parts else f"{text}."


def _table(runs: list[Run], found: Results, comparable: bool) -> str:
    """Return a table of scores with what they have to beat, and the cost: a column for each run."""
    every = [row for rows in found for row in rows.values()]
    names = baseline_names(every)
    floors = any(row.own.floor is not None for row in every)
    beside = [*names, *(["floor"] if floors else [])] if comparable else []
    lines: list[tuple[str, list[str]]] = []
    for direction, name in dict.fromkeys(key for rows in found for key in rows):
        rows = [rows.get((direction, name)) for rows in found]
        there = [row for row in rows if row is not None]
        score, best = there[0].score, best_of(rows) if comparable else None
        own = [row.own if row else Value(None) for row in rows]
        cells = [score_cell(value, score.digits, best is not None and value.value == best) for value in own]
        for other in beside:
            entries = [
                row.own.floor if other == "floor" else row.baselines.get(other, Value(None)).value for row in there
            ]
            cells.append(_common(entries, score.digits))
        lines.append((score_name(direction, score), cells))
    costs = [dict(pair for part in origin(run.record) for pair in part) for run in runs]
    for cost, run in zip(costs, runs, strict=True):
        at = as_mapping(run.record.get("best")).get("iteration")
        cost |= {"Rule of best.ckpt": rule_of(run), "Iteration of best.ckpt": "" if at is None else plain(at)}
    rest = [""] * len(beside)
    for key in dict.fromkeys(key for cost in costs for key in cost if cost[key]):
        lines.append((escape(key), [escape(cost.get(key, "")) or NONE for cost in costs] + rest))
    note = "Bold: the best value of a line. Where intervals overlap, a difference may be chance."
    shown = table(["", *(run.folder for run in runs), *map(upper, beside)], lines, "scores")
    return shown + (f'<p class="note">{note}</p>' if comparable and every else "")


def _common(values: list[float | None], digits: int) -> str:
    """Return the cell of the baseline that all runs share, or a note that it differs with their pictures."""
    cells = dict.fromkeys(score_cell(Value(value), digits) for value in values)
    return next(iter(cells)) if len(cells) == 1 else '<span class="none">differs</span>'


def _configurations(runs: list[Run]) -> str:
    settings = [flat(run.settings) | flat({"protocol": _protocol(run)} if run.scores else {}) for run in runs]
    rows = _differing(settings, *_OWN_TO_A_RUN, _CHANGES_WITH_TIME)
    if not rows:
        return '<p class="note">The configurations are the same.</p>'
    lines = [
        (f"<code>{_breakable(key)}</code>", [_breakable(value) or NONE for value in values])
        for key, values in rows.items()
    ]
    note = '<p class="note">Only what differs; protocol is that of the scores.</p>'
    return note + table(["Key", *(run.folder for run in runs)], lines, "scores")


def _protocol(run: Run) -> dict[str, Any]:
    return as_mapping(run.scores.get("protocol"))


def _breakable(text: str) -> str:
    """Return a name of many parts, which a narrow page may break between them."""
    return re.sub(r"(?<=[./])(?=[A-Za-z])", "<wbr>", escape(text))
