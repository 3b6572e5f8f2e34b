"""Domains: the ways in which the same scene can be shown, each a light, surfaces, shapes and a finish.

All but the light, the shapes and the surfaces is the same in every domain: outlines, clouds, waves and leaves are drawn
from the noise of the scene itself, so that two domains of a scene agree pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gan_style.data.scenes.geometry import HAZE, SUN_HEIGHT, Composition, FloatArray, Tree, draw_light, float_array
from gan_style.data.scenes.painting import render_painting
from gan_style.data.scenes.photo import Rendering
from gan_style.data.scenes.surfaces import INFRARED, MOONLIT, SUMMER, WINTER, Surfaces

Key = tuple[int, int, int]  # seed, index, sample: what decides the random part of a domain
# Keeps the noise of the light apart from that of composition and strokes, which are drawn from the key alone.
OF_LIGHT = 0x11647

# Rows as in TIMES_OF_DAY; the moon stands for the sun.
MOONLIGHT = float_array(
    [[0.020, 0.045, 0.125], [0.075, 0.135, 0.260], [0.93, 0.95, 0.88], [0.36, 0.47, 0.62], [0.15, 0.20, 0.33]]
)
# What the camera's infrared film makes of the light of each row.
FILM = float_array([[0.55, 1.02, 0.92], [0.92, 1.02, 0.92], [1.0, 1.0, 0.95], [1.0, 1.0, 0.95], [1.0, 1.0, 1.0]])


@dataclass(frozen=True, eq=False)
class Domain:
    """Domain: a way to show scenes.

    Attributes:
        name: of one picture of it.
        surfaces: the colours of what is lit.
        change: changes the composition, its light or its shapes, by a key; None leaves it as it is.
        finish: turns the photo into the picture, [size, size, 3] in [0, 1], by a key; None leaves it as it is.
        varies: several samples of one scene differ; else a scene has one picture in this domain.
    """

    name: str
    surfaces: Surfaces = SUMMER
    change: Callable[[Composition, Key], Composition] | None = None
    finish: Callable[[Rendering, Key], FloatArray] | None = None
    varies: bool = False


def _painted(image: Rendering, key: Key) -> FloatArray:
    return render_painting(image, np.random.default_rng(key))


def _on_infrared_film(scene: Composition, key: Key) -> Composition:
    return replace(scene, light=(scene.light * FILM).astype(np.float32))


def _in_winter(scene: Composition, key: Key) -> Composition:
    """Let snow lie on all but the foot of the mountains."""
    ranges = [spec if spec.wooded else replace(spec, snow_line=spec.base - 0.3 * spec.height) for spec in scene.ranges]
    return replace(scene, ranges=tuple(ranges))


def _at_some_time_of_day(scene: Composition, key: Key) -> Composition:
    """Leave sample 0 in its own light, and show the others at other times of day."""
    if key[2] == 0:
        return scene
    rng = np.random.default_rng([*key, OF_LIGHT])
    time_of_day, light = draw_light(rng)
    height = float(rng.uniform(*SUN_HEIGHT[time_of_day]))
    sun = (scene.sun[0], scene.horizon * (1 - height) - 0.02)
    haze = HAZE[time_of_day] * float(rng.uniform(0.8, 1.15))
    return replace(scene, time_of_day=time_of_day, light=light, sun=sun, haze=haze)


def _by_night(scene: Composition, key: Key) -> Composition:
    """Let the moon shine from the side of the sun; its height and the stars are free."""
    rng = np.random.default_rng([*key, OF_LIGHT])
    moon = (scene.sun[0], scene.horizon * float(rng.uniform(0.12, 0.55)))
    count = 90
    x, y = rng.uniform(0, 1, count), scene.horizon * rng.uniform(0, 1, count)
    stars = np.stack([x, y, 0.25 + 0.75 * rng.uniform(0, 1, count) ** 3], axis=-1).astype(np.float32)
    return replace(scene, time_of_day="night", light=MOONLIGHT, sun=moon, haze=0.5 * scene.haze, stars=stars)


def _pointed(scene: Composition, key: Key) -> Composition:
    return replace(scene, trees=tuple(_slender(tree) for tree in scene.trees))


def _rounded(scene: Composition, key: Key) -> Composition:
    """Give every tree a round crown on its spot, and every mountain a round top."""
    slender = (_slender(tree) for tree in scene.trees)
    trees = [replace(tree, kind="round", width=2.1 * tree.width, height=0.85 * tree.height) for tree in slender]
    ranges = [spec if spec.wooded else replace(spec, rounding=0.035) for spec in scene.ranges]
    return replace(scene, trees=tuple(trees), ranges=tuple(ranges))


def _slender(tree: Tree) -> Tree:
    """Turn a tree of any kind into a conifer of about its height."""
    return tree if tree.kind == "conifer" else replace(tree, kind="conifer", width=0.5 * tree.width)


PHOTO = Domain("photo")
PAINTING = Domain("painting", finish=_painted, varies=True)
INFRARED_PHOTO = Domain("infrared photo", INFRARED, _on_infrared_film)
SUMMER_PHOTO = Domain("summer photo")
WINTER_PHOTO = Domain("winter photo", WINTER, _in_winter)
DAY_PHOTO = Domain("day photo", change=_at_some_time_of_day, varies=True)
NIGHT_PHOTO = Domain("night photo", MOONLIT, change=_by_night, varies=True)
POINTED_PHOTO = Domain("pointed photo", change=_pointed)
ROUNDED_PHOTO = Domain("rounded photo", change=_rounded)
