"""Memory that runs out is one sentence that says what to lower, whichever library says it and wherever it happens."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.apps.planning import trial
from gan_style.checkpoints import checkpoint
from gan_style.cli.main import main
from gan_style.core import memory
from gan_style.core.errors import UserError
from gan_style.data.files import read_raw
from gan_style.data.opened import named_bytes
from gan_style.models.cut import CUT
from tests.conftest import small_words
from tests.small_models import saved
from tests.test_hostile import run


def caught(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("it had memory enough")


def in_a_worker(error: Exception) -> Exception:
    """As a data loader hands it on."""
    from torch._utils import ExceptionWrapper

    try:
        raise error
    except Exception:
        return caught(ExceptionWrapper(where="in DataLoader worker process 0").reraise)  # type: ignore[return-value]


CARD = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 8.00 GiB of which 1.2 GiB is free."
)
CV2 = "OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 1200000000 bytes in function 'x'"
ERRORS: dict[str, Callable[[], Any]] = {
    "python": MemoryError,
    "torch": lambda: caught(lambda: torch.empty(10**15)),
    "numpy": lambda: caught(lambda: np.zeros((10**7, 10**7))),
    "opencv": lambda: cv2.error(CV2),
    "cuda": lambda: torch.OutOfMemoryError(CARD),
    "cublas": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "pyav": lambda: av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory"),
    "system": lambda: OSError(errno.ENOMEM, "Cannot allocate memory"),
    "c++": lambda: RuntimeError("std::bad_alloc"),
    "a worker's numpy": lambda: in_a_worker(caught(lambda: np.zeros((10**7, 10**7)))),  # type: ignore[arg-type]
    "a worker's torch": lambda: in_a_worker(caught(lambda: torch.empty(10**15))),  # type: ignore[arg-type]
}
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ValueError("out of memory.png has the wrong size"),
    UserError("a file named out of memory is no picture"),
    OSError(errno.ENOSPC, "No space left on device"),
    KeyError("MemoryError"),
]


@pytest.mark.parametrize("name", ERRORS)
def test_each_library_is_understood(name: str) -> None:
    error = ERRORS[name]()
    assert memory.ran_out(error)
    said = memory.sentence(error, "lower it")
    assert said.startswith("the memory of the graphics card ran out" if name.startswith("cu") else "memory ran out")
    assert said.endswith(": lower it")
    assert "\n" not in said
    wanted = {"torch": "4e+06 GB", "numpy": "8e+05 GB", "opencv": "1.2 GB", "cuda": "2.68 GB"}
    assert wanted.get(name.removeprefix("a worker's "), "") in said


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_nothing_else_is_taken_for_it(error: Exception) -> None:
    assert not memory.ran_out(error)
    memory.raise_if_out(error)


def noise(path: Path, side: int = 24, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)).save(path)
    return path


PASS, READ = "gan_style.inference.translator.LoadedTranslator.translate_all", "PIL.PngImagePlugin.PngImageFile.load"
MADE, SIZED = "gan_style.models.cut.CUT.load_state_dict", "gan_style.evaluation.sets.SizedImages.__getitem__"
# A command, and what in it has no memory.
VERBS = {
    "translate": ("translate {model} {photo} {out}.png", PASS),
    "translate a folder": ("translate {model} {data}/testA {out}", PASS),
    "stylize": ("stylize {photo} {out}.png --style {photo} --weights random --set model.steps=1", PASS),
    "sheet": ("sheet {out}.png --content {photo} --checkpoint {model}", PASS),
    "evaluate": ("evaluate {model} --data {data} --draws 2 --no-cache", SIZED),
    "evaluate a checkpoint": ("evaluate {model} --data {data} --draws 2 --no-cache", MADE),
    "compare": ("compare {data}/testA {data}/testB --draws 2 --no-cache --size 32", SIZED),
    "export": ("export {model} {out}.safetensors", MADE),
    "export a graph": ("export {model} {out}.pth", "gan_style.apps.export.graph.Graph.forward"),
    "describe": ("describe {model}", MADE),
    "inspect": ("inspect {data}", READ),
    "shards": ("shards {data} {out}", "gan_style.data.shard_writer.image_size"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_says_what_to_lower(
    tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for k, part in enumerate(("trainA", "trainB", "testA", "testB")):
        for number in range(4):
            noise(tmp_path / "set" / part / f"{number}.png", seed=10 * k + number)
    model = saved(tmp_path / "a.ckpt", "model=cut")
    content = torch.load(model, weights_only=True)
    torch.save(content | {"preprocessing": {"image_size": 16}}, model)
    places = {"model": model, "photo": tmp_path / "set/testA/0.png", "data": tmp_path / "set", "out": tmp_path / "out"}
    line, place = VERBS[verb]
    for name in ERRORS if verb == "translate" else ("python", "torch"):

        def raising(*_: Any, name: str = name, **__: Any) -> None:
            raise ERRORS[name]()

        with monkeypatch.context() as patch:
            patch.setattr(place, raising)
            assert main([word.format(**places) for word in line.split()]) == 2, name
        said = capsys.readouterr().err
        assert "ran out" in said.split(":")[1]
        assert said.endswith(f": {memory.advice_of(verb.split()[0])}\n")
        assert said.count("\n") == 1
        assert not list(tmp_path.glob("out.*"))
        assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.dcm"])
def test_a_picture_that_wants_more_than_there_is_is_not_called_damaged(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fuzz import valid

    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, np.zeros((4, 4, 3), np.float32))
    elif name.endswith("dcm"):
        path.write_bytes(valid.dicom())
    else:
        noise(path)

    def raising(*_: Any, **__: Any) -> None:
        raise MemoryError

    for place in ("PIL.ImageFile.ImageFile.load", "numpy.load", "pydicom.dcmread"):
        monkeypatch.setattr(place, raising)
    with pytest.raises(MemoryError) as found, named_bytes(path) as data:
        read_raw(data)
    assert memory.sentence(found.value, "x") == f"memory ran out while {path} was read: x"


def test_a_checkpoint_that_does_not_fit_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(tmp_path / "a.ckpt", "model=cut")

    def raising(*_: Any, **__: Any) -> None:
        raise ERRORS["torch"]()

    monkeypatch.setattr(torch, "load", raising)
    assert main(["describe", str(model)]) == 2
    assert f"memory ran out while {model} was read" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="can't allocate"), checkpoint.writing(tmp_path / "b.ckpt"):
        raising()


def test_a_video_whose_frames_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gan_style.inference.video import reading
    from tests.inference.video.clips import clip

    source = clip(tmp_path / "in.mp4", 3)

    def raising(*_: Any, **__: Any) -> None:
        raise ERRORS["pyav"]()

    with monkeypatch.context() as patch:
        patch.setattr(reading, "opened", raising)
        with pytest.raises(MemoryError):
            reading.VideoReader(source)
    monkeypatch.setattr(reading.VideoReader, "_frame", raising)
    with reading.VideoReader(source) as reader, pytest.raises(MemoryError):
        list(reader.items())


def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    given = [word for word in small_words("model=cut") if not word.startswith("run_dir")]
    given = [*given, "trainer.max_steps=6", "trainer.save_every=2", "data.num_workers=0", "trainer.accelerator=cpu"]
    return run(["train", *given, *words], tmp_path, monkeypatch)


def test_training_keeps_its_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = CUT.generator_loss

    def raising(self: CUT, images: Any) -> Any:
        if self.iteration == 4:
            raise ERRORS["torch"]()
        return step(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(CUT, "generator_loss", raising)
        assert train(tmp_path, monkeypatch) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("gan_style: memory ran out (4e+06 GB more were asked for): lower data.batch_size")
    assert said[0].endswith("; go on with resume=last and the same run_dir")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["stopped"].startswith("failed: memory ran out")
    assert checkpoint.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["iteration"] == 4
    assert train(tmp_path, monkeypatch, "resume=last") == 0


@pytest.mark.parametrize(
    "place", ["gan_style.models.cut.CUT.__init__", "gan_style.data.datamodule.UnpairedDataModule.setup"]
)
def test_before_training_begins(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raising(self: Any, *_: Any, **__: Any) -> None:
        raise ERRORS["numpy"]()

    raising.__signature__ = __import__("inspect").signature(CUT.__init__)  # type: ignore[attr-defined]
    monkeypatch.setattr(place, raising)
    assert train(tmp_path, monkeypatch) == 1
    said = capsys.readouterr().err
    assert said.startswith("gan_style: memory ran out (8e+05 GB more were asked for): lower data.batch_size")
    assert said.count("\n") == 1


def test_a_trial_of_plan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"config": {}, "iterations": 3})))
    monkeypatch.setattr(trial, "parts_of", lambda _: (_ for _ in ()).throw(ERRORS["cuda"]()))
    assert trial.main() == 2
    assert "the memory of the graphics card ran out (2.68 GB more were asked for): plan a sm" in capsys.readouterr().err


@pytest.mark.slow
def test_the_studio(monkeypatch: pytest.MonkeyPatch) -> None:
    gradio = pytest.importorskip("gradio")
    from gan_style.apps.studio.page import sentences

    @sentences
    def button(name: str) -> str:
        if name:
            raise ERRORS[name]()
        return "made"

    assert button("") == "made"
    for name in ERRORS:
        with pytest.raises(gradio.Error, match=r"memory .*ran out.*: take a smaller size or picture"):
            button(name)


CHILD = """
import resource, sys
from pathlib import Path
import torch, cv2, gan_style.cli.translate, gan_style.cli.inspect, gan_style.cli.sheet, gan_style.training.run
from gan_style.cli import main as cli, train
torch.set_num_threads(1)
torch.nn.Conv2d(3, 3, 3)(torch.zeros(1, 3, 64, 64))
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
most = now + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (most, most))
words = sys.argv[2:]
if words[0] == "train":
    sys.argv = ["train.py", *words[1:]]
    train.main()
sys.exit(cli.main(words))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux bounds the memory of a process")
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("translate {model} {photo} {out}.png --tile off", 2, "give smaller tiles"),
        ("stylize {photo} {out}.png --style {photo} --weights random --size 4000", 2, "give a smaller --size"),
        ("sheet {out}.png --content {photo} --checkpoint {model} --cell 9000", 2, "smaller --size or --cell"),
        ("inspect {data}", 2, "make the largest pictures smaller"),
        ("train {small} data.batch_size=20000 run_dir={out}", 1, "no checkpoint was saved yet"),
    ],
)
def test_a_process_with_little_memory(tmp_path: Path, words: str, status: int, said: str) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (5000, 5000), "red").save(photo)
    for part in ("trainA", "trainB"):
        (tmp_path / "set" / part).mkdir(parents=True)
        for number in range(3):
            os.link(photo, tmp_path / "set" / part / f"{number}.png")
    model = saved(tmp_path / "a.ckpt", "model=cut")
    small = " ".join([w for w in small_words("model=cut") if "run_dir" not in w] + ["trainer.max_steps=2"])
    small += " data.num_workers=0 trainer.accelerator=cpu"
    places = {"model": model, "photo": photo, "data": tmp_path / "set", "out": tmp_path / "out", "small": small}
    given = [word for part in words.split() for word in part.format(**places).split(" ")]
    room = 130_000_000 if words.startswith("inspect") else 400_000_000
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", CHILD, str(room), *given]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250)
    assert done.returncode == status, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("gan_style: ")]
    assert len(lines) == 1, done.stderr
    assert "memory ran out" in lines[0]
    assert said in lines[0]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out.*"))
