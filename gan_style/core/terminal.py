"""Output to the terminal: the only place that prints, so that no file's name can send control sequences."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from gan_style.core.errors import did_you_mean
from gan_style.core.paths import printable

QUIET = "GAN_STYLE_QUIET"  # in the environment, so that processes that a command starts are quiet, too


def is_quiet() -> bool:
    """Check whether a command was asked for nothing but its answer and its errors."""
    return os.environ.get(QUIET, "0") not in ("", "0")


@contextmanager
def hushed(wanted: bool) -> Iterator[None]:
    """Make `say` print nothing inside a `with` block, if that is wanted; processes started there are quiet, too."""
    before = os.environ.get(QUIET)
    if wanted:
        os.environ[QUIET] = "1"
    try:
        yield
    finally:
        if wanted:
            os.environ.pop(QUIET)
        if wanted and before is not None:
            os.environ[QUIET] = before


def say(text: object, *, flush: bool = False) -> None:
    """Print one line on stdout about what is done, with control characters and line breaks escaped; none where quiet.

    Args:
        text: the line.
        flush: write it at once, also into a file or a pipe.
    """
    if not is_quiet():
        answer(text, flush=flush)


def answer(text: object, *, flush: bool = False) -> None:
    """Print one line of what a command was asked for, escaped likewise."""
    try:
        print(printable(str(text)), flush=flush)
    except BrokenPipeError:
        _leave_unread()


def settle() -> None:
    """Write what is left for stdout; without a word where its reader, such as head, has seen enough and left.

    A process without a terminal, as of pythonw, has no stdout.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _leave_unread()


def _leave_unread() -> None:
    """Send what follows on stdout nowhere, so that the command ends as it would; Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(text: object) -> None:
    """Print one line on stderr, escaped likewise."""
    print(printable(str(text)), file=sys.stderr)


# Sentences of argparse.
_INVALID_CHOICE = re.compile(r"argument (.+): invalid choice: '(.*)' \(choose from (.*)\)", re.DOTALL)
_INVALID_VALUE = re.compile(r"argument (.+): invalid (\w+) value: (.*)", re.DOTALL)
_MISSING = "the following arguments are required: "
_KINDS = {"int": "a whole number", "float": "a number"}


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one sentence on stderr, as all of ours, without argparse's lines about usage.

    A word that is none of several choices is answered with the nearest one. Control characters are escaped: arguments
    may be file names that a shell expanded.
    """

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with status 2."""
        page = f"see {self.prog} --help"
        if found := _INVALID_CHOICE.fullmatch(message):
            argument, value, choices = found.groups()
            known = [choice.strip("'") for choice in choices.split(", ")]
            said = f"{argument} {value!r} is not known{did_you_mean(value, known)}"
        elif found := _INVALID_VALUE.fullmatch(message):
            argument, kind, value = found.groups()
            said = f"{argument} {value} is not {_KINDS.get(kind, 'such a value')}: {page}"
        elif message.startswith(_MISSING):
            said = f"{self.prog} needs {message.removeprefix(_MISSING)}: {page}"
        else:
            said = message.removeprefix("argument ")
            said += "" if "did you mean" in said or "there are:" in said else f": {page}"
        warn(f"gan_style: {said}")
        sys.exit(2)
