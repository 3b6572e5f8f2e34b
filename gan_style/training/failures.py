"""Why a training ended, where a library says it in words of its own."""

from __future__ import annotations

import re

from gan_style.core import memory

# What gloo and NCCL say when another process is gone, each in its own words.
CONNECTION_LOST = re.compile(r"closed by peer|reset by peer|Broken pipe|remote process|NCCL|Socket", re.IGNORECASE)

# What a loader says when the system has killed one of its processes.
WORKER_LOST = re.compile(r"DataLoader worker .*(killed by signal|exited unexpectedly)", re.DOTALL)


def explained(error: Exception, processes: int) -> str | None:
    """A sentence about an error that is nobody's mistake and no fault of ours; None for any other.

    Args:
        error: that ended a training.
        processes: that train together.
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
