"""A run folder belongs to one run at a time: whoever trains into it holds the file `.lock` there.

On one machine the system's own lock on that file decides: it ends with its process, however that ends. Over a network
such locks may be missing, or known to one machine alone. There the file decides: only one process can make it, whoever
holds it touches it every few seconds, and whoever finds one of another machine waits for such a sign.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from gan_style.core.errors import UserError
from gan_style.core.paths import printable
from gan_style.core.signals import before_the_end
from gan_style.core.terminal import say, warn

NAME = ".lock"
BEAT = 10.0  # seconds between two signs of life
PATIENCE = 60.0  # seconds to wait for one, of a holder on another machine
WRITING = 1.0  # seconds in which whoever has made the file has written into it
LOOK = 0.1  # seconds between two looks at the file
MOST = 4096  # bytes that are read of it

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # of file systems that have none


def _machine() -> str:
    """What tells this machine, since it was started, from all others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # elsewhere than on Linux
        return socket.gethostname()


@dataclass(frozen=True)
class Holder:
    """Who holds a folder, as its lock file says; `token` tells one holding from another."""

    process: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    machine: str = field(default_factory=_machine)
    since: str = field(default_factory=lambda: datetime.now().astimezone().isoformat(" ", "seconds"))
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def __str__(self) -> str:
        return f"process {self.process} on {printable(self.host)} since {printable(self.since)}"


def read(path: Path) -> Holder | None:
    """Who a lock file names; None where there is no such file, or nothing whole in it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            content = os.read(file, MOST)
        finally:
            os.close(file)
        found = Holder(**json.loads(content))
    except (OSError, ValueError, TypeError):
        return None
    kinds = (type(found.process) is int, *(isinstance(v, str) for k, v in vars(found).items() if k != "process"))
    return found if all(kinds) else None


class RunLock:
    """The lock of one run folder.

    Args:
        folder: of the run; it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self.holder = Holder()
        self._made: list[Path] = []  # folders that were not there
        self._file: int | None = None
        self._over = threading.Event()

    def take(self) -> None:
        """Hold the folder until `release`, or the end of this process.

        Raises:
            UserError: another run holds it.
            OSError: the folder cannot be made or written.
        """
        _held.append(self)
        try:
            self._made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
            while self._file is None:
                self._try()
            threading.Thread(target=self._give_signs, daemon=True).start()
        except BaseException as error:
            self.release()
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(self.folder)
            raise

    def _try(self) -> None:
        """One try: `_file` stays None where the file went away meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            file, made = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), True
        except FileExistsError:
            try:
                file, made = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK), False
            except FileNotFoundError:  # released meanwhile
                return
        except FileNotFoundError:  # and the folder with it
            return
        taken = False
        try:
            before = None if made else _read_whole(self.path)
            alone = _locked(file)
            if alone is False:
                raise self._refusal(read(self.path) or before)
            if not _is(file, self.path):  # released meanwhile
                return
            certain = made or (alone and (before is None or before.machine == self.holder.machine))
            if not certain and not self._left_behind(before):
                return
            self._write(file)
            if not certain:  # two may have waited side by side: the one that wrote last has it
                time.sleep(WRITING)
                if (now := read(self.path)) != self.holder:
                    raise self._refusal(now)
            if before is not None:
                say(f"note: {self.path} names {before}, which holds it no longer: this run takes over", flush=True)
            taken = True
        except BaseException as error:
            if made and not isinstance(error, UserError):  # such as a full disk
                self.path.unlink(missing_ok=True)
            raise
        finally:
            if not taken:
                os.close(file)
        self._file = file

    def _left_behind(self, before: Holder | None) -> bool:
        """Wait for a sign of a holder that no lock of the system tells of; false where its file goes away meanwhile.

        Raises:
            UserError: it gave one.
        """
        who = before or "another process"
        why = "and no lock of the system tells whether it still runs"
        say(f"note: {self.path} names {who}, {why}: waiting {PATIENCE:.0f} s for a sign of it", flush=True)
        first, end = _trace(self.path), time.monotonic() + PATIENCE
        while time.monotonic() < end:
            time.sleep(min(LOOK, PATIENCE))
            trace = _trace(self.path)
            if trace is None:
                return False
            if trace != first:
                raise self._refusal(read(self.path) or before)
        return True

    def _refusal(self, holder: Holder | None) -> UserError:
        who = holder or f"a process that has just made {self.path}"
        return UserError(
            f"run_dir={self.folder} belongs to {who}, which trains into it: wait for its end, stop it there, or name "
            "another run_dir"
        )

    def _write(self, file: int) -> None:
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(asdict(self.holder)).encode() + b"\n", 0)
        os.fsync(file)

    def _give_signs(self) -> None:
        """Touch the file, for those who wait on other machines; end this process where one of them has taken it."""
        while not self._over.wait(BEAT):
            now = read(self.path)
            if now == self.holder:
                with contextlib.suppress(OSError):
                    os.utime(self.path)
            elif now is not None and not self._over.is_set():
                said = f"{self.folder} was taken over by {now}, which found no sign of this run: it ends here"
                warn(f"gan_style: {said}")
                os._exit(1)

    def release(self) -> None:
        """Let go; folders that were made and are still empty are removed. Once more does nothing."""
        if self.holder.process != os.getpid():  # a fork of the holder
            return
        self._over.set()
        with contextlib.suppress(OSError):
            if read(self.path) == self.holder:
                self.path.unlink()
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if self in _held:
            _held.remove(self)


def _read_whole(path: Path) -> Holder | None:
    """Who the file names, once it is written; None where nobody does that."""
    end = time.monotonic() + WRITING
    while (found := read(path)) is None and time.monotonic() < end and path.exists():
        time.sleep(LOOK / 10)
    return found


def _locked(file: int) -> bool | None:
    """Take the system's lock: false where another process has it, None where there is no such lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def _is(file: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


def _trace(path: Path) -> tuple[int, Holder | None] | None:
    """What changes with a sign of life; None where the file is gone. It is opened: a network's copies may be old."""
    holder = read(path)
    try:
        return path.stat().st_mtime_ns, holder
    except FileNotFoundError:
        return None


_held: list[RunLock] = []


def release_all() -> None:
    """Let go of what this process holds, before it ends in another way than its code does."""
    for lock in list(_held):
        lock.release()


def _leave_to_the_parent() -> None:
    """A forked process, such as a loader worker, must not hold the folder when its parent was killed."""
    for lock in _held:
        if lock._file is not None:
            os.close(lock._file)
            lock._file = None
    _held.clear()


before_the_end.append(release_all)
atexit.register(release_all)  # where a signal came in the midst of a release
os.register_at_fork(after_in_child=_leave_to_the_parent)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Inside, the run folder is this process's alone.

    Raises:
        UserError: another run holds it.
        OSError: the folder cannot be made or written.
    """
    lock = RunLock(folder)
    try:
        lock.take()
        yield
    finally:
        lock.release()
