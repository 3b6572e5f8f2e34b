"""The frames of a video and its sound, one after another, as they lie in the file."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gan_style.core.budget import SETTING, max_pixels, pixels_in_words
from gan_style.core.errors import UserError
from gan_style.core.memory import raise_if_out
from gan_style.core.paths import printable

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".ogv", ".flv", ".wmv", ".3gp")
# A playlist would have other files and addresses opened, whatever its suffix says.
DEMUXERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,ogg,flv,asf"
USUAL_RATE = Fraction(25)  # frames per second, where a file names none
PADDING = 2**22  # pixels that FFmpeg may add to the rows of a frame; the frame itself is measured without them
BEGINNING = 0.1  # seconds of sound that a decoder may need to begin with


class Frame(NamedTuple):
    """A frame as it is shown."""

    picture: NDArray[np.uint8]  # [H, W, 3], RGB
    pts: int  # when it is shown, in units of the reader's time base
    duration: int  # likewise; 0 where the file does not say


def pyav() -> Any:
    """PyAV, or the sentence that says how to get it."""
    try:
        import av
    except ImportError as error:
        raise UserError("videos need PyAV: pip install 'gan-style[video]', or uv sync --extra video") from error
    return av


def opened(path: Path) -> Any:
    """A container of PyAV, to read; to know what is in it FFmpeg decodes some frames, but no too large ones."""
    # By its whole path: FFmpeg takes what stands before a colon for a protocol.
    options = {"format_whitelist": DEMUXERS, **bounded()}
    return pyav().open(str(path.absolute()), options=options, metadata_errors="replace")


def bounded() -> dict[str, str]:
    """What has a decoder of FFmpeg refuse larger frames than pictures may be before it takes memory for them."""
    return {"max_pixels": str(min(max_pixels() + PADDING, 2**31 - 1))}


def reason(error: Exception) -> str:
    """What FFmpeg or the system says, without the name of the file.

    Raises:
        Exception: the error itself, where memory ran out.
    """
    raise_if_out(error)
    return printable(getattr(error, "strerror", None) or str(error))


class VideoReader:
    """An open video: its first real video stream and all of its sound. A context manager.

    Args:
        path: of a file.

    Raises:
        UserError: PyAV is missing, or the file is no video, or has no frames.
    """

    def __init__(self, path: Path) -> None:
        av = pyav()
        self.path = path
        self.unread: str | None = None  # after `items`: why it ended before the end, as a sentence
        try:
            self._container = opened(path)
        except (av.FFmpegError, OSError) as error:
            raise UserError(f"{path} cannot be read as a video ({reason(error)}): check the file") from error
        covers = av.stream.Disposition.attached_pic  # a picture of a record is no video
        streams = [stream for stream in self._container.streams.video if not stream.disposition & covers]
        if not streams or streams[0].codec_context is None:  # which FFmpeg leaves out where it knows no such codec
            self._container.close()
            raise UserError(f"{path} has no video in it: give a file with moving pictures")
        self.stream: Any = streams[0]
        if why := self._refused(self.stream.width, self.stream.height):
            self._container.close()
            raise UserError(f"{path} {why}: make it smaller, or raise {SETTING} in the environment")
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.options = bounded()
        self.sound: list[Any] = list(self._container.streams.audio)
        self.time_base: Fraction = self.stream.time_base or 1 / USUAL_RATE
        self.rate: Fraction = self.stream.average_rate or self.stream.guessed_rate or USUAL_RATE
        self.turns = 0  # by 90 degrees counterclockwise, of what is stored; known from the first frame on

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def expected(self) -> int:
        """How many frames there should be, as far as the file says; 0 where it does not."""
        if self.stream.duration is not None:  # an edit list shows less than there is, so not its number of frames
            return round(self.stream.duration * self.time_base * self.rate)
        length = self._container.duration  # in microseconds
        return round(Fraction(length, 1_000_000) * self.rate) if length else int(self.stream.frames)

    def items(self) -> Iterator[Frame | Any]:
        """Frames, and packets of sound as they are stored.

        A broken file gives what can be read before the break; `unread` then says so.
        """
        av = pyav()
        count, last, size = 0, None, None
        try:
            for packet in self._container.demux([self.stream, *self.sound]):
                if packet.stream is not self.stream:
                    # The last one of each stream is empty; what an edit list leaves out would be heard, but a decoder
                    # begins with what lies right before the first sound.
                    if packet.dts is not None:
                        early = packet.is_discard and packet.dts * packet.time_base < -BEGINNING
                        if not early:
                            yield packet
                    continue
                for decoded in packet.decode():
                    if why := self._refused(decoded.width, decoded.height):
                        self.unread = f"{self.path} is given up after {count} frames: it {why}"
                        return
                    size = size or (decoded.width, decoded.height)
                    count, last = count + 1, self._frame(decoded, size, last)
                    yield last
        except (av.FFmpegError, OSError) as error:
            context = self.stream.codec_context
            why = self._refused(context.width, context.height) or reason(error)
            for decoded in self._held():
                count, last = count + 1, self._frame(decoded, size or (decoded.width, decoded.height), last)
                yield last
            self.unread = f"{self.path} is broken after {count} frames ({why})"
            return
        if last and self._is_short(count, self._end(last)):
            self.unread = f"{self.path} is cut off: it has {count} frames of {self.stream.frames}"

    def _refused(self, width: int, height: int) -> str:
        """Why no frame of this size is taken; a decoder that has refused one says 0."""
        if 0 < width * height <= max_pixels():
            return ""
        return f"claims frames of more than {pixels_in_words()}{'' if width * height else ', or of no size'}"

    def _held(self) -> list[Any]:
        """What the decoder has not given yet, because it waits for what comes after it; its threads may lose some."""
        try:
            return list(self.stream.codec_context.decode(None))
        except (pyav().FFmpegError, OSError) as error:
            raise_if_out(error)
            return []

    @property
    def _usual(self) -> int:
        """The duration of a frame."""
        return max(1, round(1 / (self.rate * self.time_base)))

    def _end(self, frame: Frame) -> int:
        return frame.pts + (frame.duration or self._usual)

    def _is_short(self, count: int, end: int) -> bool:
        """Whether frames are missing by number and by time; an edit list, or a varying rate, changes one of them."""
        if not self.stream.frames or self.stream.duration is None:
            return False
        missing = (self.stream.start_time or 0) + self.stream.duration - end
        return count < self.stream.frames and missing >= self._usual

    def _frame(self, decoded: Any, size: tuple[int, int], last: Frame | None) -> Frame:
        """A frame upright, in the size of the first one, after the last one."""
        rgb: NDArray[np.uint8] = decoded.to_ndarray(format="rgb24", width=size[0], height=size[1])
        self.turns = round(decoded.rotation / 90) % 4
        picture = np.ascontiguousarray(np.rot90(rgb, self.turns)) if self.turns else rgb
        pts = decoded.pts
        if last:  # two at one moment cannot be written
            pts = self._end(last) if pts is None else max(pts, last.pts + 1)
        return Frame(picture, pts or 0, decoded.duration or 0)
