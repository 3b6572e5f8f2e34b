"""The picture grids of a report, embedded as data URIs within a fixed budget."""

import base64
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from gan_style.core.budget import check_pixels
from gan_style.core.errors import UserError
from gan_style.report.markup import escape
from gan_style.report.read import Run

MAX_EARLIER = 8
_LARGE_BYTES, _SMALL_BYTES = 1_000_000, 300_000
_LARGE_SIDE, _SMALL_SIDE = 2400, 1000
_MOST_BYTES = 100_000_000  # of a grid
_QUALITY = 90
_SHRINK = 0.8


@dataclass(frozen=True)
class EmbeddedImage:
    """An embedded picture.

    Attributes:
        iteration: When it was made.
        uri: Its data URI.
        size: Width and height of the original.
    """

    iteration: int
    uri: str
    size: tuple[int, int]


def choose_earlier(count: int, limit: int = MAX_EARLIER) -> list[int]:
    """Return up to ``limit`` indices evenly chosen of all but the last of ``count``, always the first."""
    earlier = count - 1
    if earlier <= limit:
        return list(range(max(0, earlier)))
    return [index * earlier // limit for index in range(limit)]


def embed(iteration: int, path: Path, large: bool) -> EmbeddedImage | None:
    """Return a picture as a data URI, or None where the file cannot be read."""
    side, budget = (_LARGE_SIDE, _LARGE_BYTES) if large else (_SMALL_SIDE, _SMALL_BYTES)
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        content = path.read_bytes()
        # PNG alone: of other formats Pillow reads some by programs of the machine, such as Ghostscript.
        with PngImageFile(io.BytesIO(content)) as image:
            check_pixels(path, *image.size)
            image.load()
            converted = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, UserError):
        return None
    size = converted.size
    kind = "png"
    if len(content) > budget or max(size) > side:
        kind, content = "webp", _compress(converted, side, budget)
    text = base64.b64encode(content).decode("ascii")
    return EmbeddedImage(iteration, f"data:image/{kind};base64,{text}", size)


def image_section(run: Run) -> str:
    """Return the newest grid large and earlier ones small, as HTML; empty without a readable one."""
    newest, left, broken = _newest(run.images, large=True)
    if newest is None:
        return _broken(broken)
    earlier = []
    for index in choose_earlier(len(left) + 1):
        image = embed(*left[index], large=False)
        if image is None:
            broken.append(left[index][1].name)
        else:
            earlier.append(image)
    width = newest.size[0]
    # A grid of tiny pictures is shown at twice its size, larger would only blur it.
    shown = width if width >= 560 else 2 * width
    figure = (
        f'<figure class="newest"><figcaption id="grid-label">Iteration {newest.iteration:,}</figcaption>'
        f'<img id="grid" {_attributes(newest)} style="width:{shown}px"></figure>'
    )
    return f"{figure}{_strip(earlier, len(left))}{_broken(broken)}"


def side_by_side(runs: list[Run]) -> str:
    """Return the newest grid of each run, as HTML; empty where no run has one."""
    found = [(run.folder, _newest(run.images, large=False)[0]) for run in runs]
    return _figures([(f"{name}, iteration {image.iteration:,}", image) for name, image in found if image])


def _newest(
    images: list[tuple[int, Path]], large: bool
) -> tuple[EmbeddedImage | None, list[tuple[int, Path]], list[str]]:
    """Return the newest readable grid, those before it, and the names of later ones that cannot be read."""
    left = list(images)
    broken: list[str] = []
    while left:
        iteration, path = left.pop()
        image = embed(iteration, path, large)
        if image is not None:
            return image, left, broken
        broken.append(path.name)
    return None, left, broken


def _compress(image: Image.Image, side: int, budget: int) -> bytes:
    scale = min(1.0, side / max(image.size))
    while True:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        small = image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=_QUALITY, method=4)
        if buffer.tell() <= budget or max(size) <= 64:
            return buffer.getvalue()
        scale *= _SHRINK


def _strip(images: list[EmbeddedImage], count: int) -> str:
    if not images:
        return '<p class="note">There is no earlier grid yet.</p>'
    figures = _figures([(f"Iteration {image.iteration:,}", image) for image in images])
    shown = f"{len(images)} of {count} earlier grids" if len(images) < count else "all earlier grids"
    return f"<details><summary>Over time: {shown}</summary>{figures}</details>"


def _figures(images: list[tuple[str, EmbeddedImage]]) -> str:
    figures = "".join(
        f'<figure><img class="earlier" {_attributes(image)}><figcaption>{escape(caption)}</figcaption></figure>'
        for caption, image in images
    )
    return f'<div class="grids">{figures}</div>' if figures else ""


def _attributes(image: EmbeddedImage) -> str:
    width, height = image.size
    return (
        f'src="{image.uri}" width="{width}" height="{height}" data-iteration="{image.iteration}" '
        f'alt="Grid of pictures at iteration {image.iteration:,}"'
    )


def _broken(names: list[str]) -> str:
    return f'<p class="note">Could not be read: {escape(", ".join(sorted(names)))}.</p>' if names else ""
