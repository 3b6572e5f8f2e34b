"""`gan-style VERB ...`: everything but experiments. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gan_style.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return its exit status: 0 done, 2 the user's mistake."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["train"]:
        # In this process's place: Hydra and the launcher of several devices both read the command line again, and
        # a signal must reach the training itself.
        os.execv(sys.executable, [sys.executable, "-m", "gan_style.train", *words[1:]])
    parsed = _parser().parse_args(words)
    try:
        parsed.run(parsed)
    except UserError as error:
        print(f"gan_style: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    from gan_style import __version__

    parser = argparse.ArgumentParser("gan-style", description="Unpaired image translation and style transfer.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("train", help="train a model: gan-style train model=cyclegan data=scenes (--help for all keys)")
    report = verbs.add_parser("report", help="write report.html of a run folder again")
    report.add_argument("run_dir", type=Path)
    report.set_defaults(run=_report)
    return parser


def _report(parsed: argparse.Namespace) -> None:
    from gan_style.report import write_report

    print(write_report(parsed.run_dir))


if __name__ == "__main__":
    sys.exit(main())
