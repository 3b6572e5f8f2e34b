"""Counterparts of what systems other than Linux and macOS lack: locks of files, memory, processes.

Modules and functions that Windows does not have are asked for here and in `core/signals.py`, and nowhere else.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:
    msvcrt = None  # type: ignore[assignment]
try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # errors of file systems without locks
ASSUMED_MEMORY_BYTES = 8 * 10**9
LOCKED_BYTE = 2**30  # of a file, on Windows: far beyond its end, so that others can read what is in it
NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # flags to open a plain file alone
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows SIGTERM ends a process at once


def try_lock(file: int) -> bool | None:
    """Take the system's lock on an open file, which ends with the process.

    Returns: false where another process has it, None where there are no such locks.

    Raises:
        OSError: any other of the file system.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            place: Any = msvcrt
            os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
            place.locking(file, place.LK_NBLCK, 1)
        else:
            return None
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def share(file: int) -> None:
    """Mark an open file as used until it is closed, for `is_unused`; without locks an open file cannot be removed."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_SH)


def require_unused(file: int) -> None:
    """Raise an OSError if another process has marked a file as used."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def reserve(file: int, size: int) -> None:
    """Make an open file so many bytes long, and reserve them where the system can.

    Raises:
        OSError: they are not there.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.ftruncate(file, size)


def write_at_start(file: int, content: bytes) -> None:
    """Replace the content of an open file."""
    os.ftruncate(file, 0)
    if hasattr(os, "pwrite"):
        os.pwrite(file, content, 0)
    else:
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, content)
    os.fsync(file)


def physical_memory() -> int:
    """Return the bytes of memory of this machine; ASSUMED_MEMORY_BYTES where the system does not say, as Windows."""
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return ASSUMED_MEMORY_BYTES


def usable_cores() -> int:
    """Return the processor cores that this process may use, within its affinity and the limit of a container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # "max" where there is no limit
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def peak_memory() -> float:
    """Return the most bytes of memory that this process held so far; 0 where the system does not say, as Windows."""
    # Not getrusage first: on Linux a program begins with the peak of the process that started it.
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    if resource is None:
        return 0.0
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def own_group() -> dict[str, Any]:
    """Return the arguments with which Popen starts a process that Ctrl-C in this terminal does not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def ask_to_end(process: subprocess.Popen[Any]) -> None:
    """Ask a process that was started with `own_group` to save and end."""
    process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))


def kill_group(process: subprocess.Popen[Any]) -> None:
    """Kill a process that was started with `own_group`, and the processes that it started where the system can."""
    try:
        os.killpg(process.pid, KILL)
    except (AttributeError, ProcessLookupError):
        process.kill()
