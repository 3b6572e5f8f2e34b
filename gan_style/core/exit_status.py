"""End of a command: one line on stderr, and its exit status."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gan_style.core import builds, memory
from gan_style.core.errors import Interrupted, UserError
from gan_style.core.paths import cannot_use
from gan_style.core.terminal import settle, warn

FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk; `write` raises them without the name of the file


@dataclass
class Ending:
    """Exit status of a command: 0 done, unless something sets another one."""

    status: int = 0


@contextmanager
def exit_status(verb: str, unnamed: str = "a file") -> Iterator[Ending]:
    """Print one line where what runs in the `with` block fails, end the block, and keep the exit status.

    Args:
        verb: of the command; its advice is printed where memory runs out.
        unnamed: what to call a file whose name the system does not say, as where a disk is full.

    Yields:
        The ending, whose status is afterwards 0 done (or what was set), 2 the user's mistake, or a machine without
        memory or a file it refuses, 130 interrupted. A fault of ours goes on as it is.
    """
    ending = Ending()
    try:
        try:
            yield ending
        finally:
            settle()
    except UserError as error:
        warn(f"gan_style: {error}")
        ending.status = 2
    except (Interrupted, KeyboardInterrupt) as error:
        warn(f"gan_style: {str(error) or 'interrupted'}")
        ending.status = 130
    except Exception as error:
        if memory.ran_out(error):
            warn(f"gan_style: {memory.sentence(error, memory.advice_of(verb))}")
        elif builds.differ(error):
            warn(f"gan_style: {builds.sentence()}")
        elif isinstance(error, OSError) and error.errno in FULL:
            warn(f"gan_style: {cannot_use(error, unnamed)}: free some space")
        elif isinstance(error, OSError) and None not in (error.errno, error.filename):
            warn(f"gan_style: {cannot_use(error)}: check its name, its rights and the disk")
        else:
            raise
        ending.status = 2
