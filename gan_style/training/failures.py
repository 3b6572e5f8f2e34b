"""Explanations of errors that end a training, for those that a library words in its own way."""

from __future__ import annotations

import re

from gan_style.core import memory

# Messages of gloo and NCCL when another process has ended.
CONNECTION_LOST = re.compile(r"closed by peer|reset by peer|Broken pipe|remote process|NCCL|Socket", re.IGNORECASE)

# Message of a loader when the system has killed one of its workers.
WORKER_LOST = re.compile(r"DataLoader worker .*(killed by signal|exited unexpectedly)", re.DOTALL)


def explained(error: Exception, processes: int) -> str | None:
    """Return a sentence about an error of the machine, not of the user or of this program; None for any other.

    Args:
        error: the one that ended a training.
        processes: number of training processes.
    """
    if isinstance(error, RuntimeError) and WORKER_LOST.search(str(error)):
        return (
            "a loader worker was killed, mostly by the system because memory ran out: lower data.num_workers, "
            "data.batch_size or data.cache"
        )
    if memory.ran_out(error):
        return memory.sentence(error, memory.advice_of("train"))
    if processes > 1 and isinstance(error, RuntimeError) and CONNECTION_LOST.search(str(error)):
        return "another process of the run ended, see its message above"
    return None
