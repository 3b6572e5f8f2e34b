"""`python -m tests.training.doctor.pictures` draws docs/troubleshooting/*.jpg: what each of the zoo looks like."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gan_style.data.images import to_uint8
from gan_style.metrics.extractor import rounded
from gan_style.training.doctor.codes import CODES
from tests.training.doctor.zoo import ZOO, Recorder, batches_of, images, observe, shows_colour, textured

FOLDER = Path(__file__).parents[3] / "docs" / "troubleshooting"
SHOWN, SIDE, GAP, LABEL = 4, 64, 6, 96
PAPER, INK, HEALTHY, PLANTED = "#fcfcfa", "#1d1f23", "#9a9ea6", "#b02a1e"
# What is seen in a number and not in a picture: its column, and what it is.
CURVES = {
    "exploding-gradients": ("G/gradient", "log of the\ngradient's norm"),
    "strong-discriminator": ("D_B/certainty", "margin of D"),
    "frozen-term": ("G_content/slope", "slope of the\nterm"),
}


def draw(code: str) -> Image.Image:
    """Inputs, outputs, and what comes back or a number over the looks, healthy beside planted."""
    inputs = (textured if code == "blur" else images)(SHOWN, seed=11)
    model, numbers = trained(code)
    model.eval()
    with torch.no_grad():
        outputs = model.G_AB(inputs)
    rows = {"input": inputs, "output": outputs}
    if code == "ignored-noise":
        with model.seeded(1), torch.no_grad():
            rows["other seed"] = model.G_AB(inputs)
    if code == "hidden-cycle":
        rows |= {"back": shows_colour(outputs), "back, after\n8 bits": shows_colour(rounded(outputs))}
    strips = [labelled(name, row(images_of)) for name, images_of in rows.items()]
    if code in CURVES:
        column, name = CURVES[code]
        values = [
            [math.log10(v) if code == "exploding-gradients" else v for v in n.get(column, [])]
            for n in (trained("healthy")[1], numbers)
        ]
        strips.append(labelled(name, bars(*values)))
    sheet = Image.new("RGB", (strips[0].width, sum(s.height + GAP for s in strips) - GAP), PAPER)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height + GAP
    return sheet


def trained(name: str) -> tuple[torch.nn.Module, dict[str, list[float]]]:
    """One of the zoo after its training, and the numbers of its looks by column."""
    torch.manual_seed(3)
    model, recorder = ZOO[name](), Recorder()
    with tempfile.TemporaryDirectory() as folder:
        observe(model, batches_of(name), Path(folder), loggers=[recorder])
    return model, recorder.columns


def row(images: Tensor) -> Image.Image:
    """Pictures [N, 3, h, w] side by side, each pixel a square."""
    finite = images.nan_to_num(-1, 1, -1).clamp(-1, 1)
    strip = Image.new("RGB", (SHOWN * (SIDE + GAP) - GAP, SIDE), PAPER)
    for i, one in enumerate(finite):
        image = Image.fromarray(np.ascontiguousarray(to_uint8(one)))
        strip.paste(image.resize((SIDE, SIDE), Image.Resampling.NEAREST), (i * (SIDE + GAP), 0))
    return strip


def bars(healthy: list[float], planted: list[float]) -> Image.Image:
    """Two numbers for each look."""
    width, low = SHOWN * (SIDE + GAP) - GAP, min(0.0, *healthy, *planted)
    high = max(*healthy, *planted)
    strip = Image.new("RGB", (width, SIDE), PAPER)
    pen = ImageDraw.Draw(strip)
    looks = max(len(healthy), len(planted))
    step = min(width / looks, 60)
    for colour, values, shift in ((HEALTHY, healthy, 0.1), (PLANTED, planted, 0.45)):
        for i, value in enumerate(values):
            left, top = (i + shift) * step, SIDE - 14 - (value - low) / (high - low) * (SIDE - 16)
            pen.rectangle((left, min(top, SIDE - 16), left + 0.3 * step, SIDE - 14), fill=colour)
    font = ImageFont.load_default(11)
    pen.text((2, SIDE - 13), "grey: healthy, red: planted; one pair for each look", fill=INK, font=font)
    return strip


def labelled(name: str, strip: Image.Image) -> Image.Image:
    whole = Image.new("RGB", (LABEL + strip.width, strip.height), PAPER)
    ImageDraw.Draw(whole).text((2, strip.height // 2 - 14), name, fill=INK, font=ImageFont.load_default(13))
    whole.paste(strip, (LABEL, 0))
    return whole


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in CODES:
        draw(name).save(FOLDER / f"{name}.jpg", quality=70, optimize=True)
