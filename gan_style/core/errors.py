"""Errors, by who can correct them. Each message is one sentence on one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gan_style.core.paths import printable


class UserError(ValueError):
    """A mistake that the user can correct; shown as one line, exit status 2.

    The message names the file or key, what was expected and what to do.
    """

    def __str__(self) -> str:
        # A loader worker passes an error on as the text of its whole traceback; our sentence is its last line.
        text = super().__str__()
        # Names of files in it may hold line breaks and control characters.
        return printable(text.rstrip().rsplit("UserError: ", 1)[-1] if "\n" in text else text)


class ContentError(UserError):
    """Fault of the content of a file: the end of a sentence that begins with the file's name.

    Raised by what is handed a file's bytes, and named where the file was opened (`data.opened.named_bytes`).
    """

    def of(self, name: object) -> UserError:
        """Return the whole sentence."""
        return UserError(f"{name} {self}")


class TrainingFailed(Exception):  # noqa: N818 (an event, as Interrupted)
    """Training that cannot go on, for example after a loss that is not finite; shown as one line, exit status 1."""

    def __str__(self) -> str:
        return printable(super().__str__())


class Interrupted(BaseException):
    """A signal that asked for an end, after the run was saved; exit status 130.

    Like KeyboardInterrupt not an `Exception`, so that no `except Exception` takes it for a failure.
    """


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """Return `: did you mean x?`, or the list of known words where none is near.

    Dashes before an option are not compared, and it has to be nearer: options are short, and --lr is no --run.
    """
    names = sorted({str(k) for k in known})
    bare = {name.lstrip("-"): name for name in names}
    nearest = difflib.get_close_matches(word.lstrip("-"), bare, n=1, cutoff=0.75 if word.startswith("-") else 0.6)
    return f": did you mean {bare[nearest[0]]}?" if nearest else f"; there are: {', '.join(names)}"
