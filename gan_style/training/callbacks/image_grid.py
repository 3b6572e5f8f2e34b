"""Image grids of validations: inputs, translations, reconstructions, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gan_style.core.types import Count
from gan_style.data.images import to_uint8
from gan_style.data.saving import write_image
from gan_style.training.engine.engine import method_of

# Left to right, for A to B and back; a column is left out where a method or the data has no such picture.
COLUMNS: Mapping[str, Sequence[str]] = {
    "A2B": ("real_A", "fake_B", "content_B", "style_B", "truth_B", "rec_A", "idt_A"),
    "B2A": ("real_B", "fake_A", "truth_A", "rec_B", "idt_B"),
}
STYLE_COLUMNS = {  # where the other domain is the style
    "A2B": ("real_A", "styles_B", "fake_B", "rec_A", "idt_A", "idt_B"),
    "B2A": ("real_B", "styles_A", "fake_A", "rec_B"),
}
LABELS = {
    "real": "input",
    "fake": "translated",
    "content": "content branch",
    "style": "style branch",
    "styles": "style",
    "truth": "true translation",
    "rec": "cycle back",
    "idt": "identity",
}


class ImageGrid(pl.Callback):
    """Callback that writes `images/iteration-000500.png` and hands the same grid to W&B or TensorBoard.

    Args:
        rows: pictures of each domain.
        folder: of the PNG files; the run's `images` unless given.
    """

    def __init__(self, rows: Count = 4, folder: str | None = None) -> None:
        self.rows = rows
        self.folder = folder
        self._kept: dict[str, list[Tensor]] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._kept = {}

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        named = {**outputs, **{name: batch[name] for name in ("truth_A", "truth_B") if name in batch}}
        for name, images in named.items():
            kept = self._kept.setdefault(name, [])
            kept.extend(images[: self.rows - len(kept)].float().cpu())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        method = method_of(pl_module)
        if not trainer.is_global_zero or not self._kept:
            return
        kept, columns = self._kept, COLUMNS
        if method.takes_style:
            kept, columns = {**kept, **{f"styles_{domain}": kept[f"real_{domain}"] for domain in "AB"}}, STYLE_COLUMNS
        grid = draw_grid(kept, columns=columns)
        folder = Path(self.folder or Path(trainer.default_root_dir) / "images")
        write_image(grid, folder / f"iteration-{method.iteration:06d}.png")
        for logger in trainer.loggers:
            log_image_grid(logger, "images", grid, method.iteration)


def log_image_grid(logger: Any, name: str, image: NDArray[np.uint8], iteration: int) -> None:
    """Hand a picture [H, W, 3] to a logger that takes pictures."""
    # Loggers are Lightning's and others', whose base class says nothing of pictures: each is asked for its method.
    if hasattr(logger, "log_image"):
        logger.log_image(name, [image], step=iteration)
    elif hasattr(logger, "experiment") and hasattr(logger.experiment, "add_image"):
        logger.experiment.add_image(name, image, iteration, dataformats="HWC")


def draw_grid(
    images: dict[str, list[Tensor]], *, cell: int = 128, columns: Mapping[str, Sequence[str]] = COLUMNS
) -> NDArray[np.uint8]:
    """Draw a labelled block per direction, a row per picture.

    Args:
        images: name -> [C, H, W] in [-1, 1], as many of each.
        cell: small pictures are enlarged by whole factors to at least this many pixels.
        columns: direction -> names, left to right; a direction without its translation is left out.

    Returns: [H, W, 3] uint8.
    """
    blocks = [
        [name for name in names if images.get(name)]
        for names in columns.values()
        if any(images.get(name) for name in names if name.startswith("fake_"))
    ]
    blocks = blocks or [list(images)]
    rendered = [_block(images, names, cell) for names in blocks]
    width = max(block.width for block in rendered)
    sheet = Image.new("RGB", (width, sum(block.height for block in rendered)), "white")
    top = 0
    for block in rendered:
        sheet.paste(block, (0, top))
        top += block.height
    return np.asarray(sheet)


def _block(images: dict[str, list[Tensor]], names: list[str], cell: int) -> Image.Image:
    height, width = images[names[0]][0].shape[-2:]
    scale = -(-cell // max(height, width))  # rounded up: a label needs about this width
    gap, head = 4, 20
    step_x, step_y = width * scale + gap, height * scale + gap
    block = Image.new("RGB", (len(names) * step_x + gap, len(images[names[0]]) * step_y + head), "white")
    draw = ImageDraw.Draw(block)
    font = ImageFont.load_default(size=12)
    for column, name in enumerate(names):
        kind, domain = name.rsplit("_", 1) if "_" in name else (name, "")
        draw.text((gap + column * step_x, 3), f"{LABELS.get(kind, kind)} ({domain})", fill="black", font=font)
        for row, shown in enumerate(images[name]):
            image = Image.fromarray(_rgb(shown)).resize((width * scale, height * scale), Image.Resampling.NEAREST)
            block.paste(image, (gap + column * step_x, head + row * step_y))
    return block


def _rgb(image: Tensor) -> NDArray[np.uint8]:
    """Convert any number of channels to RGB: one to grey, two with an empty third, more by their first three."""
    channels = image.shape[0]
    if channels == 1:
        image = image.expand(3, -1, -1)
    elif channels == 2:
        image = torch.cat([image, torch.full_like(image[:1], -1.0)])
    return to_uint8(image[:3])
