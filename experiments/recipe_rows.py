"""Rows of docs/recipes.md: how a checkpoint of `data=scenes` paints, and what it leaves of real photos.

    python experiments/recipe_rows.py RUN/checkpoints/last.ckpt ... --photos A.jpg B.jpg C.jpg --out sheet.png

Prints a line of JSON for each checkpoint: the measures of docs/benchmark.md in both directions at the size of its
training, and on the photos by how much a grid stands out of the photo's own at each stride (largest less smallest value
of the folded cell, in grey levels) and how much of the gradients' energy is kept, beside what the drawn painter would
keep of them (`paint`). `--out` draws scenes and photos.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import gan_style
from gan_style.core.terminal import Parser
from gan_style.data.scenes.painting import render_painting
from gan_style.data.scenes.photo import Rendering
from gan_style.evaluation import DrawnJudge
from gan_style.evaluation.renditions import renditions, translations
from gan_style.metrics.detail import gradient_energy
from gan_style.metrics.filters import from_grey_levels, grey_levels
from gan_style.metrics.grid import STRIDES, fold
from gan_style.metrics.labels import LinearJudge

Array = NDArray[np.uint8]
SHOWN = ("psnr", "label_iou", "energy_distance", "detail", "fine_detail", "texture", "grid", "spread")
SCENES, CROP = 6, 128  # in the sheet: scenes of each direction, and pixels of each photo, both shown twice as large


def of_scenes(model: Any, size: int, count: int) -> tuple[dict[str, float], list[Array]]:
    """Score both directions on drawn test scenes. Returns: the scores, and the images for the sheet."""
    found: dict[str, float] = {}
    rows = []
    for direction in ("A2B", "B2A"):
        judge = DrawnJudge("paint", direction, size=size, seed=0, count=count, samples=8)
        made = translations(model, judge)
        several = renditions(model, judge, made)
        scores = judge.scores(made, several, draws=0)
        found |= {f"{direction} {name}": round(scores[name]["value"], 3) for name in SHOWN if name in scores}
        rows += [np.concatenate(list(images[:SCENES]), 1) for images in (judge.inputs, judge.truths[:, 0], made)]
    return found, rows


def peak_to_peak(image: Array, stride: int) -> float:
    cell = fold(grey_levels(from_grey_levels(image[None])), stride)
    return float(cell.max() - cell.min())


def paint(photo: Array, side: int, judge: LinearJudge) -> Array:
    """Paint a photo as the painter of `data.task=paint` does, who knows the material of each pixel: no network.

    Args:
        photo: uint8 [H, W, 3].
        side: of the squares that are painted one by one, each as a scene of this size, with strokes along its rows.
        judge: of the materials of drawn photos.
    """
    rows, columns = (-(-length // side) * side for length in photo.shape[:2])
    padding = ((0, rows - photo.shape[0]), (0, columns - photo.shape[1]))
    whole = np.pad(photo, (*padding, (0, 0)), mode="edge")
    materials = judge(from_grey_levels(whole[None]))[0].numpy().astype(np.uint8)
    rng, shown = np.random.default_rng(0), (slice(0, side), slice(0, side))
    level, trees = np.zeros((side, side), np.float32), np.zeros((side, side), np.uint8)
    made = np.empty_like(whole)
    for top in range(0, rows, side):
        for left in range(0, columns, side):
            square = (slice(top, top + side), slice(left, left + side))
            rgb = (whole[square] / 255).astype(np.float32)
            made[square] = np.round(255 * render_painting(Rendering(rgb, materials[square], level, trees, shown), rng))
    return made[: photo.shape[0], : photo.shape[1]]


def kept(photo: Array, made: Array) -> float:
    """Return the energy of the gradients of a picture over that of the photo that it was made of."""
    before, after = (gradient_energy(from_grey_levels(image[None])).item() for image in (photo, made))
    return after / before


def of_photos(model: Any, paths: list[Path], size: int) -> tuple[dict[str, float], list[Array]]:
    """Compare translations of photos with the photos. Returns: means over them, and crops for the sheet."""
    above: dict[int, list[float]] = {stride: [] for stride in STRIDES}
    by_model, by_painter, crops = [], [], []
    judge = DrawnJudge("paint", "B2A", size=size, seed=0, count=2, samples=2).judge
    for path in paths:
        photo = np.array(Image.open(path).convert("RGB"))
        made = np.asarray(model.translate(photo, direction="A2B"))
        for stride in STRIDES:
            above[stride].append(peak_to_peak(made, stride) - peak_to_peak(photo, stride))
        by_model.append(kept(photo, made))
        by_painter.append(kept(photo, paint(photo, size, judge)))
        y, x = (max(0, (side - CROP) // 2) for side in photo.shape[:2])
        crops += [image[y : y + CROP, x : x + CROP] for image in (photo, made)]
    found = {f"grid above the photos' at {stride} px": round(float(np.mean(v)), 2) for stride, v in above.items()}
    found["gradients kept of photos"] = round(float(np.mean(by_model)), 3)
    found["gradients kept by the painter"] = round(float(np.mean(by_painter)), 3)
    return found, crops


def sheet(rows: list[Array], crops: list[Array]) -> Image.Image:
    """Draw rows of scenes above a row of photos and their translations, at twice the size."""
    parts = rows + ([np.concatenate(crops, 1)] if crops else [])
    width = max(part.shape[1] for part in parts)
    whole = np.concatenate([np.pad(p, ((0, 4), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in parts])
    image = Image.fromarray(whole)
    return image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--photos", nargs="*", type=Path, default=[])
    parser.add_argument("--size", type=int, default=64, help="of the scenes, in pixels; default: 64")
    parser.add_argument("--count", type=int, default=32, help="test scenes; default: 32")
    parser.add_argument(
        "--out", type=Path, help="a PNG; with several checkpoints the number of each goes into its name"
    )
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    for number, path in enumerate(given.checkpoints):
        model = gan_style.load(path)
        scores, rows = of_scenes(model, given.size, given.count)
        more, crops = of_photos(model, given.photos, given.size) if given.photos else ({}, [])
        print(json.dumps({"checkpoint": path.parts[-3], **scores, **more}), flush=True)
        if given.out:
            name = given.out if number == 0 else given.out.with_stem(f"{given.out.stem}-{number}")
            sheet(rows, crops).save(name)


if __name__ == "__main__":
    main()
