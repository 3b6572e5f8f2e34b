"""How much each kind of smoothing takes from a video's flicker, and what it costs in sharpness.

    python experiments/video_flicker.py CHECKPOINT VIDEO [--size 256] [--first 24] [--frames 36]

Every pair of consecutive frames counts for the motion, every fourth frame for the shift. Values are root mean squares
in steps of 255; `edges` is the mean strength of edges over that of the frame-by-frame translation, `change` the
difference from it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice, pairwise
from pathlib import Path

import torch
from torch import Tensor

from gan_style import load
from gan_style.cli.main import allow_option
from gan_style.core.allowed import find_here
from gan_style.core.terminal import Parser
from gan_style.data.images import to_tensor
from gan_style.inference.images import given_image
from gan_style.inference.video.flicker import MARGIN_PIXELS, steps
from gan_style.inference.video.flow import flow_between
from gan_style.inference.video.reading import Frame, VideoReader
from gan_style.inference.video.smoothing import Smoother, smoother
from gan_style.metrics.edges import sobel
from gan_style.metrics.flicker import SHIFTS, moved, shift_error, warped_error


def frames_of(path: Path, first: int, count: int, size: int) -> list[Tensor]:
    """[1, 3, H, W] each, shortened to `size`."""
    with VideoReader(path) as reader:
        shown = (item.image for item in reader.items() if isinstance(item, Frame))
        return [given_image(to_tensor(x)[None], side=size).images for x in islice(shown, first, first + count)]


def kept(translate: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same, which translates no frame twice."""
    known: dict[bytes, Tensor] = {}

    def one(frame: Tensor) -> Tensor:
        key = frame.numpy().tobytes()
        if key not in known:
            known[key] = translate(frame)
        return known[key]

    return one


def run(way: Smoother, frames: list[Tensor]) -> tuple[list[Tensor], list[float]]:
    """The outputs, and the shift errors of every fourth."""
    outputs, errors, shifts = [], [], cycle(SHIFTS)
    for t, frame in enumerate(frames):
        shift = next(shifts) if t % 4 == 3 else None
        of_moved = way.moved(shift)(moved(frame, shift)) if shift else None
        outputs.append(way(frame))
        if shift and of_moved is not None:
            errors.append(float(shift_error(outputs[-1], of_moved, shift, margin=MARGIN_PIXELS)))
    return outputs, errors


@torch.no_grad()
def main() -> None:
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("video", type=Path)
    for name, value in (("size", 256), ("first", 24), ("frames", 36)):
        parser.add_argument(f"--{name}", type=int, default=value)
    allow_option(parser)
    given = parser.parse_args()
    find_here(given.allow)
    translator = load(given.checkpoint, allow=given.allow)
    frames = frames_of(given.video, given.first, given.frames, given.size)
    flows = [flow_between(now, then) for then, now in pairwise(frames)]

    def moving(outputs: list[Tensor]) -> float:
        pairs = zip(pairwise(outputs), flows, strict=True)
        return steps([float(warped_error(now, then, *flow)) for (then, now), flow in pairs])

    translate = kept(translator.translate)
    plain, errors = run(smoother("off", translate, translator.model), frames)
    sharp = torch.cat([sobel(y) for y in plain]).mean()
    print(f"{len(frames)} frames of {frames[0].shape[-1]}x{frames[0].shape[-2]}")
    print("| smooth | window | motion | shift | edges | change |\n| --- | --- | --- | --- | --- | --- |")
    print(f"| (input) | | {moving(frames):.2f} | | | |", flush=True)
    print(f"| off | | {moving(plain):.2f} | {steps(errors):.2f} | 1 | 0 |", flush=True)
    for name in ("flow", "norm"):
        for window in (4, 12, 24):
            way = smoother(name, translate if name == "flow" else translator.translate, translator.model, window)
            outputs, errors = run(way, frames)
            edges = torch.cat([sobel(y) for y in outputs]).mean() / sharp
            change = steps([float((a - b).square().mean()) for a, b in zip(outputs, plain, strict=True)])
            row = f"{moving(outputs):.2f} | {steps(errors):.2f} | {edges:.3f} | {change:.2f}"
            print(f"| {name} | {window} | {row} |", flush=True)


if __name__ == "__main__":
    main()
