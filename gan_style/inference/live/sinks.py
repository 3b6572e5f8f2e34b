"""Sinks of frames: a window, a video, or y4m and raw RGB in a file or on stdout."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import cv2

from gan_style.core.errors import UserError
from gan_style.core.paths import why
from gan_style.inference.live.sources import Source
from gan_style.inference.video.reading import Frame, pyav
from gan_style.inference.video.writing import CONTAINERS, FAST, VideoWriter

STDOUT, WINDOW = "-", "WINDOW"
STREAMS = {".y4m": "y4m", ".rgb": "rgb"}
ESCAPE = 27


class StreamSink:
    """Frames as y4m (4:4:4, 8 bits) or as raw RGB, each flushed at once; neither has times.

    Args:
        path: a new file appears when it is complete, a pipe or device gets frames at once; None is stdout.
        form: "y4m" or "rgb".
        rate: frames per second, for the header of y4m.

    What was written is whole when the `with` block ends without an error.

    Raises:
        UserError: PyAV, which converts to y4m's colours, is missing.
        BrokenPipeError: of `write`: nobody reads on.
    """

    def __init__(self, path: Path | None, form: str, rate: Fraction) -> None:
        self.path, self._form, self._rate = path, form, rate
        self._partial: Path | None = None
        self._begun = False
        if form == "y4m":
            pyav()

    def __enter__(self) -> StreamSink:
        try:
            if self.path is None:
                self._stream: BinaryIO = os.fdopen(os.dup(1), "wb")
            elif self.path.exists() and not stat.S_ISREG(self.path.stat().st_mode):
                self._stream = self.path.open("wb")
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
                self._stream = self._partial.open("wb")
        except OSError as error:
            raise self._unwritten(error) from error
        return self

    def write(self, frame: Frame) -> None:
        try:
            self._stream.write(self._encoded(frame))
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._unwritten(error) from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with suppress(BrokenPipeError):
                self._stream.close()
            if self._partial and kind is None:
                os.replace(self._partial, self.path or "")
        except OSError as error:
            raise self._unwritten(error) from error
        finally:
            if self._partial:
                self._partial.unlink(missing_ok=True)

    def _encoded(self, frame: Frame) -> bytes:
        if self._form == "rgb":
            return frame.image.tobytes()
        planes = pyav().VideoFrame.from_ndarray(frame.image, format="rgb24").reformat(format="yuv444p").to_ndarray()
        header, height, width = b"", *frame.image.shape[:2]
        if not self._begun:
            rate = f"{self._rate.numerator}:{self._rate.denominator}"
            header = f"YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C444\n".encode()
            self._begun = True
        return b"".join((header, b"FRAME\n", planes.tobytes()))

    def _unwritten(self, error: OSError) -> UserError:
        return UserError(f"{self.path or 'stdout'} cannot be written ({why(error)}): check the disk and its rights")


class WindowSink:
    """Window on the screen, by OpenCV.

    Args:
        pressed: called with each key, "q" where the window is closed.

    Raises:
        UserError: this OpenCV, or this machine, shows no windows.
    """

    def __init__(self, pressed: Callable[[str], None]) -> None:
        self._pressed, self._name = pressed, "gan-style live"
        gui = [line.split(":")[1] for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")]
        if any("NONE" in one for one in gui):
            raise UserError(
                "the OpenCV that is installed shows no windows (opencv-python-headless has none): give --out FILE or -"
            )
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise UserError("there is no screen to show a window on (DISPLAY is not set): give --out FILE or -")

    def __enter__(self) -> WindowSink:
        cv2.namedWindow(self._name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        return self

    def write(self, frame: Frame) -> None:
        cv2.imshow(self._name, cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(1)
        if key == ESCAPE or cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) < 1:
            self._pressed("q")
        elif key > 0:
            self._pressed(chr(key & 0xFF))

    def __exit__(self, *_: object) -> None:
        cv2.destroyAllWindows()


Sink = StreamSink | WindowSink | VideoWriter


def sink_of(out: str, form: str | None, source: Source, pressed: Callable[[str], None]) -> Sink:
    """Make the sink that a command names.

    Args:
        out: "WINDOW", a file, or "-" for stdout.
        form: of stdout: "y4m" or "rgb".
        source: of the frames.
        pressed: as of `WindowSink`.

    Raises:
        UserError: there is no such sink here.
    """
    if form is not None and out != STDOUT:
        raise UserError(f"--format is of --out {STDOUT}; the suffix of a file says its own: leave it out")
    if out == WINDOW:
        return WindowSink(pressed)
    if out == STDOUT:
        if os.isatty(1):
            raise UserError(f"--out {STDOUT} writes frames to stdout, and stdout is a terminal: pipe it into a program")
        return StreamSink(None, form or "y4m", source.rate)
    path = Path(os.path.expanduser(out))
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the file to write, such as {path / 'out.mp4'}")
    suffix = path.suffix.lower()
    if suffix in STREAMS:
        return StreamSink(path, STREAMS[suffix], source.rate)
    if suffix in CONTAINERS:
        return VideoWriter(path, source.like, FAST)
    raise UserError(f"{path} cannot hold frames: its name must end in one of {', '.join([*CONTAINERS, *STREAMS])}")
