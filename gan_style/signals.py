"""A wish to end that comes before training listens for it; nothing heavy is imported here."""

from __future__ import annotations

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


def raise_if_received() -> None:
    """Raise what was lost.

    Raises:
        Interrupted: a signal came before training began.
    """
    if received:
        raise Interrupted("interrupted before training began")
