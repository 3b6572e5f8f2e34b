"""Lock of a run folder, the file `.lock` in it: only one run at a time may train into a folder.

On one machine the operating system's lock on that file decides; it ends with its process, however that ends. On network
file systems such locks may be missing, or known to one machine alone. There the file itself decides: only one process
can create it, its holder touches it every few seconds (a heartbeat), and a process that finds the lock file of another
machine waits for a heartbeat before it takes over.
"""

from __future__ import annotations

import atexit
import contextlib
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
from gan_style.core.machine import NO_LINKS, try_lock, write_at_start
from gan_style.core.paths import printable
from gan_style.core.signals import before_the_end
from gan_style.core.terminal import say, warn

NAME = ".lock"
HEARTBEAT_SECONDS = 10.0  # between two touches of the file
TAKEOVER_SECONDS = 60.0  # to wait for a heartbeat of a holder on another machine
WRITE_SECONDS = 1.0  # in which a process that has created the file has written into it
POLL_SECONDS = 0.1  # between two looks at the file
MAX_FILE_BYTES = 4096  # that are read


def _machine() -> str:
    """Return an id of this machine since its start, different on all others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:  # on systems other than Linux
        return socket.gethostname()


@dataclass(frozen=True)
class Holder:
    """Holder of a folder, as written in its lock file; `token` is unique for each time that it is held."""

    process: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    machine: str = field(default_factory=_machine)
    since: str = field(default_factory=lambda: datetime.now().astimezone().isoformat(" ", "seconds"))
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def __str__(self) -> str:
        return f"process {self.process} on {printable(self.host)} since {printable(self.since)}"


def read(path: Path) -> Holder | None:
    """Read the holder from a lock file; None where there is no such file, or an incomplete one."""
    try:
        file = os.open(path, os.O_RDONLY | NO_LINKS)
        try:
            content = os.read(file, MAX_FILE_BYTES)
        finally:
            os.close(file)
        found = Holder(**json.loads(content))
    except (OSError, ValueError, TypeError):
        return None
    kinds = (type(found.process) is int, *(isinstance(v, str) for k, v in vars(found).items() if k != "process"))
    return found if all(kinds) else None


class RunLock:
    """Lock of one run folder.

    Args:
        folder: of the run; created where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self.holder = Holder()
        self._created: list[Path] = []  # folders that did not exist
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
            self._created = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
            while self._file is None:
                self._try_once()
            threading.Thread(target=self._send_heartbeats, daemon=True).start()
        except BaseException as error:
            self.release()
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(self.folder)
            raise

    def _try_once(self) -> None:
        """Try once to take the lock; `_file` stays None where the file was removed meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            file, made = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINKS, 0o644), True
        except FileExistsError:
            try:
                file, made = os.open(self.path, os.O_RDWR | NO_LINKS), False
            except FileNotFoundError:  # released meanwhile
                return
        except FileNotFoundError:  # and the folder with it
            return
        taken = False
        try:
            before = None if made else _read_whole(self.path)
            alone = try_lock(file)
            if alone is False:
                raise self._refusal(read(self.path) or before)
            if not _is_same_file(file, self.path):  # released meanwhile
                return
            certain = made or (alone and (before is None or before.machine == self.holder.machine))
            if not certain and not self._is_abandoned(before):
                return
            self._write(file)
            if not certain:  # two processes may have waited: the last one to write gets it
                time.sleep(WRITE_SECONDS)
                if (now := read(self.path)) != self.holder:
                    raise self._refusal(now)
            if before is not None:
                say(f"note: {self.path} names {before}, which holds it no longer: this run takes over", flush=True)
            taken = True
        except BaseException as error:
            if made and not isinstance(error, UserError):  # for example where the disk is full
                self.path.unlink(missing_ok=True)
            raise
        finally:
            if not taken:
                os.close(file)
        self._file = file

    def _is_abandoned(self, before: Holder | None) -> bool:
        """Wait for a heartbeat of a holder without a lock of the system; false where the file is removed meanwhile.

        Raises:
            UserError: there was a heartbeat.
        """
        who = before or "another process"
        why = "and no lock of the system tells whether it still runs"
        say(f"note: {self.path} names {who}, {why}: waiting {TAKEOVER_SECONDS:.0f} s for a sign of it", flush=True)
        first, end = _heartbeat(self.path), time.monotonic() + TAKEOVER_SECONDS
        while time.monotonic() < end:
            time.sleep(min(POLL_SECONDS, TAKEOVER_SECONDS))
            heartbeat = _heartbeat(self.path)
            if heartbeat is None:
                return False
            if heartbeat != first:
                raise self._refusal(read(self.path) or before)
        return True

    def _refusal(self, holder: Holder | None) -> UserError:
        who = holder or f"a process that has just made {self.path}"
        return UserError(
            f"run_dir={self.folder} belongs to {who}, which trains into it: wait for its end, stop it there, or name "
            "another run_dir"
        )

    def _write(self, file: int) -> None:
        write_at_start(file, json.dumps(asdict(self.holder)).encode() + b"\n")

    def _send_heartbeats(self) -> None:
        """Touch the file regularly; end this process if another machine has taken the folder over."""
        while not self._over.wait(HEARTBEAT_SECONDS):
            now = read(self.path)
            if now == self.holder:
                with contextlib.suppress(OSError):
                    os.utime(self.path)
            elif now is not None and not self._over.is_set():
                said = f"{self.folder} was taken over by {now}, which found no sign of this run: it ends here"
                warn(f"gan_style: {said}")
                os._exit(1)

    def release(self) -> None:
        """Release the folder, and remove folders that were created and are still empty; may be called again."""
        if self.holder.process != os.getpid():  # a fork of the holder
            return
        self._over.set()
        with contextlib.suppress(OSError):
            if read(self.path) == self.holder:
                self.path.unlink()
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)
        for folder in self._created:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if self in _held:
            _held.remove(self)


def _read_whole(path: Path) -> Holder | None:
    """Read the holder, waiting for it to be written; None where it is not."""
    end = time.monotonic() + WRITE_SECONDS
    while (found := read(path)) is None and time.monotonic() < end and path.exists():
        time.sleep(POLL_SECONDS / 10)
    return found


def _is_same_file(file: int, path: Path) -> bool:
    """Check whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


def _heartbeat(path: Path) -> tuple[int, Holder | None] | None:
    """Return values that change with each heartbeat; None where the file is gone."""
    holder = read(path)  # opens the file, which on a network file system refreshes its attributes
    try:
        return path.stat().st_mtime_ns, holder
    except FileNotFoundError:
        return None


_held: list[RunLock] = []


def release_all() -> None:
    """Release all locks of this process, before it ends without running its cleaning up."""
    for lock in list(_held):
        lock.release()


def _drop_after_fork() -> None:
    """Close the locks in a forked process, such as a loader worker: else it holds them after its parent's death."""
    for lock in _held:
        if lock._file is not None:
            os.close(lock._file)
            lock._file = None
    _held.clear()


before_the_end.append(release_all)
atexit.register(release_all)  # in case a signal interrupted a release
if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_drop_after_fork)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run folder inside a `with` block.

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
