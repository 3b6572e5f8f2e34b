"""Signals that ask for an end, of verbs and of a training that does not listen yet; nothing heavy is imported here."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from gan_style.errors import Interrupted

received: list[int] = []


def interrupt(number: int, frame: FrameType | None = None) -> None:
    """Handler of SIGINT and SIGTERM while a run is being prepared.

    The signal is noted too: Python drops an exception that is raised inside a callback of the garbage collector or
    swallowed by a library's bare `except`, and many libraries are being imported at that time.
    """
    received.append(number)
    raise Interrupted("interrupted before training began")


def listening() -> AbstractContextManager[None]:
    """Inside, SIGINT and SIGTERM are heard; training takes over when it begins."""
    return _handled(interrupt, signal.SIGINT, signal.SIGTERM)


def terminating_as_interrupting() -> AbstractContextManager[None]:
    """Inside, SIGTERM raises KeyboardInterrupt as Ctrl-C does, so that what is half written is removed."""
    return _handled(signal.default_int_handler, signal.SIGTERM)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object], *numbers: signal.Signals) -> Iterator[None]:
    """Inside, signals go to a handler; in a thread, where Python sets none, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def raise_if_received() -> None:
    """Raise what was lost.

    Raises:
        Interrupted: a signal came before training began.
    """
    if received:
        raise Interrupted("interrupted before training began")
