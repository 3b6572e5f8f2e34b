"""Domain A: a composition rendered as a soft, hazy landscape photo.

The picture is built from back to front: sky, ranges, water, meadow, trees. Along with the colours it records
which material each pixel shows and which way its surface runs, from which the painter takes its strokes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gan_style.core.sizes import Size
from gan_style.data.scenes.frame import framed
from gan_style.data.scenes.geometry import (
    Composition,
    FloatArray,
    Range,
    Tree,
    below,
    broadleaf_outline,
    conifer_outline,
    float_array,
    fractal,
    pixel_centres,
    ridge_line,
    round_outline,
    smoothstep,
)
from gan_style.data.scenes.surfaces import SUMMER, Surfaces

SKY, MOUNTAIN, WATER, MEADOW, TREE = range(5)

MATERIALS = ("sky", "mountain", "water", "meadow", "tree")
OUTLINES = {"conifer": conifer_outline, "broadleaf": broadleaf_outline, "round": round_outline}


@dataclass
class Rendering:
    """Picture while it is rendered.

    Attributes:
        rgb: Colours in [0, 1], [size, size, 3].
        material: SKY, MOUNTAIN, WATER, MEADOW or TREE, [size, size] uint8.
        angle: Direction of the surface in radians from the x axis, y pointing down, [size, size].
        tree: 1 + the number in `Composition.trees` of the tree that is seen, 0 for none, [size, size] uint8.
        window: Rows and columns that are shown; the picture is drawn as a square, whatever its shape.
    """

    rgb: FloatArray
    material: np.ndarray
    angle: FloatArray
    tree: np.ndarray
    window: tuple[slice, slice]

    @property
    def size(self) -> int:
        """Side of the square in pixels."""
        return int(self.rgb.shape[0])

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Material of each pixel that is shown, [H, W]."""
        return self.material[self.window]

    @property
    def tree_map(self) -> NDArray[np.uint8]:
        """Tree of each pixel that is shown, [H, W]."""
        return self.tree[self.window]

    def cover(
        self,
        window: tuple[slice, slice],
        coverage: FloatArray,
        colour: FloatArray,
        material: int,
        angle: FloatArray | float,
    ) -> None:
        """Blend a surface with the given coverage [h, w] over a window of the picture."""
        under = self.rgb[window]
        under += coverage[..., None] * (colour - under)
        shown = coverage > 0.5
        self.material[window][shown] = material
        self.angle[window][shown] = angle[shown] if isinstance(angle, np.ndarray) else angle


def render_photo(scene: Composition, rng: np.random.Generator, size: Size, surfaces: Surfaces = SUMMER) -> Rendering:
    """Render the photo of a scene; `rng` supplies the noise, in an order that only the scene decides."""
    side, window = framed(size)
    image = Rendering(
        rgb=_sky(scene, rng, side),
        material=np.zeros((side, side), np.uint8),
        angle=np.zeros((side, side), np.float32),
        tree=np.zeros((side, side), np.uint8),
        window=window,
    )
    for spec in scene.ranges:
        _draw_range(image, scene, spec, surfaces, rng)
    if scene.lake:
        _draw_lake(image, scene, surfaces, rng)
    _draw_meadows(image, scene, surfaces, rng)
    leaves = fractal(rng, (side, side), (24, 24), 4, 0.7)
    for number, tree in enumerate(scene.trees):
        seen = _draw_tree(image, scene, tree, surfaces, leaves)
        if seen is not None:
            window, shown = seen
            image.tree[window][shown] = number + 1
    image.rgb = _develop(image.rgb)
    return image


def _sky(scene: Composition, rng: np.random.Generator, size: int) -> FloatArray:
    """Render gradient, glow, sun and clouds, [size, size, 3]."""
    zenith, horizon, sun_colour, light, ambient = scene.light
    x, y = pixel_centres(size)[None, :], pixel_centres(size)[:, None]
    height = np.clip(1.0 - y / scene.horizon, 0, 1) ** np.float32(0.75)
    sky = (horizon + height[..., None] * (zenith - horizon)) * np.ones((1, size, 1), np.float32)
    radius = np.sqrt((x - scene.sun[0]) ** 2 + (y - scene.sun[1]) ** 2).astype(np.float32, copy=False)
    glow = (0.50 * np.exp(-radius * 4.0) + 0.30 * np.exp(-radius * 14.0)).astype(np.float32)[..., None]
    sky += glow * (sun_colour - sky)
    disc = (0.95 * (1.0 - smoothstep(0.016, 0.034, radius)))[..., None]
    sky += disc * (np.minimum(sun_colour * 1.08, 1.0) - sky)
    if scene.stars is not None:
        _draw_stars(sky, scene.stars)
    puffs = fractal(rng, (size, size), (6, 3), 6, 0.55)
    streaks = fractal(rng, (size, size), (14, 2), 4, 0.5)
    mix = smoothstep(0.25 * scene.horizon, 0.85 * scene.horizon, y)
    density = puffs * (1 - mix) + streaks * mix
    cover = smoothstep(0.5 - 1.1 * scene.cloud_cover, 1.45 - 1.1 * scene.cloud_cover, density)
    # Clouds are lit where they thin out upwards: compare the density with that a little higher up.
    shift = max(1, round(size * 0.03))
    above = np.concatenate([puffs[:1].repeat(shift, 0), puffs[:-shift]])
    lit = np.clip(0.62 + 0.35 * (puffs - above), 0, 1)[..., None]
    bright = np.minimum(0.30 * ambient + 0.75 * light + 0.12 * sun_colour, 1.0)
    shaded = 0.55 * ambient + 0.45 * horizon
    cloud = shaded + lit * (bright - shaded)
    cloud += 0.5 * glow * (sun_colour - cloud)
    sky += (0.85 * cover)[..., None] * (cloud - sky)
    return sky.astype(np.float32)


def _draw_stars(sky: FloatArray, stars: FloatArray) -> None:
    """Add stars [n, 3] (x, y, brightness) to a sky, in place; their light is the same at every size."""
    size = len(sky)
    radius = max(0.0022, 0.45 / size)  # of the scene; smaller than a pixel they would flicker
    reach = int(np.ceil(2.5 * radius * size))
    col, row = (np.minimum((stars[:, :2] * size).astype(np.int32), size - 1)).T
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            y, x = row + dy, col + dx
            inside = (y >= 0) & (y < size) & (x >= 0) & (x < size)
            away = ((x + 0.5) / size - stars[:, 0]) ** 2 + ((y + 0.5) / size - stars[:, 1]) ** 2
            light = stars[:, 2] * (0.0022 / radius) * np.exp(-away / (radius * radius))
            np.add.at(sky, (y[inside], x[inside]), light[inside, None].astype(np.float32))


def _sun_side(scene: Composition) -> float:
    """Return -1 if the light comes from the left, 1 if from the right."""
    return -1.0 if scene.sun[0] < 0.5 else 1.0


def _lit(scene: Composition, albedo: FloatArray, direct: FloatArray) -> FloatArray:
    """Return the colour of a surface under ambient light and `direct` [...] in [0, 1] of the sun's."""
    _, _, _, light, ambient = scene.light
    return albedo * (ambient + direct[..., None] * light)


def _hazy(scene: Composition, colour: FloatArray, amount: FloatArray | float) -> FloatArray:
    """Mix in the haze, which has the colour of the sky at the horizon."""
    veil = (0.75 * scene.light[1] + 0.25 * scene.light[0]).astype(np.float32)
    weight = np.float32(scene.haze) * (amount[..., None] if isinstance(amount, np.ndarray) else amount)
    return (colour + weight * (veil - colour)).astype(np.float32)


def _draw_range(
    image: Rendering, scene: Composition, spec: Range, surfaces: Surfaces, rng: np.random.Generator
) -> None:
    """Draw one row of mountains or wooded hills."""
    size = image.size
    edge, slope = ridge_line(rng, spec, size)
    relief = fractal(rng, (size, size), (20, 14) if spec.wooded else (7, 6), 5, 0.55)
    rows = slice(max(0, int(edge.min() * size) - 1), min(size, int((spec.base + 0.05) * size) + 2))
    relief = relief[rows]
    x, y = pixel_centres(size)[None, :], pixel_centres(size)[rows, None]
    depth = np.maximum(y - edge[None], 0)
    # Crests are displaced sideways on their way down, and with them the border of light and shade.
    wandered = np.clip((x + 0.55 * relief * depth) * size, 0, size - 1).astype(np.int32)
    facing = np.tanh(slope[wandered] * np.float32(0.8 * _sun_side(scene)))
    bumps = np.gradient(relief, axis=1) * np.float32(-0.035 * size * _sun_side(scene))
    direct = np.clip(0.48 + 0.50 * facing + (0.10 + 0.16 * spec.sharpness) * np.tanh(bumps), 0, 1.15)
    if spec.wooded:
        direct = np.clip(0.35 + 0.15 * facing + 0.45 * relief, 0, 1)
        albedo = surfaces.forest * (1.0 + 0.15 * relief[..., None])
        albedo = _frosted(albedo, surfaces, 0.3 * relief)
    else:
        snow = smoothstep(-0.02, 0.03, spec.snow_line - y + 0.07 * relief)[..., None]
        foot = smoothstep(0.5, 1.1, (y - (spec.base - spec.height)) / np.float32(spec.height) + 0.25 * relief)
        rock = surfaces.rock + foot[..., None] * 0.6 * (surfaces.forest - surfaces.rock)
        albedo = rock + snow * (surfaces.snow - rock)
    colour = _lit(scene, albedo, direct)
    # Haze is thickest in the valleys.
    amount = spec.distance + 0.3 * smoothstep(0.3, 1.0, depth / np.float32(spec.height + 0.02)) * (0.3 + spec.distance)
    colour = _hazy(scene, colour, np.minimum(amount, 1.0))
    angle = np.arctan(1.2 * slope[wandered]).astype(np.float32)
    if spec.wooded:
        angle = np.full_like(angle, 1.35)
    material = TREE if spec.wooded else MOUNTAIN
    image.cover((rows, slice(None)), below(edge, size, rows), colour, material, angle)


def _draw_lake(image: Rendering, scene: Composition, surfaces: Surfaces, rng: np.random.Generator) -> None:
    """Mirror what stands above the waterline in rippled water."""
    size = image.size
    shore = scene.horizon + 0.02
    ripples = fractal(rng, (size, size), (48, 5), 3, 0.7)
    first = int(shore * size)
    x, y = pixel_centres(size)[None, :], pixel_centres(size)[first:, None]
    nearness = (y - shore) / np.float32(1 - shore)
    wave = ripples[first:] * (0.006 + 0.035 * np.maximum(nearness, 0))
    source_y = np.clip((2 * shore - y + wave) * size - 0.5, 0, size - 1).astype(np.float32)
    source_x = np.broadcast_to(x * size - np.float32(0.5), source_y.shape)
    mirror = cv2.remap(image.rgb, np.ascontiguousarray(source_x), source_y, cv2.INTER_LINEAR)
    mirror = cv2.GaussianBlur(mirror, (0, 0), sigmaX=0.004 * size + 0.1, sigmaY=0.008 * size + 0.1)
    deep = (scene.light[4] * surfaces.water).astype(np.float32)
    depth = np.clip(0.22 + 0.4 * nearness + 0.05 * ripples[first:], 0, 0.7)
    depth = depth + np.float32(surfaces.ice) * (1 - depth)
    water = mirror + depth[..., None] * (deep - mirror)
    glitter = np.exp(-(((x - scene.sun[0]) / (0.04 + 0.07 * nearness)) ** 2)) * smoothstep(0.0, 1.0, ripples[first:])
    water += (0.55 * glitter)[..., None] * (scene.light[2] - water)
    coverage = np.clip((y - shore) * size + 0.5, 0, 1) * np.ones((1, size), np.float32)
    # A pale line where the water meets the land.
    water += 0.25 * np.exp(-(((y - shore) / 0.008) ** 2))[..., None] * (scene.light[1] - water)
    image.cover((slice(first, size), slice(None)), coverage, water.astype(np.float32), WATER, 0.0)


def _draw_meadows(image: Rendering, scene: Composition, surfaces: Surfaces, rng: np.random.Generator) -> None:
    """Draw the near meadow and, where there is no lake, the one behind it."""
    size = image.size
    x = pixel_centres(size)
    patches = fractal(rng, (size, size), (12, 3), 5, 0.55)
    blades = fractal(rng, (size, size), (32, 80), 3, 0.9)
    swell = fractal(rng, (2, size), (2, 3), 3, 0.4)
    if not scene.lake:
        edge = np.float32(scene.horizon + 0.015) + 0.012 * swell[0]
        _draw_meadow(image, scene, surfaces, edge, patches, blades, 0.3)
    edge = np.float32(scene.bank) + np.float32(scene.bank_tilt) * (2 * x - 1) + 0.03 * swell[1]
    _draw_meadow(image, scene, surfaces, edge.astype(np.float32), patches[::-1], blades, 0.0)


def _draw_meadow(
    image: Rendering,
    scene: Composition,
    surfaces: Surfaces,
    edge: FloatArray,
    patches: FloatArray,
    blades: FloatArray,
    distance: float,
) -> None:
    """Draw grass below an edge y(x) [size]; `patches` and `blades` are noise, [size, size]."""
    size = image.size
    rows = slice(max(0, int(edge.min() * size) - 1), size)
    x, y = pixel_centres(size)[None, :], pixel_centres(size)[rows, None]
    patches, blades = patches[rows], blades[rows]
    near = smoothstep(scene.horizon, 1.0, y)
    albedo = surfaces.meadow * (1.0 + surfaces.patches * patches[..., None] * float_array([0.9, 0.55, 0.5]))
    albedo = albedo * (1.0 + surfaces.meadow_tint * scene.meadow_tint * float_array([0.14, 0.0, -0.12]))
    if scene.has_path:
        bend = 0.5 + 0.25 * np.sin(3.0 * y + 6.0 * scene.bank) * (1.2 - y)
        width = 0.004 + 0.11 * np.maximum(y - scene.horizon, 0) ** 1.5
        path = smoothstep(-0.3, 0.4, 1.0 - np.abs(x - bend) / width + 0.35 * patches)[..., None]
        albedo = albedo + 0.8 * path * (surfaces.earth - albedo)
    direct = np.clip(0.62 + 0.22 * patches + surfaces.blades * blades * near, 0, 1.2)
    # The rim of a swell catches the light, the foreground lies in shade.
    direct = direct + 0.25 * np.exp(-np.abs(y - edge[None]) / 0.03) - 0.40 * smoothstep(0.75, 1.1, y)
    colour = _hazy(scene, _lit(scene, albedo, direct), np.maximum(distance * (1.3 - 1.6 * near), 0.0))
    slope = np.arctan(np.gradient(edge) * size).astype(np.float32)
    angle = slope[None] - 1.25 * smoothstep(0.72, 0.95, y)
    image.cover((rows, slice(None)), below(edge, size, rows), colour, MEADOW, angle)


def _draw_tree(
    image: Rendering, scene: Composition, tree: Tree, surfaces: Surfaces, leaves: FloatArray
) -> tuple[tuple[slice, slice], NDArray[np.bool_]] | None:
    """Draw one tree inside its bounding box; `leaves` is fine noise, [size, size].

    Returns:
        The window of its box, and which pixels of it show the tree; None if it stands outside the picture.
    """
    size = image.size
    top, bottom = tree.base - 1.06 * tree.height, tree.base + 0.01
    left, right = tree.x - 1.3 * tree.width, tree.x + 1.3 * tree.width
    rows = slice(max(0, int(top * size)), min(size, int(bottom * size) + 2))
    cols = slice(max(0, int(left * size)), min(size, int(right * size) + 2))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return None
    _cast_shadow(image, scene, tree)
    noise = leaves[rows, cols]
    u = (pixel_centres(size)[None, cols] - tree.x) / np.float32(tree.width)
    t = (pixel_centres(size)[rows, None] - (tree.base - tree.height)) / np.float32(tree.height)
    crown, shade = OUTLINES[tree.kind](tree, u, t, noise)
    sharp = tree.width * size
    direct = np.clip(0.30 + 0.40 * u * _sun_side(scene) + shade + 0.40 * noise, 0, 1.1)
    conifer = tree.kind == "conifer"
    albedo = (surfaces.conifer if conifer else surfaces.broadleaf) * (1 + tree.tint * float_array([0.18, 0.04, -0.1]))
    albedo = _frosted(albedo, surfaces, 3.0 * shade + 0.6 * noise)
    coverage = np.clip(crown * sharp + 0.5, 0, 1)
    shown = coverage > 0.5
    colour = _lit(scene, albedo, direct)
    colour = _hazy(scene, colour, tree.distance)
    if sharp > 4:
        trunk = np.clip((0.07 - np.abs(u)) * sharp + 0.5, 0, 1) * ((t > 0.6) & (t < 1.0))
        bark = (scene.light[4] * float_array([0.34, 0.27, 0.22])).astype(np.float32)
        shown |= trunk > 0.5
        image.cover((rows, cols), trunk.astype(np.float32), bark, TREE, 1.5)
    angle = np.sign(u + 0 * t) * np.float32(0.9 if conifer else 0.6)
    image.cover((rows, cols), coverage.astype(np.float32), colour, TREE, angle.astype(np.float32))
    return (rows, cols), shown


def _frosted(albedo: FloatArray, surfaces: Surfaces, height: FloatArray) -> FloatArray:
    """Lay snow on the parts of a crown or wood whose `height` above their surroundings, [h, w] around 0, is large."""
    if not surfaces.frost:
        return albedo
    cover = (surfaces.frost * smoothstep(-0.15, 0.35, height))[..., None]
    return (albedo + cover * (surfaces.snow - albedo)).astype(np.float32)


def _cast_shadow(image: Rendering, scene: Composition, tree: Tree) -> None:
    """Darken the ground at the foot of a tree, away from the sun."""
    size = image.size
    centre, half_height = tree.x - 0.6 * tree.width * _sun_side(scene), 0.16 * tree.width
    rows = slice(int((tree.base - 2 * half_height) * size), int((tree.base + 2 * half_height) * size) + 2)
    cols = slice(max(0, int((centre - 2 * tree.width) * size)), max(0, int((centre + 2 * tree.width) * size) + 2))
    dx = (pixel_centres(size)[None, cols] - centre) / np.float32(0.9 * tree.width)
    dy = (pixel_centres(size)[rows, None] - tree.base) / np.float32(half_height)
    image.rgb[rows, cols] *= 1 - (0.5 * np.exp(-dx * dx - dy * dy))[..., None]


def _develop(rgb: FloatArray) -> FloatArray:
    """Apply the camera's finish: a little bloom around highlights, a soft tone curve and a faint vignette."""
    size = rgb.shape[0]
    highlights = np.maximum(rgb - np.float32(0.72), 0)
    small = cv2.resize(highlights, (32, 32) if size > 32 else (size, size), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 1.6 * small.shape[0] / 32)
    rgb = rgb + 0.45 * cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
    rgb = np.clip(rgb, 0, 1)
    rgb = rgb + 0.22 * rgb * (1 - rgb) * (2 * rgb - 1) * 2
    y = pixel_centres(size)[:, None] - np.float32(0.5)
    vignette = 1 - 0.22 * (y * y + (y * y).T)
    return np.clip(rgb * vignette[..., None], 0, 1).astype(np.float32)
