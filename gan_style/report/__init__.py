"""The report of a run, or of several beside each other: one self-contained HTML file made from their folders."""

import os
from dataclasses import replace
from pathlib import Path

from gan_style.core.errors import UserError
from gan_style.core.paths import resolved, write_whole
from gan_style.report.comparison import render_comparison
from gan_style.report.page import render
from gan_style.report.read import find_runs, read_run

__all__ = ["write_report"]


def write_report(*folders: Path, out: Path | None = None) -> Path:
    """Write the report of one run, or a page that compares several.

    A report is made from whatever a run folder holds of ``config.yaml``, ``metrics.csv``, ``scores.json``,
    ``run.json`` and ``images/iteration-*.png``; a missing piece is named in it. The same folders always give the
    same bytes.

    Args:
        folders: Of runs, or folders of such folders, as a sweep makes.
        out: The file; None for ``report.html`` in the one folder that is given.

    Returns:
        The path of the written report.

    Raises:
        UserError: If a folder is missing or holds no run, or it is not said where to write.
    """
    runs: dict[Path, None] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"there is no run folder {folder}: name the folder that a training made")
        found = find_runs(folder)
        if not found:
            raise UserError(
                f"{folder} is not a run folder, nor a folder of such: it holds no config.yaml, metrics.csv, "
                "scores.json, run.json or images/iteration-*.png"
            )
        runs |= dict.fromkeys(resolved(path) for path in found)
    if out is None and len(folders) > 1:
        raise UserError("several runs make a page of their own: say where with --out FILE.html")
    target = Path(folders[0]) / "report.html" if out is None else Path(out)
    if target.suffix.lower() != ".html":
        raise UserError(f"--out {target} should end in .html")
    if len(runs) == 1:
        page = render(read_run(next(iter(runs))))
    else:
        # Below what they have in common, so that the page is the same wherever the folders lie.
        above = os.path.commonpath(runs)
        page = render_comparison([replace(read_run(path), folder=str(path.relative_to(above))) for path in runs])
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, page)
    return target
