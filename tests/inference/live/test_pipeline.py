"""What goes wrong in a thread of `gan-style live` is raised, however late anybody asks; and one thread computes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gan_style.inference.images import given_image
from gan_style.inference.live import pipeline
from gan_style.inference.video.reading import Frame


def frames(count: int, then: Exception | None = None) -> Iterator[Frame]:
    for number in range(count):
        yield Frame(np.zeros((8, 8, 3), np.uint8), number, 1)
    if then:
        raise then


def nothing(*_: Any) -> None:
    pass


class First(futures.ThreadPoolExecutor):
    """Its thread runs as far as it can before anybody else goes on, as those of `threads_go_first`."""

    def submit(self, *work: Any, **options: Any) -> futures.Future[Any]:
        future = super().submit(*work, **options)
        futures.wait([future], 1)
        return future


def run(source: Iterator[Frame], convert: Any, between: Any = nothing, computing: Any = None) -> pipeline.Counts:
    given: Any = SimpleNamespace(frames=lambda: source)
    options: Any = {"side": 8, "drop": computing is None, "realtime": False, "stop": threading.Event()}
    with computing or First(1) as one:
        return pipeline.run(given, convert, nothing, computing=one, **options, between=between, report=nothing)


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


def test_one_thread_computes() -> None:
    computing, seen = futures.ThreadPoolExecutor(1), set()

    def convert(frame: Any) -> Any:
        seen.add(threading.get_ident())
        return frame

    made = computing.submit(threading.get_ident).result()
    counts = run(frames(3), convert, between=lambda: seen.add(threading.get_ident()), computing=computing)
    assert counts.frames == 3
    assert seen == {made}


def test_frames_are_shortened_as_elsewhere() -> None:
    image, seen = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8), []
    run(iter([Frame(image, 0, 1)]), lambda frame: seen.append(frame) or frame, computing=futures.ThreadPoolExecutor(1))
    assert torch.equal(seen[0], given_image(image, side=8).images)


def test_an_error_is_kept_until_somebody_asks_whether_all_is_done() -> None:
    slot = pipeline.Slot[int](drop=True)
    slot.put(1)
    slot.end(ValueError("late"))
    assert not slot.done
    assert slot.get() == 1
    with pytest.raises(ValueError, match="late"):
        assert slot.done
