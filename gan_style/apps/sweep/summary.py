"""Summary of a sweep: a table, a page with two plots, and the best configuration as an experiment."""

from __future__ import annotations

import json
import statistics
from typing import Any

import yaml

from gan_style.apps.sweep.plots import importance, parallel
from gan_style.apps.sweep.scores import Rule
from gan_style.apps.sweep.settings import Sweep
from gan_style.apps.sweep.study import steps
from gan_style.core.commands import typed_train
from gan_style.core.paths import printable, write_whole
from gan_style.core.quoting import in_markdown
from gan_style.report.markup import escape

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}td,th{{padding:.2em .8em .2em 0;text-align:left;
border-bottom:1px solid #ddd}}.wide{{overflow-x:auto}}svg{{max-width:100%;height:auto}}
pre{{background:#f4f4f4;padding:1em;overflow-x:auto}}</style><h1>{title}</h1><p>{about}</p>
{plots}<div class="wide">{table}</div>
<h2>Best configuration</h2><pre>{best}</pre></html>
"""


def word(value: Any) -> str:
    """Write a value as on the command line of a training; text stays as it is in the sweep file."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else word(value)


def best_row(rows: list[dict[str, Any]], rule: Rule) -> dict[str, Any] | None:
    """Return the best of the finished trials."""
    done = [row for row in rows if row["state"] == "done"]
    sign = 1 if rule.mode == "highest" else -1
    return max(done, key=lambda row: (sign * row["score"], -row["trial"]), default=None)


def write(sweep: Sweep, study: Any) -> None:
    """Write summary.md, summary.json, sweep.html, the plots and best.yaml, each completely or not at all."""
    rows, rule, importances = study.rows(), study.base.rule, study.importances()
    best = best_row(rows, rule)
    title = f"Sweep {sweep.name}"
    about = _about(sweep, rows, rule)
    table = [_cells(sweep, rule), *(_cells(sweep, rule, row) for row in _ranked(rows, rule))]
    rule_below = _line(["---"] * len(table[0]))
    markdown = [f"# {in_markdown(title)}", "", in_markdown(about), "", _line(table[0]), rule_below]
    markdown += map(_line, table[1:])
    if importances:
        shares = ", ".join(f"{key} {value:.0%}" for key, value in importances.items())
        markdown += ["", in_markdown(f"Importance (PED-ANOVA): {shares}.")]
    write_whole(sweep.folder / "summary.md", "\n".join(markdown) + "\n")
    content = {
        "sweep": sweep.name,
        "rule": {"monitor": rule.monitor, "mode": rule.mode},
        "best": best["trial"] if best else None,
        "importances": importances,
        "trials": rows,
        **sweep.fingerprint(),
    }
    write_whole(sweep.folder / "summary.json", json.dumps(content, indent=2) + "\n")
    plots = {"parallel.svg": parallel(rows, sweep.space, rule), "importance.svg": importance(importances)}
    for name, svg in plots.items():
        if svg:
            write_whole(sweep.folder / name, svg)
    config = best_config(sweep, study.base, best) if best else "none yet\n"
    if best:
        write_whole(sweep.folder / "best.yaml", config)
        # the group's folder, for --config-dir
        (sweep.folder / "experiment").mkdir(exist_ok=True)
        write_whole(sweep.folder / "experiment" / "best.yaml", config)
    head, *body = ("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table)
    html = f"<table>{head.replace('td>', 'th>')}{''.join(body)}</table>"
    texts = {"title": escape(title), "about": escape(about), "best": escape(config)}
    page = PAGE.format(**texts, plots="".join(plots.values()), table=html)
    write_whole(sweep.folder / "sweep.html", page)


def last_lines(sweep: Sweep, study: Any) -> list[str]:
    """Return the lines that are printed when a sweep is over."""
    rows, rule = study.rows(), study.base.rule
    best = best_row(rows, rule)
    lines = [_about(sweep, rows, rule)]
    lines += [f"trial {row['trial']} failed: {row['error']}" for row in rows if row["state"] == "failed"]
    lines += [f"summary     {sweep.folder / 'summary.md'}", f"plots       {sweep.folder / 'sweep.html'}"]
    if best:
        lines.append(f"best        {sweep.folder / 'best.yaml'} (trial {best['trial']})")
        lines.append(f"train it    {' '.join(typed_train())} --config-dir {sweep.folder} experiment=best")
    return lines


def best_config(sweep: Sweep, base: Any, best: dict[str, Any]) -> str:
    """Write the configuration of a trial in the format of conf/experiment/*.yaml."""
    overrides = {key: text.partition("=")[2] for key, text in sweep.overrides.items() if not text.startswith("~")}
    overrides |= {key: word(value) for key, value in best["params"].items()}
    if sweep.file.budget:
        overrides["trainer.max_steps"] = str(steps(sweep, best["params"], base))
    rule = base.rule
    head = [
        "# @package _global_",
        f"# Trial {best['trial']} of sweep {printable(sweep.name)}: {rule.mode} {printable(rule.monitor)}, "
        f"{best['score']:.6g} at iteration {best['iteration']}.",
    ]
    removed = [text for text in sweep.overrides.values() if text.startswith("~")]
    if removed:  # a file cannot remove keys
        head.append(f"# It also needs, on the command line: {' '.join(removed)}")
    values: dict[str, Any] = {}
    defaults: list[Any] = []
    for key, text in overrides.items():
        if _is_group(sweep, key):
            choice = yaml.safe_load(text)
            # This file is an experiment: another one that it builds on is named without its group, because
            # `override /experiment` would choose this file itself.
            defaults.append(choice if key == "experiment" else {f"override /{key}": choice})
            continue
        *parents, last = key.split(".")
        node = values
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = number(text)
    bases = [entry for entry in defaults if isinstance(entry, str)]
    group_overrides = [entry for entry in defaults if not isinstance(entry, str)]  # which Hydra expects last
    content = {"defaults": [*bases, "_self_", *group_overrides]} if defaults else {}
    return "\n".join(head) + "\n" + yaml.safe_dump({**content, **values}, sort_keys=False)


def number(text: str) -> Any:
    """Parse a value of the command line; 1e-05 is text in YAML, but a number in Hydra."""
    try:
        return float(text) if "e" in text.lower() else yaml.safe_load(text)
    except ValueError:
        return yaml.safe_load(text)


def _is_group(sweep: Sweep, key: str) -> bool:
    return "." not in key and any((folder / key).is_dir() for folder in sweep.config_dirs())


def _about(sweep: Sweep, rows: list[dict[str, Any]], rule: Rule) -> str:
    states = {state: sum(row["state"] == state for row in rows) for state in ("done", "pruned", "failed", "running")}
    counted = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    done = [row["score"] for row in rows if row["state"] == "done"]
    spread = f"; mean {statistics.mean(done):.4g}, standard deviation {statistics.stdev(done):.2g}" if done[1:] else ""
    top = best_row(rows, rule)
    best = f"; best {rule.monitor} ({rule.mode}) {top['score']:.4g} by trial {top['trial']}" if top else ""
    return f"{len(rows)} of {sweep.trials} trials: {counted or 'none'}{best}{spread}."


def _ranked(rows: list[dict[str, Any]], rule: Rule) -> list[dict[str, Any]]:
    """Sort trials, the best first; those without a score last."""
    sign = -1 if rule.mode == "highest" else 1
    order = {"done": 0, "pruned": 1}

    def rank(row: dict[str, Any]) -> tuple[int, float, int]:
        return order.get(row["state"], 2), sign * (row["score"] or 0.0), row["trial"]

    return sorted(rows, key=rank)


def _cells(sweep: Sweep, rule: Rule, row: dict[str, Any] | None = None) -> list[str]:
    if row is None:
        return ["trial", "state", rule.monitor, "at iteration", *sweep.space, "seconds", "error"]
    known = ["" if row[key] is None else short(row[key]) for key in ("score", "iteration")]
    params = [short(row["params"][key]) if key in row["params"] else "" for key in sweep.space]
    return [str(row["trial"]), row["state"], *known, *params, short(row["seconds"] or ""), row["error"] or ""]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(map(in_markdown, cells))} |"
