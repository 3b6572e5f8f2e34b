"""What is said on the terminal: the one place that prints, so that no name of a file can act on it."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from gan_style.core.paths import printable


def say(text: object, *, flush: bool = False) -> None:
    """One line on stdout, whatever the names in it hold; of several lines each is said by itself.

    Args:
        text: the line.
        flush: at once, also into a file or a pipe: for what takes hours.
    """
    print(printable(str(text)), flush=flush)


def warn(text: object) -> None:
    """One line on stderr, likewise."""
    print(printable(str(text)), file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """Obeys no name among the words that it refuses: a shell writes file names in place of a pattern."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))
