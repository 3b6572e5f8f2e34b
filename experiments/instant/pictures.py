"""Write the pictures that experiment=instant trains on, and the list of them.

    python experiments/instant/pictures.py OUT --from FOLDER

FOLDER holds ATTRIBUTION.csv (file, source, licence, repository, author) and the pictures that it names. Contents are
its photos, and drawn landscapes; styles are its paintings, each as it is and once in other colours, and looks of our
own. A picture is taken only where its licence is one of FREE, and never where it stands below nst/, by which the model
is judged. Written at several sizes, so that crops show details and wholes; the same seed gives the same pictures.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_style.data.scenes import draw_scene
from gan_style.data.scenes.looks import LOOKS as SCENE_LOOKS
from gan_style.data.scenes.looks import draw_look

sys.path.insert(0, str(Path(__file__).parent))  # where it is not there, as in a test
from looks import LOOKS, drawn, recoloured

from gan_style.core.terminal import Parser

FREE = ("CC0", "public domain", "Kodak PhotoCD suite, released for unrestricted use")
CONTENT_SIDES, STYLE_SIDES = (256, 144), (256, 176, 128)
SCENES, DRAWN, OF_SCENES = 60, 70, 20  # drawn landscapes, drawn pictures of each look, and of each of the scenes' looks
COLUMNS = ("file", "use", "source", "licence", "repository")


def chosen(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of pictures that may be used, with their use."""
    with (folder / "ATTRIBUTION.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    held_out = {plain(row["source"]) for row in rows if row["file"].startswith("nst/")}
    for row in rows:
        of, _, domain = row["file"].partition("/")
        if of != "monet2ccphoto" or not row["licence"].startswith(FREE) or plain(row["source"]) in held_out:
            continue
        yield {**row, "use": "style" if domain.split("/")[0].endswith("A") else "content"}


def plain(source: str) -> str:
    return source.lower().replace(" ", "-")


def write(image: Any, path: Path, side: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS).save(path, quality=95)


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", dest="folder", type=Path, required=True)
    parsed = parser.parse_args()
    rng, rows, contents = np.random.default_rng(0), list(chosen(parsed.folder)), []
    content, styles = parsed.out / "content", parsed.out / "styles"
    for row in rows:
        image = np.array(Image.open(parsed.folder / row["file"]).convert("RGB"))
        name = Path(row["file"]).stem
        if row["use"] == "content":
            contents.append(image)
            for side in CONTENT_SIDES:
                write(image, content / f"{name}-{side}.jpg", side)
        else:
            other = (recoloured(image.astype(np.float32) / 255, rng) * 255).round().astype(np.uint8)
            for kind, one in (("own", image), ("recoloured", other)):
                write(one, styles / f"{name}-{kind}.jpg", int(rng.choice(STYLE_SIDES)))
    for i in range(SCENES):
        image = draw_scene(7, i, 256, "A")
        contents.append(image)
        write(image, content / f"scene-{i}.jpg", int(rng.choice(CONTENT_SIDES)))
    for look in LOOKS:
        for i in range(DRAWN):
            image = drawn(contents[rng.integers(len(contents))], rng, look)
            write(image, styles / f"{look.__name__}-{i}.jpg", int(rng.choice(STYLE_SIDES)))
    for number, name in enumerate(SCENE_LOOKS):
        for i in range(OF_SCENES):
            image = draw_look(7, SCENES + number * OF_SCENES + i, 256, name)
            write(image, styles / f"scene-{name}-{i}.jpg", int(rng.choice(STYLE_SIDES)))
    with (parsed.out / "pictures.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
