"""Compare models of styles: distances of content and style on VGG, for every pair of two folders, and a contact sheet.

    python experiments/instant/judge.py CONTENTS STYLES SHEET.png NAME=MODEL [NAME=MODEL ...] [--side 256]

MODEL is what `gan_style.load` takes, such as microast; the first is what the others are compared with. A distance is
the mean square between features (content, relu3_1) or between means and deviations (style, relu1_1 to relu3_1), divided
by the mean square of its target. The VGG is that of GAN_STYLE_VGG.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import gan_style
from gan_style.core.terminal import Parser
from gan_style.data.contact_sheet import draw_sheet
from gan_style.data.images import list_images, to_uint8
from gan_style.data.saving import save_image
from gan_style.inference.images import given_image
from gan_style.losses.perceptual import PerceptualLoss
from gan_style.networks.vgg import VGG

SHOWN = 3  # contents on the sheet


def main(words: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    for name in ("contents", "styles", "sheet"):
        parser.add_argument(name, type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--side", type=int, default=256)
    parsed = parser.parse_args(words)
    models = {one.partition("=")[0]: gan_style.load(one.partition("=")[2], device="cpu") for one in parsed.models}
    layers = [f"relu{block}_1" for block in (1, 2, 3)]
    vgg = VGG(os.environ.get("GAN_STYLE_VGG", "imagenet"))
    loss = PerceptualLoss(vgg, content_layers=layers[-1:], style_layers=layers, statistic="mean_std", relative=True)
    contents, styles = ({path: given_image(path, side=parsed.side).images for path in list_images(folder)}
                        for folder in (parsed.contents, parsed.styles))  # fmt: skip
    scores: dict[str, list[tuple[float, float]]] = {"the content itself": [], **{name: [] for name in models}}
    rows = []
    for number, (path, content) in enumerate(contents.items()):
        of_content, row = loss.features(content), []
        for style in styles.values():
            code = loss.style_code(loss.features(style))
            made: dict[str, Tensor] = {"the content itself": content}
            made |= {name: model.translate(content, style=style) for name, model in models.items()}
            for name, image in made.items():
                found = loss.features(image)
                scores[name].append((float(loss.content(found, of_content)), float(loss.style(found, code))))
            row += [Image.fromarray(to_uint8(made[name])[0]) for name in models]
        if number < SHOWN:
            rows.append((path, row))
    labels = [f"{name}: {style.stem}" for style in styles for name in models]
    save_image(draw_sheet(rows, labels, list(styles), cell=128), parsed.sheet)
    report({name: np.array(values) for name, values in scores.items()}, list(models))
    return 0


def report(scores: dict[str, np.ndarray], models: list[str]) -> None:
    for name, values in scores.items():
        content, style = np.median(values, axis=0)
        print(f"{name:20} median content {content:.3f}   style {style:.3f}")
    for name in models[1:]:
        ratios = np.median(scores[name] / scores[models[0]], axis=0)
        lower = (scores[name] < scores[models[0]]).mean(axis=0)
        print(f"{name} / {models[0]}: content {ratios[0]:.2f}, style {ratios[1]:.2f} (medians of the pairs' ratios); "
              f"lower in {lower[0]:.0%} and {lower[1]:.0%} of {len(scores[name])} pairs")  # fmt: skip


if __name__ == "__main__":
    with torch.inference_mode():
        raise SystemExit(main())
