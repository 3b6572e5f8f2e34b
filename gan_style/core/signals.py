"""Signals that ask for an end, of verbs and of a training that is being prepared; nothing heavy is imported here.

Of several signals in quick succession only the first one counts, so that the others do not interrupt its cleaning up.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from gan_style.core.errors import Interrupted

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))
BURST_SECONDS = 2.0  # after a signal, in which further ones count as the same request
RESEND_SECONDS = 0.1  # after which a postponed signal is sent again
MAX_CLEANUP_SECONDS = 5.0  # from a second request during the cleaning up until the process is ended at once

received: list[int] = []
before_the_end: list[Callable[[], None]] = []  # called by `end`, which skips Python's own cleaning up
_last_request = -float("inf")  # time of the monotonic clock
_postponed: list[int] = []  # a signal that is sent again soon
_waiting_since: float | None = None  # time of the first further request during the cleaning up


def is_new_request(number: int) -> bool:
    """Check whether a signal is a new request: neither of a burst, nor during the cleaning up after another."""
    global _last_request, _waiting_since
    now = time.monotonic()
    if now - _last_request < BURST_SECONDS:
        return False
    if _ending():
        _waiting_since = now if _waiting_since is None else _waiting_since
        if now - _waiting_since > MAX_CLEANUP_SECONDS:
            leave(number)
        return False
    _last_request, _waiting_since = now, None
    return True


def _ending() -> bool:
    """Check whether code runs that cleans up after an interruption, whose exception is being handled."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Interrupted | KeyboardInterrupt):
        error = error.__context__
    return error is not None


def leave(number: int, frame: FrameType | None = None) -> None:
    """End the process at once with one line: a handler for before anything was begun."""
    end("interrupted", first=int(os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0"))) == 0)


def end(sentence: str, *, first: bool) -> None:
    """End this process here and now.

    Args:
        sentence: why.
        first: whether it is the first process of its run, the only one that prints.
    """
    if first:
        os.write(2, f"gan_style: {sentence}\n".encode(errors="backslashreplace"))
    for release in before_the_end:
        release()
    os._exit(130 if first else 0)  # any other status makes Lightning kill the first process


def interrupt(number: int, frame: FrameType | None = None) -> None:
    """Handle SIGINT and SIGTERM while a run is being prepared.

    The signal is noted too: Python drops an exception that is raised inside a callback of the garbage collector or
    swallowed by a library's bare `except`.
    """
    received.append(number)
    _raise(Interrupted("interrupted before training began"), number, frame)


def stop(number: int, frame: FrameType | None = None) -> None:
    """Handle SIGINT and SIGTERM in a verb: raise KeyboardInterrupt, so that half-written files are removed."""
    _raise(KeyboardInterrupt(), number, frame)


def _raise(error: BaseException, number: int, frame: FrameType | None) -> None:
    """Raise the error for a new request; during an import only after it, as some libraries end the process there."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            if not _postponed:
                _postponed.append(number)
                _thread.start_new_thread(_send_again, (number,))  # not by `threading`, whose locks this thread may hold
            return
        frame = frame.f_back
    if is_new_request(number):
        raise error


def _send_again(number: int) -> None:
    time.sleep(RESEND_SECONDS)
    _postponed.clear()
    if sys.platform == "win32":  # where os.kill ends the process
        signal.raise_signal(number)
    else:
        os.kill(os.getpid(), number)


def listening() -> AbstractContextManager[None]:
    """Handle SIGINT and SIGTERM by `interrupt` inside a `with` block; training replaces it when it begins."""
    return _handled(interrupt)


def stoppable() -> AbstractContextManager[None]:
    """Handle SIGINT and SIGTERM by KeyboardInterrupt inside a `with` block."""
    return _handled(stop)


def asking(request: Callable[[], None]) -> AbstractContextManager[None]:
    """Call a function at the first SIGINT or SIGTERM inside a `with` block; further ones raise KeyboardInterrupt."""
    asked = False

    def handler(number: int, frame: FrameType | None = None) -> None:
        nonlocal asked
        if asked:
            stop(number, frame)
        elif is_new_request(number):
            asked = True
            request()

    return _handled(handler)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle signals inside a `with` block; after an interruption they are ignored, as the process is about to end.

    In a thread, where Python sets no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    after = {number: signal.signal(number, handler) for number in ENDING}
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        after = dict.fromkeys(ENDING, signal.SIG_IGN)
        raise
    finally:
        for number, action in after.items():
            signal.signal(number, action)


def hold_back() -> None:
    """Block signals from now on, also across `exec`, until the new program calls `begin`."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def begin() -> None:
    """End the process at once with one line at a signal, until a command sets its own handlers."""
    for number in ENDING:
        signal.signal(number, leave)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


@contextmanager
def command() -> Iterator[None]:
    """Wrap a whole process: before its command sets handlers a signal ends it with one line, after it none does."""
    begin()
    try:
        yield
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)


def raise_if_received() -> None:
    """Raise Interrupted for a signal whose exception was lost, see `interrupt`."""
    if received:
        raise Interrupted("interrupted before training began")
