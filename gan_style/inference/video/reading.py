"""Frames and audio of a video, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gan_style.core.budget import SETTING, max_pixels, pixels_in_words
from gan_style.core.errors import UserError
from gan_style.core.extras import why_no_import
from gan_style.core.memory import raise_if_out
from gan_style.core.paths import printable

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".ogv", ".flv", ".wmv", ".3gp")
# No playlists: they can make FFmpeg open other files and addresses, whatever their suffix.
DEMUXERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,ogg,flv,asf,yuv4mpegpipe"
DEFAULT_RATE = Fraction(25)  # frames per second, where a file names none
MAX_PADDING_PIXELS = 2**22  # that FFmpeg may add to the rows of a frame; the frame itself is checked without them
MAX_PREROLL_SECONDS = 0.1  # of audio before the start, that a decoder may need


class Frame(NamedTuple):
    """Frame as it is shown."""

    image: NDArray[np.uint8]  # [H, W, 3], RGB
    pts: int  # time at which it is shown, in units of the reader's time base
    duration: int  # likewise; 0 where the file does not say


def pyav() -> Any:
    """Import PyAV, or raise the sentence that says how to install it."""
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"videos need PyAV, which {why_no_import(error, 'av')}: pip install 'gan-style[video]', or uv sync --extra "
            "video"
        ) from error
    return av


def opened(path: Path) -> Any:
    """Open a container of PyAV for reading; FFmpeg decodes some frames on the way, within the bounds of `bounded`."""
    # Absolute, because FFmpeg takes text before a colon for a protocol.
    options = {"format_whitelist": DEMUXERS, **bounded()}
    av = pyav()
    # Tags that are no UTF-8 end no video; since PyAV 19 they never do, and it has no such argument.
    replaced = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    return av.open(str(path.absolute()), options=options, **replaced)


def bounded() -> dict[str, str]:
    """Return options that make FFmpeg's decoders refuse too large frames before they allocate memory for them."""
    return {"max_pixels": str(min(max_pixels() + MAX_PADDING_PIXELS, 2**31 - 1))}


def reason(error: Exception) -> str:
    """Return the message of FFmpeg or the system, without the name of the file.

    Raises:
        Exception: the error itself, where memory ran out.
    """
    raise_if_out(error)
    return printable(getattr(error, "strerror", None) or str(error))


class VideoReader:
    """Open video, a context manager: its first real video stream and all of its audio.

    Args:
        path: of a file, or of a pipe.
        sound: whether to read the audio.

    Raises:
        UserError: PyAV is missing, or the file is no video, or has no frames.
    """

    def __init__(self, path: Path, *, sound: bool = True) -> None:
        av = pyav()
        self.path = path
        self.unread: str | None = None  # after `items`: a sentence, if it stopped before the end
        try:
            self._container = opened(path)
        except (av.FFmpegError, OSError) as error:
            raise UserError(f"{path} cannot be read as a video ({reason(error)}): check the file") from error
        covers = av.stream.Disposition.attached_pic  # a cover picture is not a video
        streams = [stream for stream in self._container.streams.video if not stream.disposition & covers]
        if not streams or streams[0].codec_context is None:  # None where FFmpeg does not know the codec
            self._container.close()
            raise UserError(f"{path} has no video in it: give a file with moving pictures")
        self.stream: Any = streams[0]
        if why := self._refused(self.stream.width, self.stream.height):
            self._container.close()
            raise UserError(f"{path} {why}: make it smaller, or raise {SETTING} in the environment")
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.options = bounded()
        self.sound: list[Any] = list(self._container.streams.audio) if sound else []
        self.time_base: Fraction = self.stream.time_base or 1 / DEFAULT_RATE
        self.rate: Fraction = self.stream.average_rate or self.stream.guessed_rate or DEFAULT_RATE
        self.expected: int = self._expected()  # frames according to the file; 0 where it does not say
        self.turns = 0  # of the stored frames by 90 degrees counterclockwise; known from the first frame on

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def _expected(self) -> int:
        if self.stream.duration is not None:  # not `frames`, which counts those that an edit list hides
            return round(self.stream.duration * self.time_base * self.rate)
        length = self._container.duration  # in microseconds
        return round(Fraction(length, 1_000_000) * self.rate) if length else int(self.stream.frames)

    def items(self) -> Iterator[Frame | Any]:
        """Yield frames, and packets of audio as they are stored.

        Of a damaged file the part before the damage is read; `unread` then says so.
        """
        av = pyav()
        count, last, size = 0, None, None
        try:
            for packet in self._container.demux([self.stream, *self.sound]):
                if packet.stream is not self.stream:
                    # The last packet of each stream is empty. Packets that an edit list hides would be heard and are
                    # left out, but for those just before the start, which a decoder needs.
                    if packet.dts is not None:
                        early = packet.is_discard and packet.dts * packet.time_base < -MAX_PREROLL_SECONDS
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
        """Return why no frame of this size is read, or ""; a decoder that has refused one reports a size of 0."""
        if 0 < width * height <= max_pixels():
            return ""
        return f"claims frames of more than {pixels_in_words()}{'' if width * height else ', or of no size'}"

    def _held(self) -> list[Any]:
        """Return the frames that the decoder holds back until it has seen later ones; its threads may lose some."""
        try:
            return list(self.stream.codec_context.decode(None))
        except (pyav().FFmpegError, OSError) as error:
            raise_if_out(error)
            return []

    @property
    def _usual(self) -> int:
        """Duration of a frame."""
        return max(1, round(1 / (self.rate * self.time_base)))

    def _end(self, frame: Frame) -> int:
        return frame.pts + (frame.duration or self._usual)

    def _is_short(self, count: int, end: int) -> bool:
        """Check for frames missing by number and by time: edit lists and varying rates change only one of them."""
        if not self.stream.frames or self.stream.duration is None:
            return False
        missing = (self.stream.start_time or 0) + self.stream.duration - end
        return count < self.stream.frames and missing >= self._usual

    def _frame(self, decoded: Any, size: tuple[int, int], last: Frame | None) -> Frame:
        """Convert a frame: upright, in the size of the first one, and at a later time than the last one."""
        rgb: NDArray[np.uint8] = decoded.to_ndarray(format="rgb24", width=size[0], height=size[1])
        self.turns = round(decoded.rotation / 90) % 4
        image = np.ascontiguousarray(np.rot90(rgb, self.turns)) if self.turns else rgb
        pts = decoded.pts
        if last:  # two frames at one time cannot be written
            pts = self._end(last) if pts is None else max(pts, last.pts + 1)
        return Frame(image, pts or 0, decoded.duration or 0)
