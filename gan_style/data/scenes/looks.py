"""Four looks of a scene, as different as four artists: the styles of the built-in set.

Each renders the same photo that domain A shows, from its colours, materials and the noise of its own generator.
Lengths are in scene coordinates, so a look is the same at every size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gan_style.core.sizes import Size
from gan_style.data.scenes.geometry import (
    FloatArray,
    compose,
    float_array,
    fractal,
    pixel_centres,
    resample,
    smoothstep,
)
from gan_style.data.scenes.painting import LUMA, render_painting
from gan_style.data.scenes.photo import SKY, TREE, Rendering, render_photo

PAPER = float_array([0.95, 0.92, 0.85])
INK = float_array([0.14, 0.12, 0.15])
# Hatching per material, in the order SKY, MOUNTAIN, WATER, MEADOW, TREE: its direction and how much of it.
HATCH_ANGLE = float_array([-0.12, 0.95, 0.03, -0.35, 1.35])
HATCH_AMOUNT = float_array([0.62, 1.0, 0.75, 0.74, 1.25])
# Layers of hatching: the turn in radians, and the darkness above which it is drawn.
HATCHINGS = ((0.0, 0.22), (1.05, 0.50), (-0.65, 0.74))
HATCH_PERIOD = 1 / 30

# The colours of dots from dark to light, and the complementary ones scattered among them.
DOTS = float_array([[74, 24, 60], [158, 44, 48], [222, 96, 40], [246, 168, 58], [254, 224, 128], [255, 246, 206]]) / 255
CONTRAST = float_array([[46, 50, 130], [40, 104, 130], [112, 86, 150], [120, 158, 96], [188, 190, 150]]) / 255
GROUND = float_array([0.93, 0.80, 0.60])
DOT_GRIDS = ((24, 0.78), (40, 0.56))  # dots along a side, their radius in cells

# The flat colours of the night print per material, dark to light.
NIGHT = (
    float_array(
        [
            [[10, 16, 46], [18, 34, 84], [34, 62, 122], [70, 108, 164]],
            [[8, 12, 32], [22, 42, 82], [58, 92, 138], [176, 206, 226]],
            [[6, 16, 40], [14, 48, 84], [36, 96, 130], [128, 184, 204]],
            [[8, 26, 44], [20, 58, 76], [52, 106, 120], [138, 184, 186]],
            [[4, 8, 20], [4, 8, 20], [8, 20, 40], [20, 44, 66]],
        ]
    )
    / 255
)
# Brightness at which one flat colour ends and the next begins, per material: the ground is darker than the sky.
NIGHT_TONES = float_array(
    [[0.34, 0.58, 0.80], [0.26, 0.46, 0.66], [0.22, 0.42, 0.66], [0.10, 0.24, 0.42], [0.1, 0.2, 0.3]]
)


def draw_look(seed: int, index: int, size: Size, look: str) -> NDArray[np.uint8]:
    """Draw one scene in one of `LOOKS`.

    Args:
        seed, index, size: As for `draw_scene`.
        look: A key of `LOOKS`.

    Returns:
        RGB picture, [H, W, 3] uint8.
    """
    rng = np.random.default_rng([seed, index])
    image = render_photo(compose(rng), rng, size)
    rgb = LOOKS[look](image, np.random.default_rng([seed, index, *look.encode()]))[image.window]
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _render_ink(image: Rendering, rng: np.random.Generator) -> FloatArray:
    """Render black lines on paper: outlines, and hatching that crosses where it is dark."""
    material, tone, side = _enlarged(image, blur=0.012)
    x, y = pixel_centres(side)[None, :], pixel_centres(side)[:, None]
    tremble = 0.006 * fractal(rng, (side, side), (6, 6), 3)
    dark = (1 - tone) * HATCH_AMOUNT[material] + 0.10 * fractal(rng, (side, side), (14, 14), 3)
    ink = _outlines(material)
    for turn, above in HATCHINGS:
        angle = HATCH_ANGLE[material] + np.float32(turn)
        across = np.cos(angle) * y - np.sin(angle) * x + tremble
        distance = np.abs(np.mod(across / np.float32(HATCH_PERIOD), np.float32(1)) - np.float32(0.5))
        width = np.clip(0.55 * (dark - above), 0, 0.3).astype(np.float32)  # half of it, in periods
        line = np.clip((width - distance) * (HATCH_PERIOD * side) + 0.5, 0, 1) * smoothstep(0.0, 0.02, width)
        ink = np.maximum(ink, line)
    paper = PAPER * (1 + 0.015 * fractal(rng, (side, side), (40, 40), 2, 1.0))[..., None]
    return resample(paper + (0.93 * ink)[..., None] * (INK - paper), image.size, image.size)


def _render_pointillism(image: Rendering, rng: np.random.Generator) -> FloatArray:
    """Render dots of unmixed warm colours on a warm ground, with a few of the complementary colour."""
    _, tone, side = _enlarged(image, blur=0.0)
    rgb: Any = cv2.resize(image.rgb, (side, side), interpolation=cv2.INTER_LINEAR)
    canvas = GROUND * (0.75 + 0.35 * tone)[..., None]
    for grid, radius in DOT_GRIDS:
        cells = np.stack(np.divmod(np.arange(grid**2), grid), axis=-1)
        centre = ((cells + rng.random(cells.shape)) / grid).astype(np.float32)[rng.permutation(grid**2)]
        row, col = np.minimum((centre * side).astype(np.int32), side - 1).T
        jitter = rng.standard_normal((grid**2, 5), dtype=np.float32)
        light = tone[row, col] ** 0.8 + 0.05 * jitter[:, 0]
        tint = rgb[row, col] - _luma(rgb[row, col])[:, None]
        colour = _along(DOTS, light) + 0.7 * tint + 0.03 * jitter[:, 1:4]
        other = rng.random(grid**2) < 0.13
        colour[other] = _along(CONTRAST, light)[other]
        _scatter(canvas, centre, radius / grid * (1 + 0.12 * jitter[:, 4]), colour)
    return resample(canvas, image.size, image.size)


def _render_woodcut(image: Rendering, rng: np.random.Generator) -> FloatArray:
    """Render a print of a cold night: flat colours with black outlines, and light gouged out of the block."""
    material, tone, side = _enlarged(image, blur=0.016)
    y = pixel_centres(side)[:, None]
    grain = fractal(rng, (side, side), (5, 40), 3, 0.6)
    level = ((tone + 0.02 * grain)[..., None] > NIGHT_TONES[material]).sum(-1)
    rgb = NIGHT[material, level]
    # The gouge makes short level cuts in light areas other than the sky.
    cut = np.mod((y + 0.012 * fractal(rng, (side, side), (3, 5), 2)) * 34, 1)
    length = fractal(rng, (side, side), (34, 9), 1)
    gouged = (cut < 0.28) & (length > 0.35 - 0.5 * tone) & (level >= 2) & (material != SKY)
    rgb[gouged] = NIGHT[material[gouged], 3]
    rgb += _outlines(material, 1.6)[..., None] * (NIGHT[TREE, 0] - rgb)
    return resample(rgb * (1 + 0.03 * grain)[..., None], image.size, image.size)


LOOKS: dict[str, Callable[[Rendering, np.random.Generator], FloatArray]] = {
    "ink": _render_ink,
    "painting": render_painting,
    "pointillism": _render_pointillism,
    "woodcut": _render_woodcut,
}


def _enlarged(image: Rendering, blur: float) -> tuple[NDArray[np.uint8], FloatArray, int]:
    """Return materials and brightness, stretched to [0, 1], of a canvas large enough that lines are not jagged."""
    side = image.size * (2 if image.size <= 160 else 1)
    material: Any = cv2.resize(image.material, (side, side), interpolation=cv2.INTER_NEAREST)
    tone: Any = cv2.resize(_luma(image.rgb), (side, side), interpolation=cv2.INTER_LINEAR)
    if blur > 0:
        tone = cv2.GaussianBlur(tone, (0, 0), blur * side)
    low, high = np.quantile(tone, (0.02, 0.98))
    return material, np.clip((tone - low) / (high - low), 0, 1).astype(np.float32), side


def _luma(rgb: FloatArray) -> FloatArray:
    """Return the brightness [...] of colours [..., 3]."""
    # Not a matrix product: its rounding may depend on the number of threads.
    return LUMA[0] * rgb[..., 0] + LUMA[1] * rgb[..., 1] + LUMA[2] * rgb[..., 2]


def _outlines(material: NDArray[np.uint8], weight: float = 1.0) -> FloatArray:
    """Draw lines of about 1/100 of the picture where materials meet, [side, side] in [0, 1]."""
    edge = cv2.morphologyEx(material, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    width = 0.0035 * weight * len(material)
    soft: Any = cv2.GaussianBlur(edge.astype(np.float32), (0, 0), width)
    return np.clip(soft * (2.2 * width), 0, 1).astype(np.float32)


def _along(colours: NDArray[Any], light: FloatArray) -> FloatArray:
    """Interpolate colours [..., 3] at `light` [...] in [0, 1]."""
    stops = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(light, stops, colours[:, c]) for c in range(3)], -1).astype(np.float32)


def _scatter(canvas: FloatArray, centre: FloatArray, radius: FloatArray, colour: FloatArray) -> None:
    """Draw n round dots on the square canvas [side, side, 3], in place, later ones on top.

    Args:
        centre: y and x of their centres, [n, 2].
        radius: [n].
        colour: [n, 3].
    """
    side = len(canvas)
    reach = int(np.ceil(radius.max() * side))
    row_col = np.minimum((centre * side).astype(np.int32), side - 1)
    pixel = row_col[..., None] + np.arange(-reach, reach + 1, dtype=np.int32)
    away = ((pixel + np.float32(0.5)) / np.float32(side) - centre[..., None]) ** 2
    inside = away[:, 0, :, None] + away[:, 1, None, :] < (radius**2)[:, None, None]
    wide = side + 2 * reach  # dots may reach over the edge
    flat = (pixel[:, 0, :, None] + reach) * wide + pixel[:, 1, None, :] + reach
    owner = np.full(wide * wide, -1, np.int32)
    # NumPy keeps the last one written to an index.
    owner[flat[inside]] = np.nonzero(inside)[0]
    owner = owner.reshape(wide, wide)[reach:-reach, reach:-reach]
    canvas[owner >= 0] = colour[owner[owner >= 0]]
