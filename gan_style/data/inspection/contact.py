"""Contact sheet of a set: some pictures of each split, and the copies that were found side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gan_style.data.contact_sheet import GAP, HEAD, fitted, shortened
from gan_style.data.inspection.findings import Inspection
from gan_style.data.inspection.seen import look_at

CELL, COLUMNS = 160, 8
MAX_PAIRS = 48  # on the sheet; all are in the JSON

Entry = tuple[str, Path]


def draw_contact_sheet(inspection: Inspection) -> NDArray[np.uint8]:
    """Draw rows of eight cells: a row of pictures spread over each split, then rows of four pairs.

    Returns: [rows * (160 + 22 + 6) + 6, 8 * (160 + 6) + 6, 3] uint8.
    """
    rows: list[list[Entry]] = []
    for name, split in inspection.splits.items():
        chosen = np.unique(np.linspace(0, len(split.images) - 1, COLUMNS).round().astype(int))
        paths = [split.images[i].path for i in chosen] if split.images else []
        rows.append([(f"{name}: {path.name}", path) for path in paths])
    # the worst first: copies in A and B, then in training and test data, then inside a split
    worst = sorted(inspection.pairs, key=lambda p: (p.split_a[-1] == p.split_b[-1], p.split_a == p.split_b))
    cells: list[Entry] = []
    for pair in worst[:MAX_PAIRS]:
        cells.append((f"{pair.kind}: {pair.split_a}/{pair.a.path.name}", pair.a.path))
        cells.append((f"= {pair.split_b}/{pair.b.path.name}", pair.b.path))
    rows += [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    return _draw(rows)


def _draw(rows: Sequence[Sequence[Entry]]) -> NDArray[np.uint8]:
    height = CELL + HEAD + GAP
    page = Image.new("RGB", (COLUMNS * (CELL + GAP) + GAP, len(rows) * height + GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=11)
    for row, entries in enumerate(rows):
        top = GAP + row * height
        for column, (label, path) in enumerate(entries):
            left = GAP + column * (CELL + GAP)
            draw.text((left, top), shortened(label, CELL), fill="black", font=font)
            image = fitted(Image.fromarray(look_at(path).shown), CELL)
            page.paste(image, (left + (CELL - image.width) // 2, top + HEAD + (CELL - image.height) // 2))
    return np.asarray(page)
