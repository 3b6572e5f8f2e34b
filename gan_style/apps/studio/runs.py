"""Gallery of runs as HTML: the name, scores and newest grid of each."""

from __future__ import annotations

from pathlib import Path

from gan_style.apps.studio.models import find_runs
from gan_style.report.images import embed
from gan_style.report.markup import escape
from gan_style.report.page import sentence
from gan_style.report.read import read_run
from gan_style.report.scores import score_section

MAX_CARDS = 24  # each holds a picture of up to 300 kB


def gallery(folder: Path) -> str:
    """Render cards of the newest runs below a folder."""
    runs = {name: path.parent.parent for name, path in find_runs(folder).items()}
    if not runs:
        return (
            f'<p class="quiet">There are no runs in {escape(str(folder))} yet: '
            "train one with <code>gan-style train</code>, or name their folder with <code>--runs</code>.</p>"
        )
    cards = "".join(card(name, path) for name, path in list(runs.items())[:MAX_CARDS])
    left = len(runs) - MAX_CARDS
    more = f'<p class="quiet">{left} older runs are not shown.</p>' if left > 0 else ""
    return f'<div class="cards">{cards}</div>{more}'


def card(name: str, folder: Path) -> str:
    """Render a run: its newest grid that can be read, its sentence, and its scores to unfold."""
    run = read_run(folder)
    grids = (embed(iteration, path, large=False) for iteration, path in reversed(run.images))
    grid = next((image for image in grids if image), None)
    image = (
        f'<img src="{grid.uri}" alt="Grid of pictures at iteration {grid.iteration:,}">'
        if grid
        else '<p class="quiet blank">no pictures yet</p>'
    )
    scores = score_section(run)
    table = f'<details><summary>Scores</summary><div class="wide">{scores}</div></details>' if scores else ""
    return f"<article>{image}<h3>{escape(name)}</h3><p>{escape(sentence(run))}</p>{table}</article>"
