"""Models whose passes run tile by tile: exactly, or fast and blended."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from gan_style.core.checks import is_number, shown
from gan_style.core.errors import UserError
from gan_style.data.cache import available_memory
from gan_style.inference.tiling import functions  # noqa: F401 (fills the table)
from gan_style.inference.tiling.known_functions import UnknownOperationError, unknown
from gan_style.inference.tiling.store import scratch_folder
from gan_style.inference.tiling.streamed import Streamed, Work
from gan_style.networks.contract import noised

Tile = int | Literal["auto", "off"] | None
Mode = Literal["exact", "fast"]
Pass = Callable[[Any], Any]  # a picture, as a tensor or streamed, to a picture or a style code
Watch = Callable[[int, int, str], None]  # tiles done, tiles in all, and a description

AUTO_TILES = (1024, 512, 256, 128, 64)  # sides that `auto` tries
MIN_TILE = 16  # side
MAX_UNTILED_PIXELS = 512 * 512  # of a picture that `auto` never tiles
MAX_PASS_BYTES, MAX_TILE_BYTES = 2_000_000_000, 500_000_000  # on a CPU, of a whole pass and of a tile
MAX_MEMORY_SHARE = 0.5  # of the free memory
OVERLAP_DIVISOR = 4  # a fast tile overlaps the next one by this part of its side


class Tiled:
    """Model for `apply_styles` whose passes run as a whole or in tiles, as asked for or needed.

    Args:
        model: any method that translates by a pass of its networks.
        tile: side of a tile, in positions of the feature map that is computed; `auto` tiles only where memory demands
            it; None and `off` never do.
        mode: `exact` gives the result of the whole pass; `fast` translates overlapping tiles independently and blends
            them, so that each has its own statistics.
        watch: called with the progress.

    Raises:
        UserError: an invalid tile or mode.
    """

    def __init__(self, model: Any, tile: Tile = "auto", mode: Mode = "exact", watch: Watch | None = None) -> None:
        if tile not in ("auto", "off", None) and not (is_number(tile, MIN_TILE) and int(tile) == tile):
            raise UserError(f"tile={shown(tile)} is not valid: give auto, off or a whole number of at least {MIN_TILE}")
        if mode not in ("exact", "fast"):
            raise UserError(f"tile_mode={mode} is not known: take exact or fast")
        self.model, self.tile, self.mode, self.watch = model, tile, mode, watch
        self.device: torch.device = next(model.parameters()).device
        self.takes_style: bool = model.takes_style

    def interpolate(self, images: Tensor, direction: str, alpha: float) -> Tensor:
        """Translate as the model's own method."""
        image: Tensor = self._run(lambda x: self.model.interpolate(x, direction, alpha), images)
        return image

    def stylize(self, images: Tensor, code: Any, **options: Any) -> Tensor:
        """Translate as the model's own method."""
        image: Tensor = self._run(lambda x: self.model.stylize(x, code, **options), images)
        return image

    def explain(self, images: Tensor, direction: str) -> Tensor:
        """Explain as the model's own method; exact in either mode, because a map is of the whole picture."""
        heat: Tensor = self._run(lambda x: self.model.explain(x, direction), images, exact=True)
        return heat

    def style_code(self, images: Tensor) -> Any:
        """Encode as the model's own method; exact in either mode, because a code is of the whole picture."""
        return self._run(self.model.style_code, images, exact=True)

    def _run(self, function: Pass, images: Tensor, exact: bool = False) -> Any:
        tile = chosen(function, images, self.device) if self.tile == "auto" else self.tile
        if not isinstance(tile, int):
            return function(images)
        parts = []
        for one in images.split(1):
            if exact or self.mode == "exact":
                parts.append(self._exact(function, one, tile))
            else:
                if noised(self.model):
                    raise UserError("--tile-mode fast would repeat this generator's noise in every tile: take exact")
                parts.append(blended(function, one, tile, self.watch))
        return torch.cat(parts) if isinstance(parts[0], Tensor) else joined(parts)

    def _exact(self, function: Pass, image: Tensor, tile: int) -> Any:
        plan = counted(function, image, tile, self.device)
        size = f"{image.shape[-1]}x{image.shape[-2]}"
        folder = scratch_folder(plan.disk, f"exact tiling of a {size} picture")
        sentence = f"{size} in tiles of {tile}, with {plan.disk / 1e9:.2g} GB in {folder} for a while"
        work = Work(tile, self.device, folder)
        if self.watch is not None:
            watch = self.watch
            watch(0, plan.tiles, sentence)
            work.progress = lambda: watch(work.tiles, plan.tiles, sentence)
        return streamed(function, image, work)


def streamed(function: Pass, image: Tensor, work: Work) -> Any:
    """Run a pass over [1, C, H, W] tile by tile."""
    with torch.compiler.set_stance("force_eager"):  # compiled networks take tensors only
        output = function(Streamed(work, tuple(image.shape[1:]), source=image))  # type: ignore[arg-type]
    return output.result().to(image.device) if isinstance(output, Streamed) else output


def counted(function: Pass, image: Tensor, tile: int | None, device: torch.device) -> Work:
    """Count the disk space, memory and tiles of a pass; nothing is computed.

    Raises:
        UserError: the network uses an operation that cannot be tiled.
    """
    work = Work(tile, device)
    try:
        streamed(function, image, work)
    except TypeError as error:  # an operator that a streamed feature map does not have
        raise unknown(str(error)) from error
    return work


def chosen(function: Pass, images: Tensor, device: torch.device) -> int | None:
    """Choose a tile that fits into memory; None for a whole pass, also where the network cannot be tiled."""
    if images.shape[-1] * images.shape[-2] <= MAX_UNTILED_PIXELS:
        return None
    whole, piece = budget(device)
    try:
        if counted(function, images[:1], None, device).together * len(images) <= whole:
            return None
        fitting = (tile for tile in AUTO_TILES if counted(function, images[:1], tile, device).memory <= piece)
        return next(fitting, AUTO_TILES[-1])
    except UnknownOperationError:
        return None


def budget(device: torch.device) -> tuple[int, int]:
    """Return the bytes that a whole pass and that a tile may take."""
    if device.type == "cuda":
        free = int(MAX_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0])
        return free, free
    free = int(MAX_MEMORY_SHARE * available_memory())
    return min(MAX_PASS_BYTES, free), min(MAX_TILE_BYTES, free)


def blended(function: Pass, image: Tensor, tile: int, watch: Watch | None = None) -> Tensor:
    """Translate overlapping tiles of [1, C, H, W] independently and blend them by weights that fall to their sides."""
    overlap = tile // OVERLAP_DIVISOR
    rows, columns = (starts(side, tile, overlap) for side in image.shape[-2:])
    total, weights, done = torch.empty(0), torch.zeros(1, 1, *image.shape[-2:]), 0
    for top in rows:
        for left in columns:
            window = (..., slice(top, top + tile), slice(left, left + tile))
            part = function(image[window]).to("cpu", torch.float32)
            height, width = part.shape[-2:]
            down = ramp(height, overlap, top > 0, top + height < image.shape[-2])
            across = ramp(width, overlap, left > 0, left + width < image.shape[-1])
            weight = down[:, None] * across
            total = total if total.numel() else torch.zeros(1, part.shape[1], *image.shape[-2:])
            total[window] += part * weight
            weights[window] += weight
            done += 1
            if watch is not None:
                watch(done, len(rows) * len(columns), f"overlapping tiles of {tile}, blended")
    return total.div_(weights).to(image.device)


def starts(side: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles begin along a side; the last one ends with it."""
    count = max(1, math.ceil((side - overlap) / (tile - overlap)))
    return [min(i * (tile - overlap), max(0, side - tile)) for i in range(count)]


def ramp(length: int, overlap: int, before: bool, after: bool) -> Tensor:
    """Return weights along a side, which rise as a squared sine from a neighbour before and fall to one after."""
    rise = torch.sin((torch.arange(length) + 0.5).clamp(max=overlap) * (math.pi / 2 / max(overlap, 1))).square()
    return (rise if before else torch.ones(length)) * (rise.flip(0) if after else torch.ones(length))


def joined(codes: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Join style codes of one entry each to one of several."""
    return {name: torch.cat([code[name] for code in codes]) for name in codes[0]}
