"""Serve a model over HTTP: `gan-style serve` of a checkout, whose `--help` lists the options."""

from __future__ import annotations

import sys

from gan_style.cli import main as verbs
from gan_style.core.signals import command


def main(arguments: list[str] | None = None) -> int:
    """Run the verb; its exit status: 0 done, 2 the user's mistake, 130 interrupted before it served."""
    return verbs.main(["serve", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    with command():
        sys.exit(main())
