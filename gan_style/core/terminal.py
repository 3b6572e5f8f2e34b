"""Output to the terminal: the only place that prints, so that no file's name can send control sequences."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from gan_style.core.paths import printable


def say(text: object, *, flush: bool = False) -> None:
    """Print one line on stdout, with control characters and line breaks escaped.

    Args:
        text: the line.
        flush: write it at once, also into a file or a pipe.
    """
    print(printable(str(text)), flush=flush)


def warn(text: object) -> None:
    """Print one line on stderr, escaped likewise."""
    print(printable(str(text)), file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """Parser that escapes control characters in its messages: arguments may be file names that a shell expanded."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))
