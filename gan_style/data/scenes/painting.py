"""Domain B: a photo painted over with brush strokes.

Each stroke takes one colour from the photo below its centre, moves it to the palette of the material it
lies on and runs along the surface. Strokes are laid coarse to fine and, within a layer, back to front.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gan_style.data.scenes.geometry import FloatArray, float_array, fractal, resample
from gan_style.data.scenes.photo import TREE, Rendering

LUMA = float_array([0.299, 0.587, 0.114])

# Colours from dark to light per material, in the order SKY, MOUNTAIN, WATER, MEADOW, TREE ...
PALETTE = float_array(
    [
        [[70, 45, 110], [150, 95, 125], [170, 175, 150], [232, 205, 150], [255, 246, 215]],
        [[40, 30, 95], [90, 62, 150], [165, 108, 172], [234, 168, 160], [255, 238, 212]],
        [[14, 44, 72], [18, 108, 106], [76, 176, 142], [190, 222, 165], [255, 246, 215]],
        [[75, 28, 58], [165, 72, 42], [218, 138, 45], [244, 198, 88], [255, 240, 185]],
        [[38, 16, 62], [30, 46, 114], [48, 92, 146], [128, 156, 138], [245, 232, 180]],
    ]
) / np.float32(255)
# ... and the brightness of the photo at which each of them is used.
PALETTE_TONES = float_array(
    [
        [0.0, 0.25, 0.50, 0.75, 1.0],
        [0.08, 0.28, 0.50, 0.74, 1.0],
        [0.05, 0.25, 0.48, 0.74, 1.0],
        [0.02, 0.18, 0.36, 0.56, 0.95],
        [0.00, 0.09, 0.19, 0.35, 0.80],
    ]
)
# How much of the photo's own tint survives, so that the time of day can still be told.
TINT_KEPT = float_array([0.50, 0.25, 0.40, 0.40, 0.20])
STROKE_LENGTH = float_array([1.25, 0.9, 1.2, 0.85, 0.45])
STROKE_WIDTH = float_array([1.0, 0.9, 0.75, 0.8, 0.8])
ANGLE_JITTER = float_array([0.10, 0.25, 0.04, 0.22, 0.45])


@dataclass(frozen=True)
class Layer:
    """Layer of strokes on a jittered grid of `grid` by `grid`; length and width relative to the picture."""

    grid: int
    length: float
    width: float
    details_only: bool = False  # only trees, outlines and other contrasts


@dataclass(frozen=True)
class Strokes:
    """Strokes of one layer, in the order in which they are painted; lengths in scene coordinates."""

    layer: Layer
    centre: FloatArray  # y and x, [n, 2]
    angle: FloatArray  # [n]
    length: FloatArray  # [n]
    width: FloatArray  # [n]
    colour: FloatArray  # [n, 3]
    material: NDArray[np.uint8]  # [n]


LAYERS = (Layer(17, 0.17, 0.056), Layer(36, 0.090, 0.028), Layer(60, 0.032, 0.019, details_only=True))


@lru_cache(maxsize=1)
def _palette_table() -> FloatArray:
    """Return the palette interpolated to 256 tones, [materials, 256, 3]; read-only."""
    tones = np.linspace(0.0, 1.0, 256)
    channels = [
        [np.interp(tones, stops, colours[:, c]) for c in range(3)]
        for stops, colours in zip(PALETTE_TONES, PALETTE, strict=True)
    ]
    table = np.ascontiguousarray(np.moveaxis(float_array(channels), 1, 2))
    table.setflags(write=False)
    return table


def to_palette(rgb: FloatArray, material: NDArray[np.uint8]) -> FloatArray:
    """Map colours [n, 3] of the given materials [n] to the painter's palette."""
    # Not a matrix product: its rounding may depend on the number of threads.
    luma = LUMA[0] * rgb[:, 0] + LUMA[1] * rgb[:, 1] + LUMA[2] * rgb[:, 2]
    painted = _palette_table()[material, (np.clip(luma, 0, 1) * 255).astype(np.int32)]
    return painted + TINT_KEPT[material][:, None] * (rgb - luma[:, None])


def render_painting(image: Rendering, rng: np.random.Generator) -> FloatArray:
    """Paint the picture, [size, size, 3] in [0, 1]; `rng` places the strokes."""
    size = image.size
    # Small pictures are painted larger and averaged down, or their strokes would be jagged.
    work = round(size * (1.25 if size <= 96 else 1.0))
    soft: Any = cv2.GaussianBlur(image.rgb, (0, 0), 0.006 * size + 0.2)
    ground: Any = cv2.resize(soft, (work, work), interpolation=cv2.INTER_LINEAR).reshape(-1, 3)
    labels: Any = cv2.resize(image.material, (work, work), interpolation=cv2.INTER_NEAREST).reshape(-1)
    canvas = to_palette(ground, labels)
    relief = np.zeros(work * work, np.float32)
    for layer in LAYERS:
        strokes = _choose_strokes(image, soft, layer, rng)
        _paint_strokes(canvas, relief, labels, strokes, rng)
    light = _impasto(relief.reshape(work, work))
    grain = resample(_canvas_grain(), work, work)
    painting = canvas.reshape(work, work, 3) * (1 + light + 0.05 * grain)[..., None]
    return np.clip(resample(painting, size, size), 0, 1)


def _choose_strokes(image: Rendering, soft: FloatArray, layer: Layer, rng: np.random.Generator) -> Strokes:
    """Draw position, direction and colour of one layer's strokes; `soft` is the blurred photo."""
    cells = np.stack(np.divmod(np.arange(layer.grid**2), layer.grid), axis=-1)
    centre = ((cells + rng.random(cells.shape)) / layer.grid).astype(np.float32)
    row, col = np.minimum((centre * image.size).astype(np.int32), image.size - 1).T
    if layer.details_only:
        contrast = np.abs(image.rgb[row, col] - soft[row, col]).sum(axis=-1)
        chosen = (image.material[row, col] == TREE) | (contrast > 0.05)
        centre, row, col = centre[chosen], row[chosen], col[chosen]
    jitter = rng.standard_normal((len(centre), 6), dtype=np.float32)
    # Materials are numbered back to front: what is near is painted over what is far.
    order = np.argsort(image.material[row, col] + 0.3 * jitter[:, 0], kind="stable")
    centre, jitter, row, col = centre[order], jitter[order], row[order], col[order]
    material = image.material[row, col]
    # Strokes vary a little in brightness along the palette and in hue beside it.
    colour = to_palette(soft[row, col] + 0.022 * jitter[:, 1:2], material) + 0.012 * jitter[:, 2:5]
    return Strokes(
        layer=layer,
        centre=centre,
        angle=image.angle[row, col] + ANGLE_JITTER[material] * jitter[:, 5],
        length=layer.length * (np.ones_like(centre[:, 0]) if layer.details_only else STROKE_LENGTH[material]),
        width=layer.width * STROKE_WIDTH[material],
        colour=colour,
        material=material,
    )


def _paint_strokes(
    canvas: FloatArray,
    relief: FloatArray,
    labels: NDArray[np.uint8],
    strokes: Strokes,
    rng: np.random.Generator,
) -> None:
    """Paint strokes on the canvas, in place.

    Args:
        canvas: Colours of the square canvas, flattened to [pixels, 3].
        relief: Thickness of the paint in [0, 1], [pixels].
        labels: Materials, [pixels].
        strokes: The strokes, later ones on top.
        rng: Draws the bristles of the brush.
    """
    side = math.isqrt(len(canvas))
    # Every stroke is sampled densely enough to leave no holes: [strokes, along, across].
    along = _samples(strokes.layer.length * side * 1.3, at_least=3)
    across = _samples(strokes.layer.width * side * 1.3, at_least=2)
    x, y = _sample_positions(strokes, along, across, side)
    column = np.clip(x, 0, side - 1).astype(np.int32)
    pixel = np.clip(y, 0, side - 1).astype(np.int32) * side + column
    # Only the middle of a stroke may cross the border of its material, so that outlines stay visible.
    core = (np.abs(along) < 0.22)[None, :, None]
    visible = np.flatnonzero(core | (labels[pixel] == strokes.material[:, None, None]))
    owner = np.full(len(canvas), -1, np.intp)
    # Later strokes cover earlier ones: NumPy keeps the last one written to an index.
    owner[pixel.reshape(-1)[visible]] = visible
    painted = np.flatnonzero(owner >= 0)
    stroke, sample = np.divmod(owner[painted], along.size * across.size)
    canvas[painted] = strokes.colour[stroke]
    bristles = rng.random((64, across.size), dtype=np.float32)
    relief[painted] = bristles[stroke % 64, sample % across.size]


def _samples(count: float, at_least: int) -> FloatArray:
    """Return about `count` evenly spaced numbers from -0.5 to 0.5."""
    return np.linspace(-0.5, 0.5, max(at_least, round(count)), dtype=np.float32)


def _sample_positions(
    strokes: Strokes, along: FloatArray, across: FloatArray, side: int
) -> tuple[FloatArray, FloatArray]:
    """Return pixel coordinates x and y of all samples on a canvas of `side`, both [strokes, along, across]."""
    cos, sin = side * np.cos(strokes.angle)[:, None, None], side * np.sin(strokes.angle)[:, None, None]
    taper = np.sqrt(1 - (1.9 * along) ** 2)  # strokes narrow towards their ends
    a = strokes.length[:, None, None] * along[None, :, None]
    b = strokes.width[:, None, None] * (taper[:, None] * across)[None]
    x = side * strokes.centre[:, 1, None, None] + cos * a - sin * b
    y = side * strokes.centre[:, 0, None, None] + sin * a + cos * b
    return x, y


def _impasto(relief: FloatArray) -> FloatArray:
    """Return the light on the ridges of thick paint, from the upper left, [h, w] around 0."""
    shifted = np.roll(relief, (1, 1), (0, 1))
    return np.float32(0.08) * (relief - shifted)


@lru_cache(maxsize=1)
def _canvas_grain() -> FloatArray:
    """Return the weave of the canvas, [256, 256] around 0; read-only."""
    grain = fractal(np.random.default_rng(7), (256, 256), (128, 128), 2, 1.0)
    grain.setflags(write=False)
    return grain
