"""A contact sheet: contents down, methods and styles across."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gan_style.data.images import read_image

GAP, HEAD = 6, 22


def draw_sheet(
    rows: Sequence[tuple[Path, Sequence[Image.Image]]],
    labels: Sequence[str],
    styles: Sequence[Path],
    *,
    cell: int = 256,
) -> NDArray[np.uint8]:
    """Draw the content of each row beside its results, and the style pictures in a last row.

    Args:
        rows: the content's file and one picture per column.
        labels: one per column.
        styles: files; names that are no file are left out.
        cell: side of the square that each picture is fitted into, in pixels.

    Returns: [H, W, 3] uint8.
    """
    shown = [path for path in styles if path.is_file()]
    columns = 1 + max(len(labels), len(shown))
    lines = len(rows) + bool(shown)
    step = cell + GAP
    page = Image.new("RGB", (columns * step + GAP, lines * step + HEAD * (1 + bool(shown)) + GAP), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=12)

    def put(picture: Image.Image, column: int, top: int) -> None:
        fitted = picture.convert("RGB")
        fitted.thumbnail((cell, cell), Image.Resampling.LANCZOS)
        page.paste(fitted, (GAP + column * step + (cell - fitted.width) // 2, top + (cell - fitted.height) // 2))

    for column, label in enumerate(["content", *labels]):
        draw.text((GAP + column * step, 4), _fit(label, cell), fill="black", font=font)
    for line, (path, pictures) in enumerate(rows):
        top = HEAD + line * step
        for column, picture in enumerate([Image.fromarray(read_image(path)), *pictures]):
            put(picture, column, top)
    top = HEAD + len(rows) * step
    for column, path in enumerate(shown, start=1):
        draw.text((GAP + column * step, top + 4), _fit(f"style {path.stem}", cell), fill="black", font=font)
        put(Image.fromarray(read_image(path)), column, top + HEAD)
    return np.asarray(page)


def _fit(label: str, width: int) -> str:
    longest = max(8, width // 7)  # about 7 pixels a letter
    return label if len(label) <= longest else label[: longest - 1] + "…"
