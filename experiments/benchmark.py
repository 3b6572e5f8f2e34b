"""Speed as ratios: python experiments/benchmark.py suite=step [size=256 ...] [--out FILE.json]

Machines are shared and noisy, so the two sides alternate within one process (A, B, A, B) and the medians are compared.

    suite=step       one CycleGAN iteration through Lightning, callbacks and all, against a plain reference
    suite=profile    where the time of one CycleGAN iteration goes
    suite=styles     Gatys against VGG's own passes, AdaIN against its convolutions
    suite=methods    an iteration of every method between two domains beside CycleGAN's
    suite=data       pairs per second of the data side, against Pillow and torchvision as the official code uses them
    suite=inference  pictures per second of `gan-style translate`, against the official test path
    suite=gpu        speed, exactness, inference and every method on a GPU, in one call of under nine minutes
    suite=ranks      images per second of two processes beside one
    suite=doctor     what the training doctor adds to an iteration
    suite=start      CPU seconds of commands until they have done the least, beside `import torch`
    suite=memory     peak memory and time of `--tile auto` by size
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import torch

from gan_style.core.errors import did_you_mean
from gan_style.core.terminal import Parser

SUITES = ("step", "profile", "styles", "methods", "data", "inference", "doctor", "memory", "ranks", "gpu", "start")


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="key=value", help="suite, size, batch, rounds, config overrides")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    parser.add_argument(
        "--peer", type=Path, help="suite=step, methods: a checkout of the official repository, timed as well"
    )
    arguments = parser.parse_intermixed_args()
    for word in arguments.words:
        if "=" not in word:
            parser.error(f"{word!r} is not KEY=VALUE")
    words = dict(word.split("=", 1) for word in arguments.words)
    name = words.pop("suite", "step")
    if name not in SUITES:
        parser.error(f"suite={name} is not known{did_you_mean(name, SUITES)}")
    suite = importlib.import_module(f"suites.{name}").run
    more = {"peer": arguments.peer} if arguments.peer and name in ("step", "methods") else {}

    def keep(found: dict[str, Any]) -> None:
        if arguments.out:
            result = {"torch": torch.__version__, "threads": torch.get_num_threads(), **found}
            arguments.out.write_text(json.dumps(result, indent=2) + "\n")

    keep(suite(words, **more, **({"keep": keep} if name == "gpu" else {})))


if __name__ == "__main__":
    main()
