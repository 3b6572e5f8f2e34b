"""What must hold on a GPU, each by the command that a user types, in processes of their own: see `suites/gpu.py`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from suites.step import PRECISIONS

from gan_style import load
from gan_style.core.config import config_dir
from gan_style.core.machine import usable_cores
from gan_style.data.scenes import draw_scene
from gan_style.testing import differences, small_overrides

ROOT = Path(__file__).parents[2]
# In the order of importance: every method goes through one before the next begins.
WAYS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("bf16", ()),
    ("16", ()),
    ("32", ()),
    ("tf32", ()),
    ("bf16", ("trainer.channels_last=true",)),
    ("bf16", ("trainer.compile=default",)),
    ("bf16", ("trainer.compile=max", "trainer.channels_last=true")),
    ("16", ("trainer.compile=default",)),
    ("tf32", ("trainer.compile=default",)),
)
# Left out of the checks of all methods: scores import and compute what no method does.
SCORES = ("truth_scores", "set_scores", "cycle_scores", "noise_scores")
BARE = [f"callbacks.{name}=null" for name in SCORES] + ["best.monitor=null"]
MAX_ROUNDING_LEVELS = 1  # of 255, between a picture in one pass and the same in exact tiles
MIN_SECONDS_LEFT = 10  # to begin a check
ENOUGH_SECONDS = 60  # for any check; one that is not done by then hangs
MARKS = {True: "ok", False: "FAILED", None: "-"}
MAX_EXPORT_ERROR = 1e-3  # on [-1, 1], of another library's convolutions on a GPU

Row = dict[str, Any]
composing = threading.Lock()  # Hydra has one state for all threads


class CheckError(Exception):
    """What did not hold, in one line."""


@dataclass(frozen=True)
class Clock:
    """The time at which everything ends, of `time.monotonic`."""

    ends: float

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()


def checked(name: str, clock: Clock, check: Callable[[], str]) -> Row:
    """Make a check, print its row and return it; whatever is raised becomes one line of it.

    Returns: name, seconds, one line `said`, and `ok`: None for what there was no time for.
    """
    started, ok, said = time.monotonic(), None, "left out, the time is spent"
    if clock.left > MIN_SECONDS_LEFT:
        try:
            ok, said = True, check()
        except subprocess.TimeoutExpired as error:
            ok, said = None, f"left out, the {error.timeout:.0f} s that were left are no time for it"
            if error.timeout > ENOUGH_SECONDS:
                ok, said = False, f"not done after {error.timeout:.0f} s"
        except Exception as error:
            ok, said = False, " ".join(f"{type(error).__name__}: {error}".removeprefix("CheckError: ").split())[:300]
    row = {"name": name, "ok": ok, "said": said, "seconds": round(time.monotonic() - started, 1)}
    print(f"  {MARKS[ok]:6} {name:52} {row['seconds']:6.1f} s  {said}", flush=True)
    return row


def typed(clock: Clock, *words: str, folder: str | None = None) -> str:
    """Run a verb of `gan-style` in a process of its own, and return the last line that it prints.

    Raises:
        CheckError: its last line, where it ends with an error.
        subprocess.TimeoutExpired: the time is spent.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "gan_style", *words]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=max(1, clock.left),
    )
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()] or [""]
    if done.returncode:
        raise CheckError(f"exit status {done.returncode}: {lines[-1]}")
    return lines[-1]


def methods(words: dict[str, str], clock: Clock) -> list[Row]:
    """Train every method a few iterations at small crops in every way, several at a time, while there is time.

    Args:
        words: `models=cut,santa` names methods, `ways=2` takes the first ways, `iterations=20`, `jobs=8`.
        clock: ends them.
    """
    names = words.get("models", ",".join(sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))))
    ways = WAYS[: int(words.get("ways", len(WAYS)))]
    iterations, jobs = int(words.get("iterations", "20")), int(words.get("jobs", max(1, usable_cores() // 2)))
    print(f"Methods, {iterations} iterations, {jobs} at a time", flush=True)
    cells = [(name, way, extra) for way, extra in ways for name in names.split(",")]

    def one(cell: tuple[str, str, tuple[str, ...]]) -> Row:
        name, way, extra = cell
        fixed = [f"model={name}", f"trainer.max_steps={iterations}", f"trainer.precision={PRECISIONS[way]}", *extra]
        with tempfile.TemporaryDirectory() as folder:
            return checked(" ".join((name + ",", way, *extra)), clock, lambda: trained(clock, fixed, folder))

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, cells))


def trained(clock: Clock, fixed: list[str], folder: str) -> str:
    """Train a small version of a method in a folder. Returns: the newest speed of the run."""
    with composing:
        overrides = small_overrides(*fixed)
    more = ["data.num_workers=0", f"run_dir={folder}/run", *BARE]
    typed(clock, "train", *overrides, *more, folder=folder)
    table = (Path(folder) / "run" / "metrics.csv").read_text().splitlines()
    column = table[0].split(",").index("time/images_per_s")
    return f"{[row.split(',')[column] for row in table[1:] if row.split(',')[column]][-1]} images/s at the end"


def exactness(words: dict[str, str], clock: Clock, folder: Path) -> list[Row]:
    """Train twice, and in two halves, under `trainer.deterministic`; the first run stays in folder/one."""
    size, iterations = words.get("size", "64"), int(words.get("iterations", "20"))
    fixed = [f"data.image_size={size}", f"data.load_size={size}", "trainer.deterministic=true", *BARE]
    own = [f"{key}={value}" for key, value in words.items() if "." in key]
    fixed += [f"trainer.precision={PRECISIONS['bf16']}", "data.count=16", "data.val_count=4", *own]

    def train(name: str, steps: int, *more: str) -> None:
        length = [f"trainer.max_steps={steps}", f"trainer.val_every={iterations // 2}", f"run_dir={folder / name}"]
        typed(clock, "train", *fixed, *length, *more)

    def same_as_one(name: str) -> str:
        one, other = (torch.load(last_of(folder / run), "cpu", weights_only=True) for run in ("one", name))
        parts = ("iteration", "state_dict", "optimizers", "pools", "callbacks")
        if found := differences(*({part: content[part] for part in parts} for content in (one, other))):
            raise CheckError(f"{len(found)} tensors differ, the first is {found[0]}")
        return "every tensor the same, bit for bit"

    def halves() -> str:
        train("halves", iterations // 2)
        train("halves", iterations, "resume=last")
        return same_as_one("halves")

    def again() -> str:
        train("again", iterations)
        return same_as_one("again")

    print(f"Exactness, {iterations} iterations at {size} px, trainer.deterministic=true", flush=True)
    first = checked("trains", clock, lambda: train("one", iterations) or f"{iterations} iterations")
    rows = (
        [checked("the same run again", clock, again), checked("two halves, resumed", clock, halves)]
        if first["ok"]
        else []
    )
    return [first, *rows]


def last_of(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


def inference(words: dict[str, str], clock: Clock, folder: Path) -> list[Row]:
    """Tile, translate, export and show live what `exactness` trained."""
    from PIL import Image

    checkpoint, side = str(last_of(folder / "one")), 4 * int(words.get("size", "64"))
    image, onnx = folder / "image.png", folder / "model.onnx"
    Image.fromarray(draw_scene(0, 0, side, "A")).save(image)

    def translated(name: str, *options: str) -> np.ndarray:
        typed(clock, "translate", checkpoint, str(image), str(folder / name), *options)
        return np.asarray(Image.open(folder / name)).astype(int)

    def tiles() -> str:
        whole = translated("whole.png", "--tile", "off")
        tiled = translated("tiled.png", "--tile", str(side // 2), "--tile-mode", "exact")
        most = int(np.abs(whole - tiled).max())
        if most > MAX_ROUNDING_LEVELS:
            raise CheckError(f"differ by {most} of 255")
        return f"differ by at most {most} of 255"

    def precise() -> str:
        whole, half = translated("whole.png"), translated("half.png", "--precision", "bf16", "--channels-last")
        error = float(np.mean((whole - half) ** 2))
        return "the same" if not error else f"{10 * np.log10(255**2 / error):.1f} dB"

    def export() -> str:
        typed(clock, "export", checkpoint, str(onnx))
        return f"{onnx.stat().st_size / 1e6:.1f} MB"

    print(f"Inference, {side} px", flush=True)
    return [
        checked("exact tiles beside one pass", clock, tiles),
        checked("translate --precision bf16 --channels-last", clock, precise),
        checked("export", clock, export),
        checked("the export by onnxruntime on the GPU", clock, lambda: by_onnxruntime(checkpoint, onnx, side)),
        checked("live of a drawn clip", clock, lambda: live(clock, checkpoint, folder, side)),
    ]


def by_onnxruntime(checkpoint: str, file: Path, side: int) -> str:
    """Compare an export by onnxruntime's CUDA provider with the checkpoint on the CPU."""
    try:
        import onnxruntime
    except ImportError:
        return "left out: onnxruntime is not installed"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "left out: this onnxruntime has no CUDA provider (pip install onnxruntime-gpu)"
    session = onnxruntime.InferenceSession(str(file), providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise CheckError("the CUDA provider is there and does not start")
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})[:1]
    expected = load(checkpoint, device="cpu").translate(images)
    error = float((torch.from_numpy(found) - expected).abs().max())
    if error > MAX_EXPORT_ERROR:
        raise CheckError(f"differs by {error:.1e}")
    return f"differs by at most {error:.1e}"


def live(clock: Clock, checkpoint: str, folder: Path, side: int, frames: int = 48) -> str:
    """Show a drawn clip by `gan-style live`. Returns: what it says at its end."""
    clip = folder / "clip.y4m"
    grey = np.full(side * side // 2, 128, np.uint8).tobytes()
    with open(clip, "wb") as file:  # a drawn scene that moves; its colours are left out
        file.write(f"YUV4MPEG2 W{side} H{side} F25:1 Ip A1:1 C420jpeg\n".encode())
        scene = draw_scene(0, 1, side, "A").mean(axis=2).astype(np.uint8)
        for frame in range(frames):
            file.write(b"FRAME\n" + np.roll(scene, frame, axis=1).tobytes() + grey)
    said = typed(
        clock, "live", checkpoint, "--source", str(clip), "--out", str(folder / "live.y4m"), "--size", str(side)
    )
    return re.sub(r"^gan_style: ", "", said)
