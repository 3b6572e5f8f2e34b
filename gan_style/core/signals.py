"""Signals that ask for an end, of verbs and of a training that does not listen yet; nothing heavy is imported here.

Of several in quick succession, as an impatient hand sends them, one is heard: what cleans up behind it is left alone.
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

ENDING = (signal.SIGINT, signal.SIGTERM)
BURST = 2.0  # seconds after a signal in which more of them mean the same wish
LATER = 0.1  # seconds after which a signal is looked at again
LONGEST = 5.0  # seconds that who asks again, while the end is being made, has to wait for it

received: list[int] = []
before_the_end: list[Callable[[], None]] = []  # of a process that ends where it is
_heard = -float("inf")  # when the last one was, by the monotonic clock
_postponed: list[int] = []  # a signal that is looked at again soon
_waiting: float | None = None  # since when somebody asks again while the end is being made


def heard(number: int) -> bool:
    """Whether a signal is a new wish, and not one more of a burst or of an end that is under way already."""
    global _heard, _waiting
    now = time.monotonic()
    if now - _heard < BURST:
        return False
    if _ending():
        _waiting = now if _waiting is None else _waiting
        if now - _waiting > LONGEST:
            leave(number)
        return False
    _heard, _waiting = now, None
    return True


def _ending() -> bool:
    """Whether code runs that cleans up behind an interruption, which is on its way up."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Interrupted | KeyboardInterrupt):
        error = error.__context__
    return error is not None


def leave(number: int, frame: FrameType | None = None) -> None:
    """Handler before anything was begun, and for who waited too long: ends the process here, with one line."""
    end("interrupted", first=int(os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0"))) == 0)


def end(sentence: str, *, first: bool) -> None:
    """End this process here and now.

    Args:
        sentence: why.
        first: whether it is the first process of its run, which speaks for all.
    """
    if first:
        os.write(2, f"gan_style: {sentence}\n".encode(errors="backslashreplace"))
    for release in before_the_end:
        release()
    os._exit(130 if first else 0)  # for anything else Lightning would kill the first before it can say so


def interrupt(number: int, frame: FrameType | None = None) -> None:
    """Handler of SIGINT and SIGTERM while a run is being prepared.

    The signal is noted too: Python drops an exception that is raised inside a callback of the garbage collector or
    swallowed by a library's bare `except`.
    """
    received.append(number)
    _raise(Interrupted("interrupted before training began"), number, frame)


def stop(number: int, frame: FrameType | None = None) -> None:
    """Handler of SIGINT and SIGTERM in a verb: KeyboardInterrupt, so that what is half written is removed."""
    _raise(KeyboardInterrupt(), number, frame)


def _raise(error: BaseException, number: int, frame: FrameType | None) -> None:
    """Raise for a new wish; behind an import, for a library whose start is broken off may end the whole process."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            if not _postponed:
                _postponed.append(number)
                _thread.start_new_thread(_again, (number,))  # not by `threading`, whose locks this thread may hold
            return
        frame = frame.f_back
    if heard(number):
        raise error


def _again(number: int) -> None:
    time.sleep(LATER)
    _postponed.clear()
    os.kill(os.getpid(), number)


def listening() -> AbstractContextManager[None]:
    """Inside, SIGINT and SIGTERM are heard; training takes over when it begins."""
    return _handled(interrupt)


def stoppable() -> AbstractContextManager[None]:
    """Inside, SIGINT and SIGTERM raise KeyboardInterrupt."""
    return _handled(stop)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Inside, signals go to a handler, and after an interruption to nobody: the process has only to say so.

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
    """Signals wait from now on, also for the program that this process becomes by `exec`, until it begins."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def begin() -> None:
    """From now on, until a command listens, a signal ends the process at once with one line."""
    for number in ENDING:
        signal.signal(number, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


@contextmanager
def command() -> Iterator[None]:
    """Around a whole process: before its command listens a signal ends it with one line, and behind it none does."""
    begin()
    try:
        yield
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)


def raise_if_received() -> None:
    """Raise what was lost.

    Raises:
        Interrupted: a signal came before training began.
    """
    if received:
        raise Interrupted("interrupted before training began")
