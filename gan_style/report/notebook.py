"""HTML of a run and of scores for a cell of a notebook, which brings its own style sheet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_style.report.images import embed
from gan_style.report.markup import escape
from gan_style.report.page import sentence
from gan_style.report.read import read_run
from gan_style.report.scores import make_rows, score_table


def run_cell(folder: Path) -> str:
    """Return a sentence about a run, its newest grid of pictures, its scores, and where its report lies."""
    run = read_run(folder)
    parts = [f"<p>{escape(sentence(run))}</p>"]
    newest = embed(*run.images[-1], large=True) if run.images else None
    if newest is not None:
        parts.append(f'<img alt="pictures of iteration {newest.iteration}" src="{newest.uri}">')
    if rows := make_rows(run.scores):
        parts.append(score_table(rows))
    return "".join([*parts, f"<p>{escape(str(folder / 'report.html'))}</p>"])


def scores_cell(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the scores of each checkpoint as a table, with what has to be known about them."""
    parts = []
    for name, result in results.items():
        notes = "".join(f"<p>{escape(str(note))}</p>" for note in result.get("notes", ()))
        parts.append(f"<h4>{escape(name)}</h4>{score_table(make_rows(dict(result)))}{notes}")
    return "".join(parts)
