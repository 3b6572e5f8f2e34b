"""Sources of frames: a camera, a video, or raw RGB of a file or of stdin."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from gan_style.core.errors import UserError
from gan_style.core.paths import why
from gan_style.inference.video.reading import DEFAULT_RATE, Frame, VideoReader, pyav
from gan_style.inference.video.writing import CLOCK, Plain

STDIN = "-"


class Source:
    """Frames in the order of time; a context manager.

    Attributes:
        like: what a writer of videos takes its times and colours from.
        rate: frames per second, as the source says.
        expected: number of frames; 0 where it is not known.
        camera: whether frames come by themselves and cannot wait.
        unread: after `frames`: a sentence, if it stopped before its end.
    """

    def __init__(self, like: VideoReader | Plain, expected: int = 0) -> None:
        self.like, self.rate, self.time_base = like, like.rate, like.time_base
        self.expected, self.camera = expected, False
        self.unread: str | None = None
        self._begun = False

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._begun:  # else the thread that reads closes it
            self._close()

    def frames(self) -> Iterator[Frame]:
        """Yield each frame, once."""
        self._begun = True
        try:
            yield from self._frames()
        finally:
            self._close()

    def _frames(self) -> Iterator[Frame]:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class VideoSource(Source):
    """Frames of whatever `VideoReader` reads, without the audio.

    Raises:
        UserError: PyAV is missing, or the file is no video.
    """

    def __init__(self, path: Path) -> None:
        self._reader = VideoReader(path, sound=False)
        super().__init__(self._reader, self._reader.expected)

    def _frames(self) -> Iterator[Frame]:
        yield from self._reader.items()
        self.unread = self._reader.unread

    def _close(self) -> None:
        self._reader.__exit__()


class RawSource(Source):
    """Frames of three bytes a pixel, RGB, row by row, without any header.

    Args:
        stream: closed at its end.
        name: of the stream, for messages.
        size: width and height in pixels.
        rate: frames per second.
    """

    def __init__(self, stream: BinaryIO, name: str, size: tuple[int, int], rate: Fraction) -> None:
        length = os.fstat(stream.fileno()).st_size  # 0 of a pipe
        super().__init__(Plain(Path(name), rate, 1 / rate), length // (3 * size[0] * size[1]))
        self._stream, self._name, self._size = stream, name, size

    def _frames(self) -> Iterator[Frame]:
        width, height = self._size
        size, count = 3 * width * height, 0
        while data := _exactly(self._stream, size):
            if len(data) < size:
                whole = f"{self._name} ends inside a frame, after {count} whole ones"
                self.unread = f"{whole} ({len(data)} of {size} bytes): check --frame {width}x{height}"
                return
            yield Frame(np.frombuffer(data, np.uint8).reshape(height, width, 3), count, 1)
            count += 1

    def _close(self) -> None:
        self._stream.close()


class CameraSource(Source):
    """Frames of a camera of this machine, by OpenCV.

    Raises:
        UserError: there is no such camera, or it cannot be used.
    """

    def __init__(self, number: int) -> None:
        self._number, self._camera = number, cv2.VideoCapture(number)
        if not self._camera.isOpened():
            raise UserError(
                f"camera {number} cannot be opened: check its number and rights, or give --source FILE, or - for stdin"
            )
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # frames that wait in the driver are late already
        said = self._camera.get(cv2.CAP_PROP_FPS)
        rate = Fraction(said).limit_denominator(1001) if said >= 1 else DEFAULT_RATE
        super().__init__(Plain(Path(f"camera {number}"), rate, CLOCK))
        self.camera = True

    def _frames(self) -> Iterator[Frame]:
        begun = time.monotonic()
        while True:
            there, image = self._camera.read()
            if not there:
                self.unread = f"camera {self._number} gives no more frames"
                return
            pts = round((time.monotonic() - begun) / CLOCK)
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), pts, 0)  # type: ignore[arg-type]

    def _close(self) -> None:
        self._camera.release()


def source_of(text: str, size: tuple[int, int] | None, rate: Fraction | None) -> Source:
    """Open a source.

    Args:
        text: the number of a camera, a file, or "-" for stdin.
        size: width and height of raw RGB; None is a video, or y4m through a pipe.
        rate: frames per second of raw RGB; None is 25.

    Raises:
        UserError: there is no such source, or it cannot be read.
    """
    if size is None and rate is not None:
        raise UserError("--rate is of raw RGB, which does not say its own: add --frame WIDTHxHEIGHT, or leave it out")
    if text.isdecimal():
        if size is not None:
            raise UserError("--frame is of raw RGB, and a camera says its own: leave it out")
        return CameraSource(int(text))
    # Of the process rather than of Python, whose lock of stdin a thread would hold at the end of the process.
    path = Path("/dev/stdin" if text == STDIN else os.path.expanduser(text))
    name = "stdin" if text == STDIN else str(path)
    if size is None:
        pyav()
        try:
            return VideoSource(path)
        except UserError as error:
            if text != STDIN:
                raise
            raise UserError(f"{error}; for raw RGB add --frame WIDTHxHEIGHT") from error
    try:
        return RawSource(path.open("rb", buffering=0), name, size, rate or DEFAULT_RATE)
    except OSError as error:
        raise UserError(f"{name} cannot be read ({why(error)}): check its name and rights") from error


def _exactly(stream: BinaryIO, count: int) -> bytes:
    """Read so many bytes; fewer only at the end."""
    parts, left = [], count
    while left and (data := stream.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)
