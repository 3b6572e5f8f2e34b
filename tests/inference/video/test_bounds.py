"""Frames that are larger than pictures may be: refused before memory is taken, wherever in a video they stand."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from gan_style.cli.main import main
from gan_style.core.budget import SETTING
from gan_style.core.errors import UserError
from gan_style.core.machine import peak_memory
from gan_style.inference.video.reading import VideoReader
from tests.fuzz.test_seeds import little_memory
from tests.inference.video.clips import clip, shown, square
from tests.small_models import saved

SIDE = 16_000


def claiming(path: Path, side: int = SIDE) -> Path:
    """A MOV of some hundred bytes whose header claims frames of this side; a codec that packs runs of one colour."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("qtrle", rate=24)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "rgb24"
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    size = struct.pack(">HH", 48, 32)
    content = path.read_bytes()
    assert size in content
    path.write_bytes(content.replace(size, struct.pack(">HH", side, side)))
    return path


def jpegs(size: tuple[int, int], frames: int) -> list[bytes]:
    """Frames of Motion JPEG, each with a size of its own inside."""
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height = size
    context.pix_fmt, context.time_base = "yuvj420p", Fraction(1, 24)
    packets = []
    for t in range(frames):
        frame = av.VideoFrame.from_ndarray(square(t, *size), format="rgb24").reformat(format="yuvj420p")
        frame.pts = t
        packets += context.encode(frame)
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


def growing(path: Path, *parts: list[bytes]) -> Path:
    """A Matroska file whose header claims the size of its first frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=24)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuvj420p"
        for number, content in enumerate(content for part in parts for content in part):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, Fraction(1, 24)
            packet.pts = packet.dts = number
            container.mux(packet)
    return path


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux bounds the memory of a process")
def test_a_header_that_claims_gigabytes_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = claiming(tmp_path / "large.mov")
    assert path.stat().st_size < 3000
    before = peak_memory()
    with little_memory(), pytest.raises(UserError, match=r"large\.mov claims frames of more than 178 million pixels"):
        VideoReader(path)
    assert peak_memory() - before < 10**8


def test_the_verb_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(tmp_path / "a.ckpt", "model=cut")
    source, target = claiming(tmp_path / "large.mov"), tmp_path / "out.mp4"
    assert main(["translate", str(model), str(source), str(target)]) == 2
    said = capsys.readouterr().err
    assert "large.mov claims frames of more than 178 million pixels" in said
    assert "GAN_STYLE_MAX_PIXELS" in said
    assert said.count("\n") == 1
    assert not target.exists()


def test_the_bound_is_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clip(tmp_path / "in.mp4", 3)
    monkeypatch.setenv(SETTING, str(48 * 32))
    with VideoReader(source) as reader:
        assert sum(1 for item in reader.items() if hasattr(item, "image")) == 3
    monkeypatch.setenv(SETTING, str(48 * 32 - 1))
    with pytest.raises(UserError, match=r"in\.mp4 claims frames of more than 1,535 pixels: .* raise GAN_STYLE_MAX_P"):
        VideoReader(source)


@pytest.mark.parametrize("padding", [0, 2**22])  # FFmpeg refuses it; or it is refused when it is seen
def test_a_larger_frame_ends_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, padding: int, capsys: pytest.CaptureFixture[str]
) -> None:
    source = growing(tmp_path / "in.mkv", jpegs((48, 32), 9), jpegs((320, 240), 3))
    with VideoReader(source) as reader:
        assert [item.image.shape for item in reader.items()] == [(32, 48, 3)] * 12
    monkeypatch.setattr("gan_style.inference.video.reading.MAX_PADDING_PIXELS", padding)
    monkeypatch.setenv(SETTING, "4000")
    model, target = saved(tmp_path / "a.ckpt", "model=cut"), tmp_path / "out.mp4"
    assert main(["translate", str(model), str(source), str(target), "--smooth", "off"]) == 2
    said = capsys.readouterr().err
    assert "in.mkv " in said
    assert "after 9 frames" in said
    assert "claims frames of more than 4,000 pixels" in said
    assert len(shown(target)[0]) == 9
