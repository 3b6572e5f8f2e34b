"""The report of a run: one self-contained HTML file made from the files of a run folder."""

import os
from pathlib import Path

from gan_style.errors import UserError
from gan_style.report.page import render
from gan_style.report.read import read_run

__all__ = ["write_report"]


def write_report(run_dir: Path) -> Path:
    """Writes ``report.html`` into a run folder.

    The report is made from whatever the folder holds of ``config.yaml``, ``metrics.csv``,
    ``scores.json``, ``run.json`` and ``images/iteration-*.png``; a missing piece is named in the
    report. The same folder always gives the same bytes.

    Args:
        run_dir: The folder of one training run.

    Returns:
        The path of the written report.

    Raises:
        UserError: If the folder is missing, or holds none of those files.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise UserError(f"There is no run folder at {run_dir}.")
    run = read_run(run_dir)
    if run.empty:
        raise UserError(
            f"{run_dir} is not a run folder: it holds no config.yaml, metrics.csv, scores.json, "
            "run.json or images/iteration-*.png."
        )
    target = run_dir / "report.html"
    # Not tempfile: its files are readable by their owner only, and a report is made to be passed on.
    partial = run_dir / f".report.html.{os.getpid()}.tmp"
    try:
        partial.write_bytes(render(run).encode("utf-8"))
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target
