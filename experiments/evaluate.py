"""Score all checkpoints of a run or a sweep: `gan-style table` of a checkout, whose `--help` lists the keys."""

from __future__ import annotations

import sys

from gan_style.cli import main as verbs
from gan_style.core.signals import command


def main(arguments: list[str] | None = None) -> int:
    """Run the verb; its exit status: 0 done, 2 the user's mistake, 130 interrupted."""
    return verbs.main(["table", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    with command():
        sys.exit(main())
