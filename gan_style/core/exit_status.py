"""End of a command: one line on stderr, and its exit status."""

from __future__ import annotations

import errno
from collections.abc import Callable

from gan_style.core import memory
from gan_style.core.errors import Interrupted, UserError
from gan_style.core.paths import cannot_use
from gan_style.core.terminal import warn

FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk; `write` raises them without the name of the file


def exit_status(work: Callable[[], object], verb: str, unnamed: str = "a file") -> int:
    """Run a command, print one line where it fails, and return its exit status.

    Args:
        work: the command; it may return a status of its own.
        verb: of the command; its advice is printed where memory runs out.
        unnamed: what to call a file whose name the system does not say, as where a disk is full.

    Returns:
        0 done (or what the work returned), 2 the user's mistake, or a machine without memory or a file it refuses, 130
        interrupted.
    """
    try:
        status = work()
    except UserError as error:
        warn(f"gan_style: {error}")
        return 2
    except (Interrupted, KeyboardInterrupt) as error:
        warn(f"gan_style: {str(error) or 'interrupted'}")
        return 130
    except Exception as error:
        if memory.ran_out(error):
            warn(f"gan_style: {memory.sentence(error, memory.advice_of(verb))}")
        elif isinstance(error, OSError) and error.errno in FULL:
            warn(f"gan_style: {cannot_use(error, unnamed)}: free some space")
        elif isinstance(error, OSError) and None not in (error.errno, error.filename):
            warn(f"gan_style: {cannot_use(error)}: check its name, its rights and the disk")
        else:
            raise  # a fault of ours, or a closed pipe
        return 2
    return status if isinstance(status, int) else 0
