"""Passes over pictures that wait together: one thread computes, many requests wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from gan_style.data.values import Array

Run = Callable[[Sequence[Array], str], list[Array]]  # pictures [H, W, C] of one size, and a direction


class _Waiting(NamedTuple):
    key: Hashable
    picture: Array
    direction: str
    result: Future[Array]


class Batches:
    """A queue of pictures in front of a model.

    The picture that has waited longest is next, and with it go those of its size and direction that wait, too. Nobody
    waits for others to come: a batch grows only while the model is busy.

    Args:
        run: the model; called in one thread.
        most: pictures in a pass.
        pixels: of a pass, where it has more than one picture.
        watch: called with the number of pictures of each pass.
    """

    def __init__(self, run: Run, most: int, pixels: int, watch: Callable[[int], object] = lambda count: None) -> None:
        self._run, self._most, self._pixels, self._watch = run, most, pixels, watch
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="passes")
        self._thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, picture: Array, direction: str) -> Future[Array]:
        """Add a picture [H, W, C]; one whose future is cancelled before its turn is left out."""
        result: Future[Array] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("it is closed")
            self._waiting.append(_Waiting((direction, picture.shape), picture, direction, result))
            self._changed.notify()
        return result

    def close(self) -> None:
        """Compute what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while group := self._next():
            group = [one for one in group if one.result.set_running_or_notify_cancel()]
            if group:
                self._watch(len(group))
                self._compute(group)

    def _next(self) -> list[_Waiting]:
        """Wait for pictures, and take those of the next pass; none once it is closed and nothing waits."""
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return []
                self._changed.wait()
            height, width = self._waiting[0].picture.shape[:2]
            most = max(1, min(self._most, self._pixels // max(1, height * width)))
            key = self._waiting[0].key
            group = [one for one in self._waiting if one.key == key][:most]
            taken = {id(one) for one in group}
            self._waiting = deque(one for one in self._waiting if id(one) not in taken)
            return group

    def _compute(self, group: list[_Waiting]) -> None:
        try:
            results = self._run([one.picture for one in group], group[0].direction)
        except BaseException as error:
            if len(group) == 1:
                group[0].result.set_exception(error)
                return
            for one in group:  # the fault of one, or too much memory for all, is no fault of the others
                self._compute([one])
            return
        for one, result in zip(group, results, strict=True):
            one.result.set_result(result)
