"""Writer of H.264 videos with the audio of another one: complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_style.core.errors import UserError
from gan_style.core.memory import raise_if_out
from gan_style.inference.video.reading import Frame, VideoReader, opened, pyav, reason

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
QUALITY = {"crf": "18", "preset": "medium"}  # of x264; losses are hardly visible
FAST = {"crf": "18", "preset": "veryfast"}  # for what is written while a network needs the processor
CLOCK = Fraction(1, 90_000)  # seconds: the usual unit of times in containers
BT709 = 1  # of FFmpeg: matrix, primaries and transfer alike
FRAME_DURATION = 1 << 8  # FFmpeg's AV_CODEC_FLAG_FRAME_DURATION: the encoder keeps the durations of frames


class Plain(NamedTuple):
    """Frames that come from no video: nothing but their name and times is known."""

    path: Path  # for messages
    rate: Fraction  # frames per second
    time_base: Fraction  # seconds

    @property
    def sound(self) -> list[Any]:
        return []


def check_container(path: Path) -> None:
    """Raise a UserError unless a file of this name can hold an H.264 video."""
    if path.suffix.lower() not in CONTAINERS:
        raise UserError(f"{path} cannot hold a video: its name must end in one of {', '.join(CONTAINERS)}")


class VideoWriter:
    """Writer of a video with the times, audio and colour space of another one; a context manager.

    Audio is copied as it is stored; what comes from no video is written in the colours of HD (BT.709). The file appears
    under its name when the `with` block ends without an error.
    H.264 with 4:2:0 needs even sides, so the last row or column of an odd picture is repeated.

    Args:
        path: the suffix decides the container.
        like: the source, open.
        quality: options of x264.

    Raises:
        UserError: the container cannot hold H.264 or the source's audio, or the file cannot be written.
    """

    def __init__(self, path: Path, like: VideoReader | Plain, quality: Mapping[str, str] = QUALITY) -> None:
        check_container(path)
        self.path, self._like, self._quality = path, like, dict(quality)
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._sound: dict[int, Any] = {}
        self._waiting: list[Any] = []  # audio before the first frame: the header needs the size of the frames
        self.frames = 0

    def __enter__(self) -> VideoWriter:
        av, suffix = pyav(), self.path.suffix.lower()
        if self._like.sound:
            self._check_audio(CONTAINERS[suffix])
        options = {} if suffix == ".mkv" else {"movflags": "+faststart"}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._temporary.absolute()), "w", format=CONTAINERS[suffix], options=options)
            self._stream = self._container.add_stream("libx264", rate=self._like.rate, options=self._quality)
            self._stream.codec_context.time_base = self._like.time_base  # exact times, also where the rate varies
            self._stream.codec_context.flags |= FRAME_DURATION
            self._sound = {track.index: self._container.add_stream_from_template(track) for track in self._like.sound}
        except BaseException as error:
            self._discard()
            if isinstance(error, av.FFmpegError | OSError):
                raise self._unwritten(error) from error
            raise
        return self

    def write(self, item: Frame | Any) -> None:
        """Write the next frame, or packet of audio, in the order of the source.

        Raises:
            UserError: the file cannot be written.
        """
        av = pyav()
        try:
            if isinstance(item, Frame):
                self._write_frame(av.VideoFrame.from_ndarray(even(item.image), format="rgb24"), item)
            else:
                item.stream = self._sound[item.stream.index]
                self._waiting.append(item)
            if self.frames:
                self._container.mux(self._waiting)
                self._waiting = []
        except (av.FFmpegError, OSError) as error:
            raise self._unwritten(error) from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        av = pyav()
        try:
            if kind is None:
                if not self.frames:
                    raise UserError(f"{self._like.path} holds no frame that can be read: check the file")
                self._container.mux(self._stream.encode(None))
                self._container.close()
                os.replace(self._temporary, self.path)
        except (av.FFmpegError, OSError) as error:
            raise self._unwritten(error) from error
        finally:
            self._discard()

    def _check_audio(self, container: str) -> None:
        """Try the container with the first packet of each track, because some report an error only at their end.

        Raises:
            UserError: this container cannot hold it.
        """
        av = pyav()
        with opened(self._like.path) as source:
            for track in source.streams.audio:
                try:
                    packet = next(source.demux(track), None)
                except av.FFmpegError as error:  # of the source: reported when it is read
                    raise_if_out(error)
                    continue
                if packet is None or packet.dts is None:  # an empty track
                    continue
                packet.pts = packet.dts = 0
                try:
                    with av.open(BytesIO(), "w", format=container) as trial:
                        packet.stream = trial.add_stream_from_template(track)
                        trial.mux(packet)
                except (av.FFmpegError, ValueError) as error:
                    raise_if_out(error)
                    codec = getattr(track.codec_context, "name", "unknown")
                    raise UserError(f"{self.path} cannot hold this sound ({codec}): name it .mkv, which can") from error

    def _write_frame(self, frame: Any, item: Frame) -> None:
        if not self.frames:
            self._describe(frame.width, frame.height)
        yuv = frame.reformat(format="yuv420p", dst_colorspace=self._stream.codec_context.colorspace)
        yuv.pts, yuv.time_base, yuv.duration = item.pts, self._like.time_base, item.duration
        self._container.mux(self._stream.encode(yuv))
        self.frames += 1

    def _describe(self, width: int, height: int) -> None:
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        if isinstance(self._like, Plain):
            context.colorspace = context.color_primaries = context.color_trc = BT709
            return
        source = self._like.stream.codec_context
        aspect = self._like.stream.sample_aspect_ratio
        if aspect:
            context.sample_aspect_ratio = 1 / aspect if self._like.turns % 2 else Fraction(aspect)
        # Conversion and tag both use the matrix of the source, so that players show the same colours.
        for name in ("colorspace", "color_primaries", "color_trc"):
            setattr(context, name, getattr(source, name))

    def _discard(self) -> None:
        with suppress(Exception):  # closing fails, too, where the disk is full
            self._container.close()
        with suppress(OSError):
            self._temporary.unlink()

    def _unwritten(self, error: Exception) -> UserError:
        return UserError(f"{self.path} cannot be written ({reason(error)}): check the disk and its rights")


def even(image: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Pad [H, W, C] to even sides by repeating its last row or column; no copy if they are even."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
