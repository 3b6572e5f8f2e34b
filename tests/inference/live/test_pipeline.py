"""What goes wrong in a thread of `gan-style live` is raised, however late anybody asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gan_style.inference.live import pipeline
from gan_style.inference.video.reading import Frame


def frames(count: int, then: Exception | None = None) -> Iterator[Frame]:
    for number in range(count):
        yield Frame(np.zeros((8, 8, 3), np.uint8), number, 1)
    if then:
        raise then


def run(source: Iterator[Frame], convert: Any) -> pipeline.Counts:
    nothing: Any = lambda *_: None  # noqa: E731
    given: Any = SimpleNamespace(frames=lambda: source)
    options: Any = {"side": 8, "drop": True, "realtime": False, "stop": threading.Event()}
    return pipeline.run(given, convert, nothing, **options, between=nothing, report=nothing)


@pytest.fixture
def threads_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread runs as far as it can before anybody else goes on."""

    class First(threading.Thread):
        def start(self) -> None:
            super().start()
            self.join(1)

    monkeypatch.setattr(pipeline.threading, "Thread", First)


@pytest.mark.usefixtures("threads_go_first")
def test_a_frame_that_fails_before_the_first_is_asked_for() -> None:
    def fail(frame: Any) -> Any:
        raise ValueError("no such frame")

    with pytest.raises(ValueError, match="no such frame"):
        run(frames(1), fail)


@pytest.mark.usefixtures("threads_go_first")
def test_a_source_that_fails_before_the_first_is_asked_for() -> None:
    with pytest.raises(ValueError, match="no such source"):
        run(frames(0, ValueError("no such source")), lambda frame: frame)


def test_an_error_is_kept_until_somebody_asks_whether_all_is_done() -> None:
    slot = pipeline.Slot[int](drop=True)
    slot.put(1)
    slot.end(ValueError("late"))
    assert not slot.done
    assert slot.get() == 1
    with pytest.raises(ValueError, match="late"):
        assert slot.done
