"""Small videos of a moving square and a sine tone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 44100  # of the tone


def square(t: int, width: int = 48, height: int = 32) -> Any:
    """Frame t: a bright square on a smooth ground that moves by one pixel a frame to the right."""
    rows, columns = np.mgrid[:height, :width]
    ground = np.stack([4 * rows, 3 * columns, 80 + rows + columns], axis=-1).astype(np.uint8)
    left = 4 + t % (width - 16)
    ground[10:20, left : left + 10] = (240, 200, 40)
    return ground


def clip(
    path: Path,
    frames: int = 12,
    *,
    size: tuple[int, int] = (48, 32),
    times: list[int] | None = None,
    sound: str | None = "aac",
    layout: str = "mono",
    codec: str = "libx264",
    base: Fraction = Fraction(1, 240),
) -> Path:
    """A video of `frames` frames, width and height `size`, shown at `times` (of `base`; 24 a second by default)."""
    times = times or [10 * t for t in range(frames)]
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream(codec, rate=24)
        video.width, video.height = size
        video.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        video.codec_context.time_base = base
        tone = container.add_stream(sound, rate=RATE, layout=layout) if sound else None
        for t in range(frames):
            frame = av.VideoFrame.from_ndarray(square(t, *size), format="rgb24")
            frame.pts, frame.time_base = times[t], base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if tone:
            seconds = float((times[-1] + 10) * base)
            wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)
            for start in range(0, len(wave), 1024):
                heard = wave[None, start : start + 1024].astype(np.float32).repeat(tone.channels, axis=0)
                part = av.AudioFrame.from_ndarray(heard, "fltp", layout)
                part.rate, part.pts, part.time_base = RATE, start, Fraction(1, RATE)
                container.mux(tone.encode(part))
            container.mux(tone.encode(None))
    return path


def cut_off(source: Path, path: Path) -> Path:
    """The same MP4, whose index comes first, without the last quarter of its frames' bytes."""
    content = source.read_bytes()
    frames = len(content) - content.index(b"mdat")
    path.write_bytes(content[: -frames // 4])
    return path


def turned(source: Path, path: Path) -> Path:
    """The same MP4 with a matrix that turns the picture by 90 degrees clockwise when it is shown."""
    content = source.read_bytes()
    start = content.index(b"tkhd") + 44  # of version 0: flags, times, number, length, layer, group, volume
    unit, none, last = (value.to_bytes(4, "big", signed=True) for value in (1 << 16, 0, 1 << 30))
    plain = unit + 3 * none + unit + 3 * none + last
    assert content[start : start + 36] == plain
    minus = (-1 << 16).to_bytes(4, "big", signed=True)
    matrix = none + unit + none + minus + 4 * none + last
    path.write_bytes(content[:start] + matrix + content[start + 36 :])
    return path


def shown(path: Path) -> tuple[list[Any], list[float]]:
    """The frames of a video as stored, RGB, and when they are shown, in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [f.to_ndarray(format="rgb24") for f in frames], [float(f.pts * f.time_base) for f in frames]


def tone(path: Path) -> list[bytes]:
    """The packets of the sound, as stored."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.dts is not None]
