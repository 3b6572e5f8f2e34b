"""A video against the same frames as pictures: seconds of the whole command, by turns in one process.

    python experiments/video_speed.py CHECKPOINT [--size 256] [--frames 12] [--rounds 3]

`wall` is what a user waits for; `cpu` is the work of all threads, which other programs on the machine do not change.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from gan_style.cli import main as cli
from gan_style.core.terminal import Parser
from gan_style.data.scenes import draw_scene


def drawn(folder: Path, frames: int, size: int) -> None:
    """A scene that moves sideways, as `in.mp4` and as PNGs in `frames`."""
    wide = np.concatenate([draw_scene(0, i, size, "A") for i in range(2)], axis=1)
    (folder / "frames").mkdir()
    with av.open(str(folder / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(24))
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for t in range(frames):
            image = np.ascontiguousarray(wide[:, 2 * t : 2 * t + size])
            Image.fromarray(image).save(folder / "frames" / f"{t:04}.png")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def seconds(*words: object) -> tuple[float, float]:
    """Wall and CPU seconds of one command."""
    wall, cpu = time.perf_counter(), time.process_time()
    assert cli.main([str(word) for word in words]) == 0
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    for name, value in (("size", 256), ("frames", 12), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn(folder, given.frames, given.size)
        images = ("translate", given.checkpoint, folder / "frames", folder / "out")
        ways = {"pictures": images} | {
            smooth: ("translate", given.checkpoint, folder / "in.mp4", folder / "out.mp4", "--smooth", smooth)
            for smooth in ("off", "flow")
        }
        seconds(*ways["off"])  # imports and first calls
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(given.rounds):
            for way, words in ways.items():
                found[way].append(seconds(*words))
        print(f"{given.frames} frames of {given.size}x{given.size}, medians of {given.rounds} rounds")
        base = [statistics.median(times) for times in zip(*found["pictures"], strict=True)]
        for way, rounds in found.items():
            wall, cpu = (statistics.median(times) for times in zip(*rounds, strict=True))
            print(f"{way:10} wall {wall:7.2f} s ({wall / base[0]:.2f})   cpu {cpu:7.2f} s ({cpu / base[1]:.2f})")


if __name__ == "__main__":
    main()
