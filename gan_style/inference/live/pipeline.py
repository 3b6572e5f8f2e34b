"""Pipeline of threads: one reads, one translates, and the caller's writes, with room for one frame between them.

All of torch's work is done in one of them. Each thread that begins such work gets OpenMP's threads of its own, and
where there are more of these than processors none of them waits awake for the next layer: a small network takes half
as long again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_style.data.images import to_tensor, to_uint8
from gan_style.inference.images import shortened
from gan_style.inference.live.sources import Source
from gan_style.inference.video.reading import Frame

T = TypeVar("T")
WAIT_SECONDS = 0.1  # after which a thread without frames looks whether it should end
REMEMBERED = 10_000  # delays of the last frames, that the summary is about


class Slot(Generic[T]):
    """Place for one item between two threads: while it is taken the giver waits, or with `drop` replaces the item."""

    def __init__(self, *, drop: bool) -> None:
        self.dropped = 0
        self._drop = drop
        self._items: list[T] = []
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Add an item; False if nobody takes any more."""
        with self._changed:
            if self._drop and self._items:
                self._items.clear()
                self.dropped += 1
            self._changed.wait_for(lambda: not self._items or self._closed)
            self._items.append(item)
            self._changed.notify_all()
            return not self._closed

    def get(self) -> T | None:
        """Take the next item; None if none came within `WAIT_SECONDS`.

        Raises:
            BaseException: what ended the giver.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended, WAIT_SECONDS)
            if self._items:
                self._changed.notify_all()
                return self._items.pop()
            if self._error:
                raise self._error
            return None

    @property
    def done(self) -> bool:
        """True after the last item was taken.

        Raises:
            Exception: of `end`, which may have come after the last `get`.
        """
        with self._changed:
            over = self._ended and not self._items
            if over and self._error:
                raise self._error
            return over

    def end(self, error: BaseException | None = None) -> None:
        """Say that nothing more is put, because of an error or of the end."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Say that nothing more is taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Moving(NamedTuple):
    """Frame on its way."""

    image: NDArray[np.uint8]  # [H, W, 3]
    frame: Frame
    taken: float  # when it came, of the monotonic clock


@dataclass
class Counts:
    """Numbers of a run so far.

    Attributes:
        frames: written.
        dropped: that were late.
        seconds: since the first frame was waited for.
        rate: frames per second, of the last second or so.
        delays: seconds from a frame's coming to its having been written, of the last `REMEMBERED` frames.
        stopped: whether it was asked to stop before the end of the source.
        closed: whether it ended because nobody reads the output on.
    """

    frames: int = 0
    dropped: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    stopped: bool = False
    closed: bool = False
    _times: deque[float] = field(default_factory=deque)

    def add(self, now: float, delay: float) -> None:
        """Count a frame that is written."""
        self.frames += 1
        self.delays.append(delay)
        self._times.append(now)
        while now - self._times[0] > 1 and len(self._times) > 2:
            self._times.popleft()
        if len(self._times) > 1:
            self.rate = (len(self._times) - 1) / max(now - self._times[0], 1e-6)

    def delay(self, share: float) -> float:
        """Return the delay that this share of frames does not exceed, in milliseconds."""
        return 1000 * float(np.quantile(self.delays, share)) if self.delays else 0.0


def run(
    source: Source,
    convert: Callable[[Tensor], Tensor],
    write: Callable[[Frame], None],
    *,
    computing: Executor,
    side: int,
    drop: bool,
    realtime: bool,
    stop: threading.Event,
    between: Callable[[], None],
    report: Callable[[Counts], None],
) -> Counts:
    """Translate frames in order until the source ends or `stop` is set; frames on their way are written then.

    With `drop` a frame that comes while one waits takes its place, so that the delay is that of two passes and of
    writing at most. Otherwise the source waits.

    Args:
        source: read in a thread of its own, which also resizes.
        convert: [1, 3, H, W] in [-1, 1] to the same; called in the thread of `computing`.
        write: of the sink; called in the caller's thread.
        computing: of one thread, in which the caller has made the network of `convert`, too.
        side: longer side in pixels, to which larger frames are reduced.
        drop: see above.
        realtime: keep to the times of a source that could be read faster.
        stop: set by anybody.
        between: called before each frame, and every now and then while there is none, in the thread of `convert`.
        report: called after each frame.

    Raises:
        Exception: of any thread.
    """
    read: Slot[Moving] = Slot(drop=drop)
    made: Slot[Moving] = Slot(drop=False)
    counts, begun = Counts(), time.monotonic()
    read_frames, made_frames = _reading(source, side, realtime, stop), _translating(read, convert, stop, between)
    with _filled(read, read_frames, _in_daemon, stop), _filled(made, made_frames, partial(_by, computing), stop):
        try:
            while not made.done:
                if (item := made.get()) is not None:
                    write(item.frame._replace(image=item.image))
                    now = time.monotonic()
                    counts.add(now, now - item.taken)
                counts.dropped, counts.seconds = read.dropped, time.monotonic() - begun
                report(counts)
            counts.stopped = stop.is_set()
        except BrokenPipeError:
            counts.closed = True
    return counts


@contextmanager
def _filled(
    slot: Slot[T], items: Generator[T], begin: Callable[[Callable[[], None]], Callable[[], Any]], stop: threading.Event
) -> Iterator[None]:
    """Let a thread fill a slot inside a `with` block, and stop it at its end.

    Args:
        slot: closed at the end.
        items: to put there.
        begin: begins work in the thread; returns what waits for its end.
        stop: set at the end.
    """
    join = begin(partial(_fill, slot, items))
    try:
        yield
    finally:
        stop.set()
        slot.close()
        join()


def _in_daemon(work: Callable[[], None]) -> Callable[[], None]:
    """Begin reading, which may wait for a pipe or a camera that gives nothing: at the end it is waited for a second."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return partial(thread.join, 1)


def _by(computing: Executor, work: Callable[[], None]) -> Callable[[], Any]:
    return partial(wait, [computing.submit(work)])


def _fill(slot: Slot[T], items: Generator[T]) -> None:
    """Put all items into a slot, in a thread."""
    try:
        with closing(items):
            for item in items:
                if not slot.put(item):
                    break
    except BaseException as error:
        slot.end(error)
    else:
        slot.end()


def _reading(source: Source, side: int, realtime: bool, stop: threading.Event) -> Generator[Moving]:
    begun: float | None = None
    for frame in source.frames():
        if realtime:
            at = float(frame.pts * source.time_base)
            begun = time.monotonic() - at if begun is None else begun
            stop.wait(max(0.0, begun + at - time.monotonic()))
        if stop.is_set():
            return
        taken = time.monotonic()
        yield Moving(shortened(frame.image, side), frame, taken)


@torch.no_grad()
def _translating(
    read: Slot[Moving], convert: Callable[[Tensor], Tensor], stop: threading.Event, between: Callable[[], None]
) -> Generator[Moving]:
    while True:
        item = read.get()
        between()  # after it came, so that what was said before it holds for it
        if item is not None:
            yield item._replace(image=to_uint8(convert(to_tensor(item.image)[None]))[0])
        elif read.done or stop.is_set():
            return
