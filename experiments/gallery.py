"""Draw one picture per method from a folder of `gan-style bench`: `python experiments/gallery.py BENCH docs/gallery`.

    gan-style bench --tasks night --seeds 1 --out BENCH

A column is a test scene: its input, one true translation, the method's. Pixels are enlarged three times. Methods whose
training failed or is not there are named and left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_style.apps.bench.cell import MADE, judge_of
from gan_style.apps.bench.settings import ROWS, SETTINGS, Protocol
from gan_style.core.terminal import Parser

SCENES, ZOOM, MARGIN = 6, 3, 2
TASK = "night"


def sheet(rows: list[NDArray[np.uint8]]) -> Image.Image:
    """Lay rows of pictures [N, H, W, 3] out on white."""
    padded = [np.pad(row, ((0, 0), (0, MARGIN), (0, MARGIN), (0, 0)), constant_values=255) for row in rows]
    whole = np.concatenate([np.concatenate([*row], axis=1) for row in padded])[:-MARGIN, :-MARGIN]
    image = Image.fromarray(whole)
    return image.resize((image.width * ZOOM, image.height * ZOOM), Image.Resampling.BICUBIC)


def main(words: list[str] | None = None) -> int:
    """Write a picture for each method that the folder has; the exit status."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="BENCH", help="a folder of gan-style bench")
    parser.add_argument("target", type=Path, metavar="OUT", help="a folder for the pictures")
    parsed = parser.parse_args(words)
    source, target = parsed.source, parsed.target
    settings = json.loads((source / SETTINGS).read_text(encoding="utf-8"))
    judge = judge_of(TASK, Protocol(**settings["protocol"]))
    target.mkdir(parents=True, exist_ok=True)
    for model in settings["models"]:
        found = source / ROWS / TASK / model / "seed-0" / MADE
        if not found.is_file():
            print(f"{model}: {found} is not there", file=sys.stderr)
            continue
        made = np.load(found)["images"]
        rows = [judge.inputs[:SCENES], judge.truths[:SCENES, 0], made[:SCENES]]
        sheet(rows).save(target / f"{model}.jpg", quality=75)
    return 0


if __name__ == "__main__":
    sys.exit(main())
