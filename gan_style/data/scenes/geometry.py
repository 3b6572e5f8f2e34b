"""Geometry of scenes: composition, fractal noise and the outlines of ranges and trees.

Everything here is written in scene coordinates: x runs from 0 (left) to 1 (right), y from 0 (top) to 1
(bottom). A picture of any size samples the same functions at its own pixel centres.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Outline = tuple[FloatArray, FloatArray]

TABLE_SIZE = 512


def float_array(values: Any) -> FloatArray:
    """Convert nested numbers to a float32 array."""
    return np.array(values, dtype=np.float32)


# Light of four times of day. Rows: zenith, horizon, sun, direct light, ambient light (RGB in [0, 1]).
TIMES_OF_DAY: dict[str, FloatArray] = {
    "morning": float_array(
        [[0.43, 0.58, 0.78], [0.96, 0.84, 0.74], [1.0, 0.93, 0.80], [0.98, 0.82, 0.64], [0.47, 0.53, 0.64]]
    ),
    "noon": float_array(
        [[0.19, 0.41, 0.74], [0.73, 0.86, 0.95], [1.0, 1.0, 0.94], [1.02, 0.98, 0.88], [0.42, 0.48, 0.55]]
    ),
    "golden": float_array(
        [[0.36, 0.46, 0.67], [1.0, 0.75, 0.45], [1.0, 0.86, 0.56], [1.08, 0.74, 0.40], [0.42, 0.41, 0.50]]
    ),
    "dusk": float_array(
        [[0.15, 0.19, 0.38], [0.88, 0.52, 0.42], [1.0, 0.66, 0.45], [0.62, 0.42, 0.40], [0.30, 0.31, 0.45]]
    ),
}
# Sun height above the horizon line, as a fraction of the sky, and density of the haze.
SUN_HEIGHT = {"morning": (0.2, 0.5), "noon": (0.8, 1.3), "golden": (0.08, 0.35), "dusk": (-0.08, 0.03)}
HAZE = {"morning": 0.85, "noon": 0.55, "golden": 0.72, "dusk": 0.62}


TreeKind = Literal["conifer", "broadleaf", "round"]


@dataclass(frozen=True)
class Range:
    """Row of mountains or hills, drawn as everything below a fractal ridge line."""

    base: float  # y of its foot
    height: float  # of its highest peaks above the foot
    cells: int  # peaks across the picture
    sharpness: float  # 0: rolling hills, 1: alpine ridges
    distance: float  # 0: near, 1: lost in the haze
    snow_line: float  # y above which snow lies; negative for none
    wooded: bool
    rounding: float = 0.0  # length over which its ridge line is smoothed, as a share of the picture


@dataclass(frozen=True)
class Tree:
    """Tree standing at (x, base)."""

    kind: TreeKind
    x: float
    base: float
    height: float
    width: float
    tint: float  # -1: bluish, 1: yellowish
    distance: float
    shape_seed: int


@dataclass(frozen=True)
class Composition:
    """Composition of one scene; independent of the picture's size and domain."""

    time_of_day: str
    light: FloatArray  # [5, 3], rows as in TIMES_OF_DAY
    haze: float
    sun: tuple[float, float]
    horizon: float
    cloud_cover: float
    ranges: tuple[Range, ...]
    lake: bool
    bank: float  # y where the near meadow begins
    bank_tilt: float
    meadow_tint: float
    has_path: bool
    trees: tuple[Tree, ...]
    stars: FloatArray | None = None  # x, y and brightness of each, [n, 3]; None by day

    @property
    def alpine(self) -> bool:
        """Check whether the mountains are high and sharp; else they are rolling hills."""
        return self.ranges[0].sharpness > 0.5


def draw_light(rng: np.random.Generator) -> tuple[str, FloatArray]:
    """Draw a time of day and its light, [5, 3], rows as in TIMES_OF_DAY."""
    names = list(TIMES_OF_DAY)
    time_of_day = names[int(np.searchsorted([0.24, 0.56, 0.84], rng.random()))]
    neighbour = names[(names.index(time_of_day) + 1) % 4]
    # Blended with the next time of day, so that skies vary.
    blend = rng.uniform(0.0, 0.25)
    light = (1 - blend) * TIMES_OF_DAY[time_of_day] + blend * TIMES_OF_DAY[neighbour]
    return time_of_day, (light * rng.uniform(0.96, 1.04, (5, 3))).astype(np.float32)


def compose(rng: np.random.Generator) -> Composition:
    """Draw the composition of one scene from `rng`."""
    time_of_day, light = draw_light(rng)
    horizon = float(rng.uniform(0.46, 0.60))
    low, high = SUN_HEIGHT[time_of_day]
    sun_x = float(rng.uniform(0.12, 0.42) if rng.random() < 0.5 else rng.uniform(0.58, 0.88))
    sun_y = horizon * float(1 - rng.uniform(low, high)) - 0.02
    lake = bool(rng.random() < 0.45)
    bank = float(rng.uniform(0.76, 0.88) if lake else rng.uniform(0.66, 0.80))
    return Composition(
        time_of_day=time_of_day,
        light=light,
        haze=HAZE[time_of_day] * float(rng.uniform(0.8, 1.15)),
        sun=(sun_x, sun_y),
        horizon=horizon,
        cloud_cover=float(rng.uniform(0.15, 0.75)),
        ranges=_compose_ranges(rng, horizon),
        lake=lake,
        bank=bank,
        bank_tilt=float(rng.uniform(-0.09, 0.09)),
        meadow_tint=float(rng.uniform(-1.0, 1.0)),
        has_path=bool(not lake and rng.random() < 0.4),
        trees=_compose_trees(rng, horizon, bank, lake),
    )


def _compose_ranges(rng: np.random.Generator, horizon: float) -> tuple[Range, ...]:
    """Draw one to three ranges of mountains or hills behind one or two wooded hills, far to near."""
    alpine, count, ranges = rng.random() < 0.65, int(rng.integers(1, 4)), []
    for i in range(count):
        nearness = (i + 1) / count
        tallest = rng.uniform(0.24, 0.38) if alpine else rng.uniform(0.10, 0.18)
        height = tallest * (1.0 - 0.55 * i / count)
        snow = horizon - height * rng.uniform(0.35, 0.7) if alpine and rng.random() < 0.7 else -1.0
        sharpness = rng.uniform(0.7, 1.0) if alpine else rng.uniform(0.0, 0.3)
        distance = 0.85 - 0.5 * nearness if count > 1 else 0.42
        cells = int(rng.integers(2, 5))
        ranges.append(Range(horizon + 0.02, height, cells, sharpness, distance, snow, False))
    for i in range(int(rng.integers(1, 3))):
        height = float(rng.uniform(0.05, 0.12)) * (1 - 0.4 * i)
        ranges.append(Range(horizon + 0.025, height, int(rng.integers(2, 5)), 0.1, 0.34 - 0.18 * i, -1.0, True))
    return tuple(ranges)


def _compose_trees(rng: np.random.Generator, horizon: float, bank: float, lake: bool) -> tuple[Tree, ...]:
    """Draw a few small trees on the far meadow and a group of large ones towards one side, far to near."""
    trees = []
    conifers = rng.random() < 0.55
    far_count = 0 if lake else int(rng.integers(4, 14))
    for _ in range(far_count):
        base = horizon + 0.03 + (bank - horizon - 0.02) * float(rng.random()) ** 1.5
        trees.append(_tree(rng, conifers, float(rng.uniform(0, 1)), base, 0.35 * (base - horizon) + 0.05))
    side = float(rng.integers(0, 2))
    for _ in range(int(rng.integers(1, 6))):
        x = abs(side - float(rng.uniform(0.0, 0.36)))
        base = float(rng.uniform(max(bank, 0.74) + 0.03, 0.96))
        trees.append(_tree(rng, conifers, x, base, float(rng.uniform(0.24, 0.52))))
    if rng.random() < 0.5:
        x = abs(1 - side - float(rng.uniform(0.0, 0.15)))
        trees.append(_tree(rng, conifers, x, bank + 0.06, float(rng.uniform(0.16, 0.34))))
    return tuple(sorted(trees, key=lambda tree: tree.base))


def with_more_trees(scene: Composition, rng: np.random.Generator, count: int) -> Composition:
    """Add `count` large trees in the foreground, evenly spread over the width."""
    conifers = rng.random() < 0.5
    trees = []
    for i in range(count):
        x, height = (i + float(rng.uniform(0.15, 0.85))) / count, float(rng.uniform(0.24, 0.46))
        shore = scene.bank + scene.bank_tilt * (2 * x - 1)
        base = float(rng.uniform(min(max(shore, 0.74) + 0.04, 0.95), 0.96))
        trees.append(_tree(rng, conifers, x, base, height))
    return replace(scene, trees=tuple(sorted((*scene.trees, *trees), key=lambda tree: tree.base)))


def _tree(rng: np.random.Generator, mostly_conifers: bool, x: float, base: float, height: float) -> Tree:
    """Draw a tree at the given position with about the given height, mostly of the scene's kind."""
    conifer = mostly_conifers if rng.random() < 0.85 else not mostly_conifers
    height *= float(rng.uniform(0.8, 1.2)) * (1.0 if conifer else 0.85)
    width = height * float(rng.uniform(0.17, 0.24) if conifer else rng.uniform(0.34, 0.46))
    distance = float(np.clip((0.85 - base) * 0.8, 0.0, 0.3))
    kind: TreeKind = "conifer" if conifer else "broadleaf"
    return Tree(kind, x, base, height, width, float(rng.uniform(-1, 1)), distance, int(rng.integers(1 << 30)))


def smoothstep(low: float, high: float, value: FloatArray) -> FloatArray:
    """Interpolate smoothly from 0 below `low` to 1 above `high`."""
    t = np.clip((value - np.float32(low)) * np.float32(1.0 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=1)
def _noise_table() -> FloatArray:
    """Return white noise in [-1, 1] from which all fractals are cut, [TABLE_SIZE, TABLE_SIZE]; read-only."""
    table = np.random.default_rng(1874).uniform(-1.0, 1.0, (TABLE_SIZE, TABLE_SIZE)).astype(np.float32)
    table.setflags(write=False)
    return table


def resample(field: FloatArray, height: int, width: int) -> FloatArray:
    """Resample a field that spans the picture to [height, width]: averages down, interpolates up."""
    rows, cols = field.shape[:2]
    result: Any = field
    if height < rows or width < cols:
        result = cv2.resize(result, (min(width, cols), min(height, rows)), interpolation=cv2.INTER_AREA)
    if result.shape[:2] != (height, width):
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_CUBIC)
    return result


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int, gain: float = 0.5
) -> FloatArray:
    """Draw fractal value noise over the whole picture, mean 0 and standard deviation about 0.6.

    Args:
        rng: Chooses the section of the noise table; as many draws for every shape.
        shape: Height and width of the result.
        cells: Lattice cells of the coarsest octave down and across the picture.
        octaves: Number of octaves; each doubles the cells.
        gain: Amplitude of an octave relative to the one before.
    """
    table = _noise_table()
    rows, cols = cells
    amplitude = 1.0
    field: FloatArray | None = None
    for y, x in rng.integers(0, 1 << 30, (octaves, 2)).tolist():
        if field is not None and rows * cols > 4 * shape[0] * shape[1]:
            break  # finer than the pixels: it would average out
        top, left = y % (TABLE_SIZE - rows), x % (TABLE_SIZE - cols)
        layer = table[top : top + rows, left : left + cols]
        # Summing on the octave's own lattice keeps all but the last resampling small, hence fast.
        field = layer if field is None else resample(field, rows, cols) + np.float32(amplitude) * layer
        amplitude, rows, cols = amplitude * gain, rows * 2, cols * 2
    assert field is not None
    power = sum(gain ** (2 * octave) for octave in range(octaves))
    return resample(field, *shape) * np.float32(1.0 / np.sqrt(power))


@lru_cache(maxsize=16)
def pixel_centres(size: int) -> FloatArray:
    """Return scene coordinates of the pixel centres along one side, [size]; read-only."""
    centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    centres.setflags(write=False)
    return centres


def ridge_line(rng: np.random.Generator, spec: Range, size: int) -> tuple[FloatArray, FloatArray]:
    """Return the upper edge of a range and its smoothed slope dy/dx, both [size]."""
    coarse = fractal(rng, (1, 512), (1, spec.cells), 3, 0.42)[0]
    second = fractal(rng, (1, 512), (1, spec.cells * 2), 2, 0.45)[0]
    fine = fractal(rng, (1, 512), (1, spec.cells * 8), 3, 0.7)[0]
    # |noise| has creases where the noise crosses zero: upside down they are the sharp crests.
    crests = np.maximum(1.0 - 1.15 * np.abs(coarse), 0.62 - 0.7 * np.abs(second))
    peaks = spec.sharpness * crests + (1 - spec.sharpness) * (0.5 + 0.6 * coarse)
    smooth = spec.base - spec.height * np.maximum(peaks, -0.1)
    rough = smooth - spec.height * fine * (0.02 + 0.055 * spec.sharpness)
    if spec.rounding:
        smooth, rough = (cv2.GaussianBlur(line[None], (0, 0), 512 * spec.rounding)[0] for line in (smooth, rough))
    if spec.wooded:
        rough = rough - _tree_tops(rng, 512, 0.012 + 0.016 * (1 - spec.distance))
    slope = np.gradient(cv2.GaussianBlur(smooth[None], (0, 0), 4.0)[0]).astype(np.float32) * 512
    return resample(rough[None].astype(np.float32), 1, size)[0], resample(slope[None], 1, size)[0]


def _tree_tops(rng: np.random.Generator, width: int, height: float) -> FloatArray:
    """Return the height of a row of distant conifers above the ground, [width]."""
    count = int(1.3 / height)
    centres = (np.arange(count) + rng.uniform(0, 1, count)) / count
    heights = height * rng.uniform(0.3, 1.0, count)
    x = pixel_centres(width)
    cones = heights[:, None] * (1 - np.abs(x[None] - centres[:, None]) / (0.35 * heights[:, None] + 0.002))
    return np.maximum(cones.max(axis=0), 0).astype(np.float32)


def below(edge: FloatArray, size: int, rows: slice) -> FloatArray:
    """Return anti-aliased coverage of all that lies below an edge y(x), [rows, size] in [0, 1]."""
    steepness = np.hypot(1.0, np.gradient(edge) * size)
    sharp = (size / np.minimum(steepness, 3.0)).astype(np.float32)
    y = pixel_centres(size)[rows, None]
    return np.clip((y - edge[None]) * sharp[None] + np.float32(0.5), 0, 1)


def conifer_outline(tree: Tree, u: FloatArray, t: FloatArray, noise: FloatArray) -> Outline:
    """Return the outline of a spruce.

    Args:
        tree: The tree; its `shape_seed` decides the details.
        u: Distance from the trunk in tree widths, [1, w].
        t: 0 at the top and 1 at the foot, [h, 1].
        noise: Roughness of the foliage, [h, w].

    Returns:
        Signed distance to the outline in tree widths, positive inside, and extra light, both [h, w].
    """
    tiers = 6 + tree.shape_seed % 4
    drop = np.mod(t * tiers + 0.25 * np.abs(u), np.float32(1))
    half_width = t * (0.62 + 0.42 * drop) + 0.25 * noise * t + 0.01
    # The foot is cut off, which shows a stump of the trunk.
    return np.minimum(half_width - np.abs(u), 20 * (0.95 - t)), float_array(0.22 * (0.5 - drop))


def broadleaf_outline(tree: Tree, u: FloatArray, t: FloatArray, noise: FloatArray) -> Outline:
    """Return the outline of a round crown made of six balls of leaves; see `conifer_outline`."""
    shape = np.random.default_rng(tree.shape_seed).random((4, 6, 1, 1), dtype=np.float32)
    x, y = shape[0] - 0.5, 0.24 + 0.36 * shape[1]
    radius = (0.32 + 0.22 * shape[2]) * (1.1 - 0.5 * np.abs(x))
    dx, dy = (u - x) / radius, (t - y) * 2.2 / radius
    balls = radius * (1.0 - np.sqrt(dx * dx + dy * dy))
    front = balls.argmax(axis=0)[None]
    crown = np.take_along_axis(balls, front, 0)[0]
    shade = np.take_along_axis(np.broadcast_to(dy, balls.shape), front, 0)[0]
    return crown + 0.10 * noise, -0.28 * shade


def round_outline(tree: Tree, u: FloatArray, t: FloatArray, noise: FloatArray) -> Outline:
    """Return the outline of an oval crown on a bare trunk, which only the tree's box decides; see `conifer_outline`."""
    x, y = u / np.float32(0.56), (t - np.float32(0.41)) / np.float32(0.41)
    crown = np.float32(0.56) * (1 - np.sqrt(x * x + y * y)) + np.float32(0.10) * noise
    return crown, np.float32(-0.28) * y * np.ones_like(noise)
