"""Frames and sound in and out: times, length, sizes, and files that are no good."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gan_style.core.errors import UserError
from gan_style.inference.video.reading import VideoReader
from gan_style.inference.video.writing import VideoWriter, even
from tests.inference.video.clips import clip, cut_off, shown, square, tone, turned


def copied(source: Path, target: Path, stop: type[BaseException] | None = None) -> VideoReader:
    """Every frame into another video; `stop` is raised after the fifth."""
    with VideoReader(source) as reader, VideoWriter(target, reader) as writer:
        for item in reader.items():
            writer.write(item)
            if stop and writer.frames == 5:
                raise stop
    return reader


def length(path: Path) -> float:
    """Seconds of the video stream."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return float(stream.duration * stream.time_base)


def distance(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a, int) - np.asarray(b, int)).mean())


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_frames_times_and_sound_are_kept(tmp_path: Path, suffix: str) -> None:
    source, target = clip(tmp_path / "in.mp4"), tmp_path / "deep" / f"out{suffix}"
    reader = copied(source, target)
    assert reader.unread is None
    assert reader.expected == 12
    (before, then), (after, now) = shown(source), shown(target)
    assert len(after) == 12
    assert np.diff(now) == pytest.approx(np.diff(then), abs=2e-3)  # Matroska counts milliseconds
    assert max(distance(a, b) for a, b in zip(before, after, strict=True)) < 3
    assert distance(before[0], after[6]) > 3  # so that the order is seen
    assert tone(source) == tone(target)
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_pyav_19_reads_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `open` has no `metadata_errors`, and a closed file answers nothing about its streams."""
    source, opens = clip(tmp_path / "in.mp4"), av.open

    def opens_of_19(file: str, *, options: dict[str, str]) -> Any:
        return opens(file, options=options)

    monkeypatch.setattr(av, "__version__", "19.0.0")
    monkeypatch.setattr(av, "open", opens_of_19)
    with VideoReader(source, sound=False) as reader:
        assert sum(1 for _ in reader.items()) == 12
    del reader.stream, reader._container
    assert reader.expected == 12


def test_pyav_before_19_is_asked_to_replace_tags_that_are_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, opens, given = clip(tmp_path / "in.mp4"), av.open, {}

    def opens_of_18(file: str, **more: Any) -> Any:
        given.update(more)
        return opens(file, options=more["options"])

    monkeypatch.setattr(av, "__version__", "18.1.0")
    monkeypatch.setattr(av, "open", opens_of_18)
    with VideoReader(source):
        assert given["metadata_errors"] == "replace"


def test_a_varying_rate_keeps_its_times_and_length(tmp_path: Path) -> None:
    times = [0, 10, 20, 45, 50, 80, 81, 120]
    source = clip(tmp_path / "in.mp4", 8, times=times)
    copied(source, tmp_path / "out.mp4")
    assert shown(tmp_path / "out.mp4")[1] == pytest.approx([t / 240 for t in times], abs=1e-6)
    assert length(tmp_path / "out.mp4") == pytest.approx(length(source), abs=1e-6)


@pytest.mark.parametrize(("size", "expected"), [((31, 23), (32, 24)), ((48, 33), (48, 34))])
def test_odd_sides_repeat_their_last_row_or_column(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    copied(clip(tmp_path / "in.mkv", 3, size=size), tmp_path / "out.mp4")
    frames, _ = shown(tmp_path / "out.mp4")
    assert frames[0].shape == (expected[1], expected[0], 3)
    assert distance(frames[0], even(square(0, *size))) < 6  # of a chroma for four pixels


def test_a_video_without_sound_and_one_of_old_codecs(tmp_path: Path) -> None:
    copied(clip(tmp_path / "in.mp4", 4, sound=None), tmp_path / "silent.mp4")
    with av.open(str(tmp_path / "silent.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    old = clip(tmp_path / "in.avi", 5, codec="mpeg4", sound="pcm_s16le", base=Fraction(1, 24), times=[0, 1, 2, 3, 4])
    copied(old, tmp_path / "old.mkv")
    assert len(shown(tmp_path / "old.mkv")[0]) == 5
    assert b"".join(tone(tmp_path / "old.mkv")) == b"".join(tone(old))


def test_sound_that_a_container_cannot_hold_is_said_at_once(tmp_path: Path) -> None:
    flac = clip(tmp_path / "flac.mkv", 3, sound="flac")
    with pytest.raises(UserError, match=r"out.mov cannot hold this sound \(flac\): name it .mkv, which can"):
        copied(flac, tmp_path / "out.mov")
    frames = {"codec": "mpeg4", "base": Fraction(1, 24), "times": [0, 1, 2]}
    wave = clip(tmp_path / "wave.avi", 3, sound="pcm_s16le", layout="stereo", **frames)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"out.mp4 cannot hold this sound \(pcm_s16le\)"):  # else only when closed
        copied(wave, tmp_path / "out.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flac.mkv", "wave.avi"]


def test_a_turned_video_is_written_upright(tmp_path: Path) -> None:
    source = turned(clip(tmp_path / "plain.mp4", 3), tmp_path / "in.mp4")
    reader = copied(source, tmp_path / "out.mp4")
    assert reader.turns == 3
    frames, _ = shown(tmp_path / "out.mp4")
    assert frames[0].shape == (48, 32, 3)
    assert distance(frames[0], np.rot90(square(0), -1)) < 6  # clockwise; the other way it is 63
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_colours_keep_the_matrix_of_the_source(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        video.codec_context.colorspace = 1  # BT.709
        frame = av.VideoFrame.from_ndarray(square(0), format="rgb24")
        container.mux(video.encode(frame.reformat(format="yuv420p", dst_colorspace=1)))
        container.mux(video.encode(None))
    copied(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.colorspace == 1
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert distance(next(reader.items()).image, square(0)) < 6


def test_what_an_interrupted_or_failed_run_wrote_is_gone(tmp_path: Path) -> None:
    source, target = clip(tmp_path / "in.mp4"), tmp_path / "out" / "out.mp4"
    for error in (KeyboardInterrupt, UserError):
        with pytest.raises(error):
            copied(source, target, stop=error)
        assert list(target.parent.iterdir()) == []
    target.write_bytes(b"before")
    with pytest.raises(UserError):
        copied(source, target, stop=UserError)
    assert target.read_bytes() == b"before"


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gan_style.inference.video.writing.os.replace", full)
    with pytest.raises(UserError, match=r"out.mp4 cannot be written \(No space left on device\): check the disk"):
        copied(clip(tmp_path / "in.mp4", 3), tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_cut_off_video_gives_what_is_there(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mp4", 40, sound=None)
    source = cut_off(whole, tmp_path / "in.mp4")
    size = source.stat().st_size
    with av.open(str(whole)) as container:
        there = sum(packet.size > 0 and packet.pos + packet.size <= size for packet in container.demux())
    reader = copied(source, tmp_path / "out.mp4")
    count = len(shown(tmp_path / "out.mp4")[0])
    assert 8 < there < 40
    assert there - 3 <= count <= there, "but for what a thread of the decoder had begun"
    assert reader.unread
    assert str(count) in reader.unread


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mp4", 4)
    files = {
        "text.mp4": b"no video at all " * 100,
        "empty.mp4": b"",
        "header.mp4": whole.read_bytes()[:700],
        "list.mp4": f"#EXTM3U\n#EXTINF:1,\n{whole}\n#EXT-X-ENDLIST\n".encode(),  # would have another file read
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name} cannot be read as a video \(.+\): check the file"):
            VideoReader(tmp_path / name)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        track = container.add_stream("aac", rate=44100, layout="mono")
        part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        part.rate = 44100
        container.mux(track.encode(part))
        container.mux(track.encode(None))
    with pytest.raises(UserError, match=r"sound.mp4 has no video in it"):
        VideoReader(tmp_path / "sound.mp4")


def test_a_video_without_a_frame_is_said(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 3, sound=None)
    with (
        pytest.raises(UserError, match=r"in.mp4 holds no frame that can be read"),
        VideoReader(source) as reader,
        VideoWriter(tmp_path / "out.mp4", reader),
    ):
        pass
    assert not (tmp_path / "out.mp4").exists()


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clip(tmp_path / "in.mp4", 2)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"videos need PyAV, which is not installed: pip install 'gan-style\[video\]'"):
        VideoReader(source)
