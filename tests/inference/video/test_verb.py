"""`gan-style translate` on videos and on folders of frames, with tiny models."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.images import read_image
from gan_style.inference.load import load
from gan_style.inference.video.translate import pipeline, translate_video
from gan_style.metrics.edges import LUMA
from tests.inference.test_inference import run
from tests.inference.video.clips import clip, cut_off, shown, square, tone
from tests.small_models import loaded, saved


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    clip(folder / "clip.mp4", 8)
    for model in ("cyclegan", "adain"):
        saved(folder / f"{model}.ckpt", f"model={model}")
    (folder / "frames").mkdir()
    for t in range(6):
        Image.fromarray(square(t)).save(folder / "frames" / f"f{t:02}.png")
    Image.fromarray(square(7)[:, ::-1]).save(folder / "style.png")
    return folder


def test_a_video_frame_by_frame_is_its_frames_as_pictures(files: Path, tmp_path: Path) -> None:
    assert run("translate", files / "cyclegan.ckpt", files / "clip.mp4", tmp_path / "out.mp4", "--smooth", "off") == 0
    translator = load(files / "cyclegan.ckpt")
    before, after = shown(files / "clip.mp4"), shown(tmp_path / "out.mp4")
    assert after[1] == pytest.approx(before[1], abs=1e-6)
    assert tone(tmp_path / "out.mp4") == tone(files / "clip.mp4")
    for frame, result in zip(before[0], after[0], strict=True):
        # Of colours one is stored for four pixels, so brightness is compared.
        expected, source, found = (x.astype(int) @ LUMA for x in (translator.translate(frame), frame, result))
        assert np.abs(found - expected).mean() < 4
        assert np.abs(source - expected).mean() > 20


def test_smoothing_says_what_it_did(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("translate", files / "cyclegan.ckpt", files / "clip.mp4", tmp_path / "new", "--window", "4") == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0] == f"8 frames into {tmp_path / 'new' / 'clip.mp4'}"
    assert lines[1].startswith("flicker in 1 pair of frames")
    assert "with --smooth flow" in lines[2]
    assert "moved by some pixels" in lines[3]
    assert "the input itself" in lines[4]
    assert len(shown(tmp_path / "new" / "clip.mp4")[0]) == 8


def test_styles_sizes_and_masks_hold_for_videos(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--style", files / "style.png", "--size", "24", "--smooth", "norm")
    assert run("translate", files / "adain.ckpt", files / "clip.mp4", tmp_path / "out.mkv", *words) == 0
    frames, _ = shown(tmp_path / "out.mkv")
    assert [frame.shape for frame in frames] == [(16, 24, 3)] * 8
    mask = np.zeros((32, 48), np.uint8)
    mask[:, :24] = 255
    Image.fromarray(mask).save(tmp_path / "left.png")
    capsys.readouterr()
    mask_words = ("--style", files / "style.png", "--mask", tmp_path / "left.png", "--size", "24")
    assert run("translate", files / "adain.ckpt", files / "clip.mp4", tmp_path / "half.mkv", *mask_words) == 0
    assert "along the motion" in capsys.readouterr().out
    (left, right), source = np.split(shown(tmp_path / "half.mkv")[0][0].astype(int), 2, axis=1), square(0)[::2, ::2]
    assert np.abs(right - source[:, 12:]).mean() < 10
    assert np.abs(left - source[:, :12]).mean() > 20


def test_frames_of_a_folder_are_smoothed_in_the_order_of_their_names(files: Path, tmp_path: Path) -> None:
    words = ("--smooth", "norm", "--window", "3")
    assert run("translate", files / "cyclegan.ckpt", files / "frames", tmp_path / "out", *words) == 0
    assert run("translate", files / "cyclegan.ckpt", files / "frames", tmp_path / "plain") == 0
    names = [f"f{t:02}.png" for t in range(6)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    first, last = (
        np.abs(read_image(tmp_path / "out" / name).astype(int) - read_image(tmp_path / "plain" / name)).max()
        for name in (names[0], names[-1])
    )
    assert first <= 1  # alone in its window
    assert last > 1


def test_a_frame_that_cannot_be_read_is_left_out(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for t in range(3):
        content = (files / "frames" / f"f{t:02}.png").read_bytes()
        (tmp_path / "in" / f"{t}.png").write_bytes(content[: len(content) // 2] if t == 1 else content)
    assert run("translate", files / "cyclegan.ckpt", tmp_path / "in", tmp_path / "out", "--smooth", "flow") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "1.png is cut off" in lines[0]
    assert f"1 of 3 frames cannot be read, see above; 2 are in {tmp_path / 'out'}" in lines[1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "2.png"]


def test_a_cut_off_video_is_done_as_far_as_it_goes(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_off(clip(tmp_path / "whole.mp4", 40, sound=None), tmp_path / "in.mp4")
    assert run("translate", files / "cyclegan.ckpt", tmp_path / "in.mp4", tmp_path / "out.mp4", "--smooth", "off") == 2
    count = len(shown(tmp_path / "out.mp4")[0])
    said = capsys.readouterr().err.strip()
    assert 5 < count < 40
    assert f"{count} frames" in said
    assert said.endswith(f"these are in {tmp_path / 'out.mp4'}")
    assert len(said.splitlines()) == 1


def test_mistakes_are_one_line_and_nothing_is_written(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"x" * 300)
    translate, out = ("translate", files / "cyclegan.ckpt"), tmp_path / "out.mp4"
    for words, message in [
        ((files / "clip.mp4", tmp_path / "out.png"), "out.png cannot hold a video: its name must end in one of .mp4"),
        ((files / "clip.mp4", tmp_path / "out.avi"), "out.avi cannot hold a video"),
        ((files / "clip.mp4", files / "clip.mp4"), "is read and would be overwritten"),
        ((files / "clip.mp4", files), "is read and would be overwritten"),
        ((files / "none.mp4", out), "there is no file or folder"),
        ((tmp_path / "broken.mp4", out), "broken.mp4 cannot be read as a video"),
        ((files / "style.png", out), "style.png cannot be read as a video"),
        ((files / "frames", out), "is a folder, so the output must be one too"),
        (
            (files / "style.png", tmp_path / "out.png", "--smooth", "flow"),
            "--smooth is for videos and folders of frames",
        ),
        ((files / "frames", tmp_path / "out", "--window", "4"), "add --smooth, or leave it out"),
        ((files / "clip.mp4", out, "--smooth", "norm", "--tile", "64"), "--smooth norm sees whole frames"),
        (
            (files / "clip.mp4", out, "--smooth", "norm", "--tile", "64", "--tile-mode", "fast"),
            "leave --tile out, or take --smooth flow",
        ),
        ((files / "clip.mp4", out, "--window", "1"), "window=1 is not valid: give a whole number of at least 2"),
        ((files / "clip.mp4", out, "--style", "paintng"), "did you mean painting?"),
    ]:
        capsys.readouterr()
        assert run(*translate, *words) == 2, words
        stderr = capsys.readouterr().err.strip()
        assert message in stderr, words
        assert len(stderr.splitlines()) == 1, stderr
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


def test_a_model_of_other_pictures_is_refused(files: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="frames are 8-bit RGB, but this model is of uint8 pictures of 1 channel:"):
        translate_video(loaded("model.lambda_idt=0", channels_A=1), files / "clip.mp4", tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_leaves_nothing(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    source = clip(tmp_path / "long.mp4", 400, sound=None)
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # else one that is not heard would end the tests

    def interrupt() -> None:
        for _ in range(1000):  # until it writes
            if any(path.name.startswith(".out.mp4") for path in tmp_path.iterdir()):
                break
            time.sleep(0.01)
        signal.raise_signal(number)

    watcher = threading.Thread(target=interrupt)
    try:
        watcher.start()
        assert run("translate", files / "cyclegan.ckpt", source, tmp_path / "out.mp4", "--smooth", "off") == 130
    finally:
        watcher.join()
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == "gan_style: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


def test_progress_counts_the_frames(files: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    done = translate_video(
        loaded(), files / "clip.mp4", tmp_path / "out.mp4", smooth="off", progress=lambda *now: calls.append(now)
    )
    assert calls == [(t, 8) for t in range(1, 9)]
    assert (done.frames, done.flicker, done.unread) == (8, None, [])


def test_reading_and_writing_overlap_with_the_work() -> None:
    pause = 0.05

    def items() -> Any:
        for t in range(8):
            time.sleep(pause)
            yield t

    def convert(t: int) -> int:
        time.sleep(pause)
        return 10 * t

    written: list[int] = []

    def write(t: int) -> None:
        time.sleep(pause)
        written.append(t)

    start = time.monotonic()
    pipeline(items(), convert, write)
    assert written == [10 * t for t in range(8)]
    assert time.monotonic() - start < 0.75 * 3 * 8 * pause  # one after another; side by side it is 10 pauses


@pytest.mark.parametrize("part", ["items", "convert", "write"])
def test_an_error_in_any_thread_comes_out(part: str) -> None:
    def fail(*_: Any) -> Any:
        raise UserError(part)

    def items() -> Any:
        yield 1
        if part == "items":
            fail()
        yield 2

    ways = {name: fail if part == name else lambda x: x for name in ("convert", "write")}
    with pytest.raises(UserError, match=part):
        pipeline(items(), ways["convert"], ways["write"])


def test_names_tell_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bool] = []
    monkeypatch.setattr("gan_style.cli.translate.moving", lambda *_, video, **__: found.append(video))
    monkeypatch.chdir(tmp_path)
    Path("folder.mp4").mkdir()
    for names in (("a.webm", "b"), ("a.png", "b.MP4"), ("a.png", "b.png"), ("a", "folder.mp4")):
        assert main(["translate", "any.ckpt", *names, "--smooth", "norm"]) == 0
    assert found == [True, True, False, False]
