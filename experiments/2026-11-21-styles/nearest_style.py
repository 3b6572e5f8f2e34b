"""Is G(x, s) nearest to its own style, and do mixes lie between? `nearest_style.py CHECKPOINT STYLES CONTENTS WEIGHTS`.

Classifier-free: the distance between two pictures is that of the means and deviations of their VGG channels, each layer
divided by its mean over the styles. STYLES is a folder with one picture per style, WEIGHTS a file of VGG's.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from torch import Tensor

import gan_style
from gan_style.core.terminal import Parser
from gan_style.data.images import list_images, read_image, to_tensor
from gan_style.data.transforms import EvalTransform
from gan_style.losses.perceptual import mean_std
from gan_style.networks.vgg import VGG


def main(checkpoint: str, styles: str, contents: str, weights: str) -> None:
    translator = gan_style.load(checkpoint)
    network = VGG(weights)
    layers = [layer for layer in network.layers if layer.endswith("_1")]
    files = {path.stem: path for path in list_images(Path(styles))}
    fit = EvalTransform(64)

    def tensor(path: Path, side: EvalTransform = fit) -> Tensor:
        return to_tensor(side(read_image(path)))[None]

    def statistics(images: Tensor) -> list[Tensor]:
        return [torch.cat(mean_std(features), 1) for features in network(images, layers).values()]

    targets = {name: statistics(tensor(path)) for name, path in files.items()}
    scales = [torch.stack([t[i] for t in targets.values()]).pow(2).mean() for i in range(len(layers))]

    def distances(image: Tensor) -> dict[str, float]:
        own = statistics(image)
        return {
            name: float(sum(((a - b) ** 2).mean() / s for a, b, s in zip(own, target, scales, strict=True)))
            for name, target in targets.items()
        }

    images = [tensor(path) for path in list_images(Path(contents))[:40]]
    found = {
        "input": [distances(x) for x in images],
        "name": {n: [distances(translator.translate(x, style=n)) for x in images] for n in files},
        "picture": {n: [distances(translator.translate(x, style=str(p))) for x in images] for n, p in files.items()},
    }
    for kind in ("name", "picture"):
        right = sum(min(d, key=d.__getitem__) == n for n, of in found[kind].items() for d in of)
        print(f"by {kind}: nearest to its own style in {right} of {len(files) * len(images)}")
    for name in files:
        print(f"inputs nearest to {name}: {sum(min(d, key=d.__getitem__) == name for d in found['input'])}")
    between = count = 0
    for a, b in itertools.combinations(files, 2):
        for i, x in enumerate(images):
            mixed = distances(translator.translate(x, style=[(a, 0.5), (b, 0.5)]))
            for end in (a, b):
                ends = sorted((found["name"][a][i][end], found["name"][b][i][end]))
                between += ends[0] <= mixed[end] <= ends[1]
                count += 1
    print(f"half-half mixes lie between in {between} of {count} distances")


if __name__ == "__main__":
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in ("checkpoint", "styles", "contents", "weights"):
        parser.add_argument(name, metavar=name.upper())
    main(**vars(parser.parse_args()))
