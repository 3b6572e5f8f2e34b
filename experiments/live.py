"""What `gan-style live` adds to the bare passes of its network, in rounds of A B A B, with its flicker.

    python experiments/live.py CHECKPOINT [--size 256] [--frames 240] [--rounds 3] [--style IMAGE] [--precision bf16]

Drawn frames of a bright disc on a moving ground go from a file of raw RGB to another one. A is a loop of
`translator.translate` over the same frames in memory, B the pipeline. Medians over the rounds; CPU is of all threads.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import gan_style  # isort: skip  # before torch, whose threads wait as it says

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_style.cli.main import allow_option
from gan_style.core.allowed import find_here
from gan_style.core.terminal import Parser
from gan_style.data.images import to_tensor
from gan_style.inference.live.look import Look
from gan_style.inference.live.pipeline import Counts, run
from gan_style.inference.live.sinks import StreamSink
from gan_style.inference.live.sources import RawSource
from gan_style.inference.translator import LoadedTranslator
from gan_style.inference.video.flicker import steps
from gan_style.inference.video.flow import flow_between
from gan_style.metrics.flicker import warped_error

T = TypeVar("T")
FLICKER_FRAMES = 24


def drawn(t: int, side: int) -> NDArray[np.uint8]:
    """Frame t, [side, side, 3]."""
    rows, columns = np.mgrid[:side, :side]
    waves = [127 + 90 * np.sin((rows * a + (columns + t) * b) / side * 25) for a, b in ((1, 1), (2, -1), (-1, 2))]
    image = np.stack(waves, axis=-1) + np.random.default_rng(t).normal(0, 2, (side, side, 3))
    x, y = side * (0.5 + 0.3 * np.cos(t / 20)), side * (0.5 + 0.3 * np.sin(t / 20))
    image[(columns - x) ** 2 + (rows - y) ** 2 < (side / 8) ** 2] = (240, 200, 40)
    return image.clip(0, 255).astype(np.uint8)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and CPU seconds of a function, and what it returns."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def bare(translator: LoadedTranslator, frames: list[Tensor], style: Any) -> None:
    for frame in frames:
        translator.translate(frame, style=style, tile=None)


def piped(computing: Executor, look: Look, folder: Path, side: int) -> Counts:
    """From a file to a file."""
    source = RawSource((folder / "in.rgb").open("rb", buffering=0), "in.rgb", (side, side), Fraction(25))
    with StreamSink(folder / "out.rgb", "rgb", Fraction(25)) as sink:
        return run(
            source,
            look,
            sink.write,
            computing=computing,
            side=side,
            drop=False,
            realtime=False,
            stop=threading.Event(),
            between=lambda: None,
            report=lambda counts: None,
        )


def flicker(outputs: list[Tensor], frames: list[Tensor]) -> float:
    """Along the motion of the input, in steps of 255."""
    pairs = zip(pairwise(outputs), pairwise(frames), strict=True)
    return steps([float(warped_error(b, a, *flow_between(y, x))) for (a, b), (x, y) in pairs])


def main() -> None:
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    for name, value in (("size", 256), ("frames", 240), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--style")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32")
    parser.add_argument("--engine", choices=("torch", "openvino"), default="torch")
    allow_option(parser)
    given = parser.parse_args()
    find_here(given.allow)
    with ThreadPoolExecutor(1) as computing:  # also the bare loop: a second thread has OpenMP's threads of its own
        measure(given, computing)


def measure(given: Namespace, computing: Executor) -> None:
    """Print the table, and the flicker of the first frames."""

    def there(work: Callable[..., T], *args: Any) -> T:
        return computing.submit(torch.no_grad()(work), *args).result()

    load = partial(gan_style.load, precision=given.precision, engine=given.engine, allow=given.allow)
    translator = there(load, given.checkpoint)
    arrays = [drawn(t, given.size) for t in range(given.frames)]
    frames = there(lambda: [to_tensor(array)[None] for array in arrays])
    styles = [(given.style, 1.0)] if given.style else []
    look_of = partial(Look, translator, side=given.size, styles=styles)
    looks = {smooth: there(partial(look_of, smooth=smooth)) for smooth in ("off", "flow")}
    style = there(partial(translator.style, given.style, side=given.size)) if given.style else None
    rows: dict[str, list[tuple[float, float]]] = {"bare": [], "off": [], "flow": []}
    last: dict[str, Counts] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.rgb").write_bytes(b"".join(array.tobytes() for array in arrays))
        there(bare, translator, frames[:8], style)
        for _ in range(given.rounds):
            rows["bare"].append(timed(partial(there, bare, translator, frames, style))[:2])
            for smooth, look in looks.items():
                *seconds, last[smooth] = timed(partial(piped, computing, look, folder, given.size))
                rows[smooth].append((seconds[0], seconds[1]))
    print(f"{len(frames)} frames of {given.size}x{given.size}, {given.rounds} rounds")
    print("| | frames a second | CPU ms a frame | of bare, wall | CPU | delay ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for label, found in rows.items():
        wall, cpu = (1000 * statistics.median(one) / len(frames) for one in zip(*found, strict=True))
        ratios = [statistics.median(x[i] / y[i] for x, y in zip(found, rows["bare"], strict=True)) for i in (0, 1)]
        delay = f"{last[label].delay(0.5):.0f}" if label in last else ""
        print(f"| {label} | {1000 / wall:.1f} | {cpu:.1f} | {ratios[0]:.3f} | {ratios[1]:.3f} | {delay} |")
    some = frames[:FLICKER_FRAMES]
    print(f"flicker of the input {there(flicker, some, some):.2f}", end="")
    for smooth, look in looks.items():
        print(f", {smooth} {there(lambda look: flicker([look(frame) for frame in some], some), look):.2f}", end="")
    print()


if __name__ == "__main__":
    main()
