"""Limits of what a server takes at once, and the answers to whatever is more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_WHOLE_BODIES = 8  # as many bodies, and decoded pictures, of the largest size are held in memory at a time


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Args:
        body_bytes: of one request.
        pixels: of one picture, and of the pictures of one pass together.
        requests: that are answered at a time, waiting ones included.
        batch: pictures of equal size in one pass.
        body_seconds: in which a body has to arrive.
    """

    body_bytes: int = 32 * 2**20
    pixels: int = 4096 * 4096
    requests: int = 64
    batch: int = 8
    body_seconds: float = 30.0


class Refused(Exception):  # noqa: N818 (an answer, as an HTTP status)
    """Answer to a request that gets no picture.

    Args:
        status: of HTTP.
        sentence: what is wrong and what to do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Room:
    """Requests, bytes and pixels that are held at the moment, of one event loop.

    Args:
        limits: of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = self._bytes = self._pixels = 0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Hold one of the requests that are answered at a time.

        Raises:
            Refused: there are too many.
        """
        if self.requests >= self.limits.requests:
            raise Refused(503, f"{self.requests} requests wait already: try again in a moment")
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    @contextmanager
    def body(self, size: int) -> Iterator[None]:
        """Hold the bytes of a body.

        Raises:
            Refused: it is too large, or all that are held are.
        """
        most = self.limits.body_bytes
        if size > most:
            raise Refused(413, f"the body has more than {most:,} bytes: send a smaller picture")
        if self._bytes + size > MAX_WHOLE_BODIES * most:
            raise Refused(503, "the pictures that wait are too large together: try again in a moment")
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size

    @contextmanager
    def picture(self, width: int, height: int) -> Iterator[None]:
        """Hold the pixels of a picture.

        Raises:
            Refused: it is too large, or all that are held are.
        """
        pixels, most = width * height, self.limits.pixels
        if pixels > most:
            raise Refused(413, f"the picture has {pixels:,} pixels, more than {most:,}: send a smaller one")
        if self._pixels + pixels > MAX_WHOLE_BODIES * most:
            raise Refused(503, "the pictures that wait are too large together: try again in a moment")
        self._pixels += pixels
        try:
            yield
        finally:
            self._pixels -= pixels


def chosen(asked: str | None, directions: tuple[str, ...]) -> str:
    """Return the direction of a request.

    Raises:
        Refused: the model has no such direction.
    """
    if asked is None:
        return directions[0]
    if asked not in directions:
        raise Refused(400, f"direction={asked[:20]} is not served: take {' or '.join(directions)}")
    return asked
