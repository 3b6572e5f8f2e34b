"""Putting the pieces of a report into its page."""

import base64
import hashlib
import re
from collections.abc import Callable
from html import escape
from importlib import resources
from string import Template

from gan_style.report.chart import draw
from gan_style.report.curves import make_charts
from gan_style.report.images import image_section
from gan_style.report.names import definition_list
from gan_style.report.read import Run
from gan_style.report.scores import headline, make_rows, score_section
from gan_style.report.summary import (
    cost_rows,
    data_name,
    facts,
    failure,
    iterations,
    model_name,
)


def render(run: Run) -> str:
    """Returns the whole report as HTML."""
    template = resources.files("gan_style.report").joinpath("page.html").read_text(encoding="utf-8")
    name = run.config.get("name") or run.folder
    return Template(template).substitute(
        title=escape(str(name)),
        headline=escape(sentence(run)),
        script_hash=_script_hash(template),
        warning=_warning(run),
        facts=definition_list(facts(run)) if run.config else "",
        scores=_section(run, "scores.json", _scores, "There are no scores yet: nothing was evaluated."),
        pictures=_section(run, "images", _pictures, "There are no pictures yet: they come with a validation."),
        curves=_section(run, "metrics.csv", _curves, "There are no curves yet: nothing has been logged."),
        cost=_section(run, "run.json", _cost, "The cost is not there yet: it is written when a run ends."),
        config=_section(run, "config.yaml", _config, "There is no configuration in this folder."),
    )


def sentence(run: Run) -> str:
    """Returns what the report shows, in one sentence."""
    data, made = data_name(run), iterations(run)
    text = model_name(run) if run.config else "This run"
    text += f" on {data}" if data else ""
    text += f", {made:,} iteration{'' if made == 1 else 's'}" if made is not None else ""
    result = headline(make_rows(run.scores))
    return f"{text}: {result}." if result else f"{text}; not evaluated yet."


def _section(run: Run, file: str, make: Callable[[Run], str], missing: str) -> str:
    problem = f'<p class="missing">{escape(run.problems[file])}</p>' if file in run.problems else ""
    made = make(run)
    return problem + made if problem or made else f'<p class="missing">{escape(missing)}</p>'


def _scores(run: Run) -> str:
    return score_section(run.scores)


def _pictures(run: Run) -> str:
    return image_section(run.images)


def _curves(run: Run) -> str:
    charts = "".join(draw(chart) for chart in make_charts(run))
    return (
        '<p class="note">Every chart runs over iterations; the number in a legend is the newest value.</p>'
        f'<div class="charts">{charts}</div>'
        if charts
        else ""
    )


def _cost(run: Run) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>' for key, value in cost_rows(run.record)
    )
    return f'<table class="cost"><tbody>{rows}</tbody></table>' if rows else ""


def _config(run: Run) -> str:
    if not run.config_text.strip():
        return ""
    return f"<details><summary>config.yaml</summary><pre>{escape(run.config_text)}</pre></details>"


def _warning(run: Run) -> str:
    ended = failure(run)
    return f'<p class="warning">This run did not finish: {escape(ended)}.</p>' if ended else ""


def _script_hash(template: str) -> str:
    """Returns the hash that lets the page's own script run, and no other."""
    match = re.search(r"<script>(.*?)</script>", template, re.DOTALL)
    content = match.group(1) if match else ""
    return base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
