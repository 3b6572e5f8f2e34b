"""A signal that comes while a run is prepared ends it, also where the exception of its handler is lost."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gan_style.core import signals
from gan_style.core.errors import Interrupted


@pytest.fixture
def lost() -> Iterator[None]:
    """A signal whose exception a library swallowed."""
    with contextlib.suppress(BaseException):
        signals.interrupt(signal.SIGTERM)
    yield
    signals.received.clear()


def test_a_library_that_swallows_errors_does_not_swallow_it() -> None:
    with pytest.raises(Interrupted), contextlib.suppress(Exception):
        signals.interrupt(signal.SIGTERM)
    assert signals.received == [signal.SIGTERM]
    signals.received.clear()


@pytest.mark.usefixtures("lost")
def test_what_was_lost_ends_the_run_before_it_trains(run: Callable[..., Path], tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="before training began"):
        run("run", "trainer.max_steps=2")
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_handlers_from_before_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with signals.listening():
        assert signal.getsignal(signal.SIGINT) is signals.interrupt
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
