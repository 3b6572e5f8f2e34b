"""Pairs per second of the data side, against Pillow and torchvision as the official code uses them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from suites.common import Step, alternate, composed, report

from gan_style.core.config import build


def run(words: dict[str, str]) -> dict[str, Any]:
    """Pairs from 256 px JPEGs, load 286, crop 256, flip, normalise: ours against Pillow and torchvision, one worker."""
    count, rounds = int(words.pop("count", "100")), int(words.pop("rounds", "7"))
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(Path(folder), count)
        sides = {"Pillow + torchvision": official_pipeline(Path(folder))}
        for name, cache in (("gan_style, from files", "off"), ("gan_style, warm cache", "auto")):
            sides[name] = our_pipeline(folder, cache)
            if cache == "auto":
                for _ in range(2):  # every picture once more than an epoch has
                    sides[name]()
        times = alternate(sides, rounds)
    result = report(f"{count} pairs of 256 px", times, against="Pillow + torchvision")
    for name, row in result["rows"].items():
        row["pairs_per_s"] = round(count / row["median_ms"] * 1000)
        print(f"  {name:24} {row['pairs_per_s']:6} pairs/s")
    return result


def write_jpegs(folder: Path, count: int) -> None:
    """Drawn scenes of 256 px as JPEGs of quality 90."""
    from PIL import Image

    from gan_style.data.scenes import draw_scene

    for domain in "AB":
        (folder / f"train{domain}").mkdir()
        for i in range(count):
            image = Image.fromarray(draw_scene(0, i, 256, domain))
            image.save(folder / f"train{domain}" / f"{i}.jpg", quality=90)


def official_pipeline(folder: Path) -> Step:
    """What the official code does with a picture: open, RGB, bicubic to 286, random crop, flip, tensor, [-1, 1]."""
    from PIL import Image
    from torchvision import transforms

    files = [sorted((folder / f"train{domain}").iterdir()) for domain in "AB"]
    steps = transforms.Compose(
        [
            transforms.Resize([286, 286], transforms.InterpolationMode.BICUBIC),
            transforms.RandomCrop(256),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )

    def epoch() -> None:
        for pair in zip(*files, strict=True):
            for path in pair:
                steps(Image.open(path).convert("RGB"))

    return epoch


def our_pipeline(folder: str, cache: str) -> Step:
    """The data set as training has it, with what it leaves to the device: the way to [-1, 1]."""
    data = build(composed(["data=folders", f"data.root={folder}", f"data.cache={cache}"])["data"])
    data.setup()
    position = iter(range(10**9))

    def epoch() -> None:
        for _ in range(data.epoch_length):
            data.on_after_batch_transfer(data.train_set[next(position)], 0)

    return epoch
