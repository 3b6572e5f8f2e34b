"""`gan-style live` on drawn frames through files and pipes, with tiny models."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.cli.live import line_of
from gan_style.inference.live.look import Control, Look
from gan_style.inference.load import load
from gan_style.inference.video.smoothing import smoother
from tests.inference.test_inference import run
from tests.inference.video.clips import clip, shown, square
from tests.small_models import saved

COUNT, WIDTH, HEIGHT = 8, 48, 32
BYTES = 3 * WIDTH * HEIGHT
FRAMES = [square(t) for t in range(COUNT)]
RAW = b"".join(frame.tobytes() for frame in FRAMES)
SIZE = ("--frame", f"{WIDTH}x{HEIGHT}")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    for model in ("cyclegan", "adain"):
        saved(folder / f"{model}.ckpt", f"model={model}")
    Image.fromarray(255 - square(3)).save(folder / "a.png")
    Image.fromarray(square(7)[:, ::-1]).save(folder / "b.png")
    (folder / "in.rgb").write_bytes(RAW)
    clip(folder / "clip.mp4", COUNT)
    return folder


@pytest.fixture(autouse=True)
def units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without units for bfloat16, whose pictures are those of `translate` to the last bit."""
    monkeypatch.setattr("gan_style.cli.live.multiplies_bf16", lambda device: False)


@pytest.fixture
def stdin() -> Iterator[int]:
    """Puts a pipe in place of stdin, and gives its other end."""
    kept = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    yield writing
    os.dup2(kept, 0)
    os.close(kept)


def frames_of(path: Path) -> list[Any]:
    return list(np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, HEIGHT, WIDTH, 3))


def numbered(count: int) -> bytes:
    """Frames that show their number."""
    return b"".join(bytes([5 * t]) * BYTES for t in range(count))


def slowly(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Makes a translation the picture itself, after a while."""

    def same(look: Look, frame: torch.Tensor) -> torch.Tensor:
        time.sleep(seconds)
        return frame

    monkeypatch.setattr(Look, "_translate", same)


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_raw_frames_come_out_as_the_pictures_they_are(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--source", files / "in.rgb", *SIZE, "--out", tmp_path / "out.rgb")
    assert run("live", files / "cyclegan.ckpt", *options, "--direction", "B2A") == 0
    translator = load(files / "cyclegan.ckpt")
    found = frames_of(tmp_path / "out.rgb")
    assert len(found) == COUNT
    for frame, result in zip(FRAMES, found, strict=True):
        assert np.array_equal(result, translator.translate(frame, "B2A"))
    said = capsys.readouterr()
    assert re.fullmatch(
        r"8 frames in [\d.]+ s, [\d.]+ a second, delay \d+ ms on the median and at most \d+ ms in 95%, 0 late frames "
        r"dropped\n",
        said.err,
    )
    assert not said.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.rgb"]


@pytest.mark.parametrize(
    ("words", "there", "taken"),
    [
        ((), True, "bf16"),
        ((), False, "32"),
        (("--precision", "32"), True, "32"),
        (("--precision", "bf16"), False, "bf16"),
    ],
)
def test_bfloat16_is_taken_where_there_are_units_for_it(
    files: Path, tmp_path: Path, words: tuple[str, ...], there: bool, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def loading(path: Any, *, precision: str, **options: Any) -> Any:
        asked.append(precision)
        return load(path, **options)

    monkeypatch.setattr("gan_style.cli.live.multiplies_bf16", lambda device: there)
    monkeypatch.setattr("gan_style.cli.live.load", loading)
    options = ("--source", files / "in.rgb", *SIZE, "--out", tmp_path / "out.rgb")
    assert run("live", files / "cyclegan.ckpt", *options, *words) == 0
    assert asked == [taken]


def test_size_styles_and_strength_are_those_of_translate(files: Path, tmp_path: Path) -> None:
    options = ("--source", files / "in.rgb", *SIZE, "--out", tmp_path / "out.rgb", "--size", "24", "--alpha", "0.6")
    styles = ("--style", f"{files / 'a.png'}=0.7", "--style", f"{files / 'b.png'}=0.3")
    assert run("live", files / "adain.ckpt", *options, *styles) == 0
    found = np.frombuffer((tmp_path / "out.rgb").read_bytes(), np.uint8).reshape(COUNT, 16, 24, 3)
    mix = {files / "a.png": 0.7, files / "b.png": 0.3}
    expected = load(files / "adain.ckpt").translate(FRAMES[2], style=mix, alpha=0.6, size=24)
    assert np.array_equal(found[2], expected)


def test_y4m_through_pipes(files: Path, tmp_path: Path, stdin: int, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def feed() -> None:
        with os.fdopen(stdin, "wb") as stream:
            stream.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F30000:1001 Ip A1:1 C444\n".encode())
            for frame in FRAMES:
                planes = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv444p").to_ndarray()
                stream.write(b"FRAME\n" + planes.tobytes())

    in_thread(feed)
    assert run("live", files / "cyclegan.ckpt", "--source", "-", "--out", "-") == 0
    (tmp_path / "out.y4m").write_bytes(capfdbinary.readouterr().out)
    with av.open(str(tmp_path / "out.y4m")) as container:
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(29.97, abs=0.01)
        found = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    translator = load(files / "cyclegan.ckpt")
    for frame, result in zip(FRAMES, found, strict=True):
        assert np.abs(result - translator.translate(frame)).mean() < 3  # twice rounded to YUV of 16 to 235


def test_a_video_into_a_video_keeps_every_frame_and_its_time(files: Path, tmp_path: Path) -> None:
    assert run("live", files / "cyclegan.ckpt", "--source", files / "clip.mp4", "--out", tmp_path / "new.mkv") == 0
    before, after = shown(files / "clip.mp4"), shown(tmp_path / "new.mkv")
    assert after[1] == pytest.approx(before[1], abs=1e-3)
    assert len(after[0]) == COUNT


def test_late_frames_are_dropped_only_in_real_time(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slowly(monkeypatch, 0.05)
    (tmp_path / "in.rgb").write_bytes(numbered(40))
    options = ("--source", tmp_path / "in.rgb", *SIZE, "--rate", "100")
    assert run("live", files / "cyclegan.ckpt", *options, "--realtime", "--out", tmp_path / "some.rgb") == 0
    said = capsys.readouterr().err
    shown_numbers = [int(frame[0, 0, 0]) // 5 for frame in frames_of(tmp_path / "some.rgb")]
    assert shown_numbers == sorted(set(shown_numbers))  # in order, none twice
    assert shown_numbers[-1] == 39
    assert len(shown_numbers) < 25
    assert f"{len(shown_numbers)} frames" in said
    assert f"{40 - len(shown_numbers)} late frames dropped" in said
    found = re.search(r"at most (\d+) ms in 95%", said)
    assert found
    assert int(found[1]) < 1000 * 40 * 0.05 / 3  # a third of what frames that wait for one another would have
    assert run("live", files / "cyclegan.ckpt", *options, "--out", tmp_path / "all.rgb") == 0
    assert (tmp_path / "all.rgb").read_bytes() == (tmp_path / "in.rgb").read_bytes()
    assert "0 late frames dropped" in capsys.readouterr().err


def test_smoothing_is_that_of_videos(files: Path, tmp_path: Path) -> None:
    options = ("--source", files / "in.rgb", *SIZE, "--out", tmp_path / "out.rgb", "--smooth", "norm", "--window", "3")
    assert run("live", files / "cyclegan.ckpt", *options) == 0
    translator = load(files / "cyclegan.ckpt")
    smoothed = smoother("norm", lambda x: translator.translate(x, tile=None), translator.model, 3)
    plain = frames_of(tmp_path / "out.rgb")
    for frame, result in zip(FRAMES, plain, strict=True):
        with torch.no_grad():
            output = smoothed(torch.from_numpy(frame).movedim(-1, 0)[None] / 127.5 - 1)
        assert np.abs(result - (127.5 * (output[0].movedim(0, -1).numpy() + 1))).max() < 1.01
    assert np.abs(plain[4].astype(int) - translator.translate(FRAMES[4])).max() > 2


def test_lines_of_a_control_pipe_change_the_next_frame(
    files: Path, tmp_path: Path, stdin: int, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "out.rgb")
    found: dict[str, Any] = {}
    a, b = files / "a.png", files / "b.png"
    frame = FRAMES[0]

    def talk() -> None:
        with (tmp_path / "out.rgb").open("rb") as results, os.fdopen(stdin, "wb", buffering=0) as feed:
            for line in ("", "alpha 0.25", f"style {a}=0.4 '{b}'=0.6", "alpha 2", "stile", "style nowhere.png", "quit"):
                with (tmp_path / "control").open("w") as control:
                    control.write(f"{line}\n")
                feed.write(frame.tobytes())
                found[line] = np.frombuffer(results.read(BYTES), np.uint8).reshape(HEIGHT, WIDTH, 3)

    os.mkfifo(tmp_path / "control")
    thread = in_thread(talk)
    options = ("--source", "-", *SIZE, "--out", tmp_path / "out.rgb", "--control", tmp_path / "control")
    # A pipe that nobody reads yet loses nothing: the thread's first line waits for the verb.
    assert run("live", files / "adain.ckpt", "--style", a, *options) == 0
    thread.join(5)
    translator = load(files / "adain.ckpt")
    mixed = translator.translate(frame, style={a: 0.4, b: 0.6}, alpha=0.25)
    assert np.array_equal(found[""], translator.translate(frame, style=a))
    assert np.array_equal(found["alpha 0.25"], translator.translate(frame, style=a, alpha=0.25))
    for line in list(found)[2:]:
        assert np.array_equal(found[line], mixed), line
    assert len(found) == 7  # the frame that was there when quit was said is written
    said = capsys.readouterr().err
    for part in ("alpha=2 is not a strength", "the line 'stile' is not understood", "nowhere.png", "7 frames in"):
        assert part in said
    assert said.count("going on as before") == 3
    assert said.rstrip().endswith("; stopped")


def test_a_domain_model_turns_and_takes_its_domains_as_styles(files: Path) -> None:
    look = Look(load(files / "cyclegan.ckpt"), side=WIDTH)
    frame = torch.from_numpy(FRAMES[0]).movedim(-1, 0)[None] / 127.5 - 1
    there = look(frame)
    look.turn("B2A")
    back = look(frame)
    look.restyle([("painting", 1.0)])
    assert torch.equal(look(frame), there)
    look.turn("B2A")
    assert torch.equal(look(frame), back)
    assert not torch.equal(there, back)


def test_lines_of_a_control_file(tmp_path: Path) -> None:
    path = tmp_path / "control"
    path.write_text("alpha 0.5\nsty")
    with Control(path) as control:
        assert control.lines() == ["alpha 0.5"]
        assert control.lines() == []
        with path.open("a") as stream:
            stream.write("le a.png\n\n")
        assert control.lines() == ["style a.png"]
        path.write_text("quit\n")  # written again
        assert control.lines() == ["quit"]
    assert path.exists()
    with Control(tmp_path / "new") as control:
        (tmp_path / "new").write_text("alpha 1\n")
        assert control.lines() == ["alpha 1"]
    assert not (tmp_path / "new").exists()
    with Control(None) as control:
        assert control.lines() == []


@pytest.mark.parametrize("suffix", ["mp4", "y4m"])
def test_ctrl_c_leaves_a_whole_file(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    slowly(monkeypatch, 0.02)
    monkeypatch.setattr("gan_style.core.signals._last_request", -float("inf"))
    (tmp_path / "in.rgb").write_bytes(RAW * 100)
    target, begun = tmp_path / f"out.{suffix}", Control.__enter__

    def later() -> None:
        time.sleep(0.7)
        os.kill(os.getpid(), signal.SIGINT)

    def entered(control: Control) -> Control:  # the last thing before frames are read
        in_thread(later)
        return begun(control)

    monkeypatch.setattr(Control, "__enter__", entered)
    options = ("--source", tmp_path / "in.rgb", *SIZE, "--out", target)
    assert run("live", files / "cyclegan.ckpt", *options) == 130
    said = capsys.readouterr().err
    with av.open(str(target)) as container:
        count = sum(1 for _ in container.decode(video=0))
    assert 0 < count < 100 * COUNT
    assert f"{count} frames in" in said
    assert said.rstrip().endswith("; stopped")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.rgb", target.name]


def test_a_pipe_that_ends_inside_a_frame_is_told(
    files: Path, tmp_path: Path, stdin: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with os.fdopen(stdin, "wb") as stream:
        stream.write(RAW[: 2 * BYTES + 100])
    assert run("live", files / "cyclegan.ckpt", "--source", "-", *SIZE, "--out", tmp_path / "out.rgb") == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == (
        f"gan_style: stdin ends inside a frame, after 2 whole ones (100 of {BYTES} bytes): check --frame 48x32; what "
        f"came before is in {tmp_path / 'out.rgb'}"
    )
    assert len(frames_of(tmp_path / "out.rgb")) == 2


def test_nobody_reads_the_output_on(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "out.rgb")
    (tmp_path / "in.rgb").write_bytes(RAW * 20)

    def one() -> None:
        with (tmp_path / "out.rgb").open("rb", buffering=0) as results:
            results.read(BYTES)

    in_thread(one)
    options = ("--source", tmp_path / "in.rgb", *SIZE, "--out", tmp_path / "out.rgb")
    assert run("live", files / "cyclegan.ckpt", *options) == 0
    assert "; nobody read the output on" in capsys.readouterr().err


class Camera:
    """Camera of 60 frames, as OpenCV has them: BGR, 200 a second."""

    def __init__(self, number: int) -> None:
        self.number, self.count = number, 0

    def isOpened(self) -> bool:
        return self.number == 0

    def set(self, *_: object) -> None: ...

    def get(self, _: int) -> float:
        return 0.0  # many say nothing

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.005)
        self.count += 1
        image = np.full((HEIGHT, WIDTH, 3), (200, 100, 4 * self.count % 256), np.uint8)
        return self.count <= 60, image

    def release(self) -> None: ...


def test_a_camera_is_not_waited_for(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    slowly(monkeypatch, 0.03)
    assert run("live", files / "cyclegan.ckpt", "--out", tmp_path / "out.rgb") == 2  # the camera ends by itself
    said = capsys.readouterr().err
    found = frames_of(tmp_path / "out.rgb")
    numbers = [int(frame[0, 0, 0]) // 4 for frame in found]  # red
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 60
    assert f"{60 - len(found)} late frames dropped" in said
    assert len(found) < 40
    assert "camera 0 gives no more frames" in said
    assert run("live", files / "cyclegan.ckpt", "--source", "1", "--out", tmp_path / "out.rgb") == 2
    assert "camera 1 cannot be opened" in capsys.readouterr().err


def test_a_window_and_its_keys(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--source", files / "in.rgb", *SIZE)
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                  NONE\n")
    assert run("live", files / "cyclegan.ckpt", *options) == 2
    assert "opencv-python-headless has none" in capsys.readouterr().err
    images: list[Any] = []
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                  QT5\n")
    monkeypatch.setenv("DISPLAY", ":0")
    for name in ("namedWindow", "destroyAllWindows"):
        monkeypatch.setattr(cv2, name, lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, image: images.append(image))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1)
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(images) == 2 else -1)
    assert run("live", files / "cyclegan.ckpt", *options) == 0
    assert 2 <= len(images) < COUNT
    assert np.array_equal(images[0][..., ::-1], load(files / "cyclegan.ckpt").translate(FRAMES[0]))
    styles = [("a b.png", 1.0), ("c.png", 1.0)]
    assert [line_of(key, 0.95, styles) for key in "+-12q"] == [
        *("alpha 1.00", "alpha 0.85", "style 'a b.png'", "style c.png", "quit")
    ]
    assert [line_of(key, 0.95, styles) for key in "3x0"] == [None] * 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "live needs a model"),
        (("CKPT", "--source", "IN"), "IN cannot be read as a video"),
        (("CKPT", "--source", "IN", "--frame", "48"), "--frame 48 is no size"),
        (("CKPT", "--source", "IN", "--rate", "25"), "--rate is of raw RGB"),
        (("CKPT", "--source", "IN", *SIZE, "--rate", "0"), "--rate 0 is no number"),
        (("CKPT", "--source", "0", *SIZE), "--frame is of raw RGB, and a camera"),
        (("CKPT", "--source", "IN", *SIZE, "--out", "IN"), "is read and would be overwritten"),
        (("CKPT", "--source", "IN", *SIZE, "--out", "out.png"), "cannot hold frames"),
        (("CKPT", "--source", "IN", *SIZE, "--out", "out.rgb", "--format", "rgb"), "--format is of --out -"),
        (("CKPT", "--source", "IN", *SIZE, "--out", "out.rgb", "--size", "0"), "--size"),
        (("CKPT", "--source", "IN", *SIZE, "--out", "out.rgb", "--alpha", "2"), "alpha=2 is not a strength"),
        (("CKPT", "--source", "IN", *SIZE, "--out", "out.rgb", "--style", "IN"), "IN is not a domain of this model"),
        (("CKPT", "--source", "nowhere.rgb", *SIZE, "--out", "out.rgb"), "nowhere.rgb cannot be read"),
        (
            ("CKPT", "--source", "IN", *SIZE, "--out", "out.rgb", "--control", "no/where"),
            "--control no/where cannot be used",
        ),
    ],
)
def test_mistakes_are_one_sentence(
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"CKPT": str(files / "cyclegan.ckpt"), "IN": str(files / "in.rgb")}
    assert run("live", *(names.get(one, one) for one in options)) == 2
    said = capsys.readouterr().err
    assert sentence.replace("IN", names["IN"]) in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
