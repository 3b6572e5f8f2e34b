"""Contact sheets: contents down, methods and styles across."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from gan_style.core.paths import printable
from gan_style.data.images import read_image

GAP, HEAD = 6, 22  # pixels between cells, and of the row of labels


def draw_sheet(
    rows: Sequence[tuple[Path | Image.Image, Sequence[Image.Image | None]]],
    labels: Sequence[str],
    styles: Sequence[Path],
    *,
    cell: int = 256,
) -> NDArray[np.uint8]:
    """Draw the content of each row beside its results, and the style pictures in a last row.

    Args:
        rows: the content, or its file, and one picture per column; None leaves its cell empty.
        labels: one per column.
        styles: files; names that are no file are left out.
        cell: side of the square that each picture is fitted into, in pixels.

    Returns: [H, W, 3] uint8.
    """
    shown = [path for path in styles if path.is_file()]
    lines: list[list[Image.Image | None]] = [
        [
            fitted(content if isinstance(content, Image.Image) else Image.fromarray(read_image(content)), cell),
            *(fitted(image, cell) if image else None for image in made),
        ]
        for content, made in rows
    ]
    heads = [["content", *labels], *([] for _ in rows[1:])]
    if shown:
        lines.append([None, *(fitted(Image.fromarray(read_image(path)), cell) for path in shown)])
        heads.append(["", *(f"style {path.stem}" for path in shown)])
    heights = [max(image.height for image in line if image) for line in lines]
    width = max(len(line) for line in lines) * (cell + GAP) + GAP
    page = Image.new("RGB", (width, sum(heights) + GAP * (len(lines) + 1) + HEAD * sum(map(bool, heads))), "white")
    draw, font, top = ImageDraw.Draw(page), ImageFont.load_default(size=12), GAP
    for line, head, height in zip(lines, heads, heights, strict=True):
        for column, label in enumerate(head):
            draw.text((GAP + column * (cell + GAP), top), shortened(label, cell), fill="black", font=font)
        top += HEAD if head else 0
        for column, image in enumerate(line):
            if image:
                left = GAP + column * (cell + GAP) + (cell - image.width) // 2
                page.paste(image, (left, top + (height - image.height) // 2))
        top += height + GAP
    return np.asarray(page)


def fitted(image: Image.Image, cell: int) -> Image.Image:
    """Resize a picture so that its longer side is `cell` pixels, as RGB."""
    return ImageOps.contain(image.convert("RGB"), (cell, cell), Image.Resampling.LANCZOS)


def shortened(label: str, width: int) -> str:
    """Shorten a label to `width` pixels."""
    label = printable(label)
    longest = max(8, width // 7)  # about 7 pixels a letter
    return label if len(label) <= longest else label[: longest - 1] + "…"
