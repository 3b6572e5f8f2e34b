"""Putting the pieces of a report into its page."""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from importlib import resources
from string import Template

from gan_style.report.chart import draw
from gan_style.report.curves import Chart, make_charts
from gan_style.report.findings import findings_section
from gan_style.report.images import image_section
from gan_style.report.markup import definition_list, escape, table
from gan_style.report.read import Run
from gan_style.report.scores import headline, make_rows, rule_of, score_section
from gan_style.report.summary import data_name, facts, failure, iterations, model_name, origin

CURVES_NOTE = '<p class="note">Every chart runs over iterations; the number in a legend is the newest value.</p>'


def render(run: Run) -> str:
    """Return the whole report of a run as HTML."""
    ended = failure(run)
    warning = f'<p class="warning">This run did not finish: {escape(ended)}.</p>' if ended else ""
    sections = [
        ("Scores", _part(run, "scores.json", score_section, "There are no scores yet: nothing was evaluated.")),
        ("Pictures", _part(run, "images", image_section, "There are no pictures yet: they come with a validation.")),
        ("Curves", _part(run, "metrics.csv", _curves, "There are no curves yet: nothing has been logged.")),
        (
            "Cost and origin",
            _part(run, "run.json", _origin, "The cost is not there yet: it is written when a run ends."),
        ),
        ("Configuration", _part(run, "config.yaml", _config, "There is no configuration in this folder.")),
    ]
    if found := findings_section(run):
        sections.insert(0, ("Findings", found))
    known = definition_list(facts(run)) if run.settings else ""
    return page(str(run.settings.get("name") or run.folder), sentence(run), warning + known, sections)


def page(title: str, headline: str, intro: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return a page: the title and a sentence as text, the rest as HTML, sections by their titles."""
    template = resources.files("gan_style.report").joinpath("page.html").read_text(encoding="utf-8")
    anchors = [(name.lower().replace(" ", "-"), name, content) for name, content in sections]
    return Template(template).substitute(
        title=escape(title),
        headline=escape(headline),
        script_hash=_script_hash(template),
        intro=intro,
        links="".join(f'<a href="#{anchor}">{escape(name)}</a>' for anchor, name, _ in anchors),
        sections="\n".join(
            f'<section id="{anchor}"><h2>{escape(name)}</h2>\n{content}\n</section>'
            for anchor, name, content in anchors
        ),
    )


def sentence(run: Run) -> str:
    """Return what the report shows, in one sentence."""
    data, made = data_name(run), iterations(run)
    text = model_name(run) if run.settings else "This run"
    text += f" on {data}" if data else ""
    text += f", {made:,} iteration{'' if made == 1 else 's'}" if made is not None else ""
    result = headline(make_rows(run.scores), rule_of(run))
    return f"{text}: {result}." if result else f"{text}; not evaluated yet."


def draw_all(charts: list[Chart]) -> str:
    """Return charts in rows, as HTML; empty for none."""
    return f'<div class="charts">{"".join(map(draw, charts))}</div>' if charts else ""


def _part(run: Run, file: str, make: Callable[[Run], str], missing: str) -> str:
    problem = f'<p class="missing">{escape(run.problems[file])}</p>' if file in run.problems else ""
    made = make(run)
    return problem + made if problem or made else f'<p class="missing">{escape(missing)}</p>'


def _curves(run: Run) -> str:
    charts = draw_all(make_charts(run))
    return CURVES_NOTE + charts if charts else ""


def _origin(run: Run) -> str:
    parts = zip(("", "<h3>Data</h3>", "<h3>Versions</h3>"), origin(run.record), strict=True)
    return "".join(
        title + table([], [(escape(key), [escape(value)]) for key, value in rows], "cost")
        for title, rows in parts
        if rows
    )


def _config(run: Run) -> str:
    if not run.config_text.strip():
        return ""
    return f"<details><summary>config.yaml</summary><pre>{escape(run.config_text)}</pre></details>"


def _script_hash(template: str) -> str:
    """Return the hash that lets the page's own script run, and no other."""
    match = re.search(r"<script>(.*?)</script>", template, re.DOTALL)
    content = match.group(1) if match else ""
    return base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
