"""What can go wrong, by who can mend it. Each message is one sentence on one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gan_style.core.paths import printable


class UserError(ValueError):
    """A mistake that the user can mend; shown as one line, exit status 2.

    The message names the file or key, what was expected and what to do.
    """

    def __str__(self) -> str:
        # A worker of a data loader hands an error on as its whole traceback; our sentence is its last line.
        text = super().__str__()
        # A line for the terminal, a page and a file alike, whatever the names in it hold.
        return printable(text.rstrip().rsplit("UserError: ", 1)[-1] if "\n" in text else text)


class TrainingFailed(Exception):  # noqa: N818 (an event, as Interrupted)
    """Training cannot go on, for example a loss that is not finite; shown as one line, exit status 1."""

    def __str__(self) -> str:
        return printable(super().__str__())


class Interrupted(BaseException):
    """A signal asked for an end and the run was saved; exit status 130.

    Like KeyboardInterrupt no `Exception`, so that no `except Exception` on its way takes it for a failure.
    """


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """`: did you mean x?`, or the list of what there is."""
    words = sorted({str(k) for k in known})
    nearest = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f": did you mean {nearest[0]}?" if nearest else f"; there are: {', '.join(words)}"
