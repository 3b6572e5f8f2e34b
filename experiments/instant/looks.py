"""Looks of our own, drawn over any picture in palettes of our own: styles that nobody has rights in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

Array = Any  # float32 [H, W, 3] in [0, 1] unless said otherwise
Random = np.random.Generator
Palette = Callable[[Array], Array]  # brightness [...] in [0, 1] to colours [..., 3]


def palette(rng: Random) -> Palette:
    """Draw a palette of 3 to 6 colours from dark to light, of neighbouring, opposite or any hues."""
    count = int(rng.integers(3, 7))
    first, spread = rng.random(), rng.choice([0.06, 0.15, 0.5])
    hue = (first + spread * rng.standard_normal(count) + 0.5 * (rng.random(count) < 0.25)) % 1
    saturation = np.clip(rng.uniform(0.1, 1.0) + 0.2 * rng.standard_normal(count), 0, 1)
    dark, light = rng.uniform(0.0, 0.3), rng.uniform(0.75, 1.0)
    value = np.clip(np.linspace(dark, light, count) + 0.06 * rng.standard_normal(count), 0, 1)
    hsv = np.stack([hue * 360, saturation * (1 - 0.5 * value**3), value], -1).astype(np.float32)[None]
    stops, colours = np.linspace(0, 1, count), cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]

    def colour(tone: Array) -> Array:
        return np.stack([np.interp(tone, stops, colours[:, c]) for c in range(3)], -1).astype(np.float32)

    return colour


def recoloured(image: Array, rng: Random) -> Array:
    """Give a picture other colours: a palette by brightness with some of its own tint, or turned hues."""
    tone = stretched(image @ np.float32([0.299, 0.587, 0.114]))
    if rng.random() < 0.5:
        own = image - tone[..., None]
        return np.clip(palette(rng)(tone) + rng.uniform(-1.0, 1.5) * own, 0, 1)
    turned = cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2HSV)
    turned[..., 0] = (turned[..., 0] + rng.uniform(0, 360)) % 360
    turned[..., 1] = np.clip(turned[..., 1] * rng.uniform(0.7, 2.0), 0, 1)
    return cv2.cvtColor(turned, cv2.COLOR_HSV2RGB)


def stretched(tone: Array) -> Array:
    low, high = np.quantile(tone, (0.02, 0.98))
    return np.clip((tone - low) / max(high - low, 1e-3), 0, 1).astype(np.float32)


def noise(rng: Random, shape: tuple[int, int], scale: float) -> Array:
    """Draw smooth noise of mean 0 and deviation 1, [H, W]; `scale` is the size of its bumps in pixels."""
    drawn = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), scale)
    return drawn / max(float(drawn.std()), 1e-6)


def strokes(image: Array, rng: Random) -> Array:
    """Paint with long strokes along the contours, or along swirls."""
    side = image.shape[0]
    grey = cv2.GaussianBlur(image @ np.float32([0.3, 0.6, 0.1]), (0, 0), 4)
    angle = np.arctan2(cv2.Sobel(grey, cv2.CV_32F, 0, 1), cv2.Sobel(grey, cv2.CV_32F, 1, 0)) + np.pi / 2
    swirl, amount = 2 * noise(rng, grey.shape, side / rng.uniform(4, 12)), rng.choice([0, 0.5, 1])
    angle = (1 - amount) * angle + amount * swirl
    canvas = np.clip(cv2.GaussianBlur(image, (0, 0), 3), 0, 1)
    width, length = rng.uniform(2, 7), rng.uniform(6, 22)
    for _ in range(int(2.2 * side**2 / (width * length))):
        y, x = rng.integers(0, side, 2)
        step = length / 2 * np.array([np.cos(angle[y, x]), np.sin(angle[y, x])])
        colour = np.clip(image[y, x] + rng.uniform(0.02, 0.08) * rng.standard_normal(3), 0, 1)
        ends = [tuple(int(v) for v in np.array([x, y]) + sign * step) for sign in (-1, 1)]
        cv2.line(canvas, *ends, colour.tolist(), max(1, round(width * rng.uniform(0.5, 1.2))), cv2.LINE_AA)
    return canvas


def flat(image: Array, rng: Random) -> Array:
    """Print in a few flat colours, mostly with dark or light outlines."""
    smooth = cv2.bilateralFilter(image, 9, 0.25, 7)
    levels = int(rng.integers(3, 7))
    tone = stretched(smooth.mean(-1))
    band = np.minimum((tone * levels).astype(np.int32), levels - 1)
    colours = palette(rng)(np.linspace(0, 1, levels))
    result = colours[band] + rng.uniform(0, 0.8) * (smooth - smooth.mean(-1, keepdims=True))
    edge = cv2.morphologyEx(band.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    line = cv2.GaussianBlur(edge.astype(np.float32), (0, 0), rng.uniform(0.6, 1.6))[..., None]
    ink = palette(rng)(np.float32(rng.choice([0.0, 0.0, 1.0])))
    result += np.clip(line * rng.uniform(0, 2.5), 0, 1) * (ink - result)
    return result + rng.uniform(0, 0.04) * noise(rng, tone.shape, 0.8)[..., None]


def mosaic(image: Array, rng: Random) -> Array:
    """Lay stones or squares of one colour each, with joints."""
    side = image.shape[0]
    cells = int(rng.integers(80, 900))
    y, x = np.mgrid[:side, :side].astype(np.float32)
    if rng.random() < 0.4:
        pitch = side / np.sqrt(cells)
        row, column = ((y + 2 * noise(rng, y.shape, 12)) // pitch), ((x + 2 * noise(rng, y.shape, 12)) // pitch)
        label = (row * 1000 + column).astype(np.int32)
        centre = np.stack([np.clip((row + 0.5) * pitch, 0, side - 1), np.clip((column + 0.5) * pitch, 0, side - 1)], -1)
        picked = image[centre[..., 0].astype(int), centre[..., 1].astype(int)]
        shift = rng.standard_normal((10**6 + 1, 3)).astype(np.float32)[np.abs(label) % 10**6]
    else:
        seeds = np.full((side, side), 255, np.uint8)
        seeds[tuple(rng.integers(0, side, (2, cells)))] = 0
        _, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        where = np.zeros((label.max() + 1, 2), int)
        where[label[seeds == 0]] = np.argwhere(seeds == 0)
        picked = image[where[label][..., 0], where[label][..., 1]]
        shift = rng.standard_normal((label.max() + 1, 3)).astype(np.float32)[label]
    result = picked + rng.uniform(0, 0.15) * shift
    edge = (np.abs(cv2.Laplacian(label.astype(np.float32), cv2.CV_32F)) > 0).astype(np.float32)
    joint = cv2.GaussianBlur(edge, (0, 0), 0.7)[..., None] * rng.uniform(0, 1)
    return result + joint * (palette(rng)(np.float32(rng.random())) - result)


def shards(image: Array, rng: Random) -> Array:
    """Cut the plane into overlapping polygons and discs with shaded edges, in the colours of a palette."""
    side, colour = image.shape[0], palette(rng)
    canvas = colour(stretched(cv2.GaussianBlur(image, (0, 0), 8).mean(-1)))
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    for _ in range(int(rng.integers(20, 90))):
        mask = np.zeros((side, side), np.float32)
        centre, size = rng.integers(0, side, 2), side * rng.uniform(0.04, 0.25)
        if rng.random() < 0.75:
            turn = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 6))))
            points = centre + size * np.stack([np.cos(turn), np.sin(turn)], -1) * rng.uniform(0.4, 1.4, (len(turn), 1))
            cv2.fillPoly(mask, [points.astype(np.int32)], 1.0, cv2.LINE_AA)
        else:
            cv2.circle(
                mask, tuple(int(v) for v in centre), int(size / 2), 1.0, int(rng.choice([-1, 2, 4])), cv2.LINE_AA
            )
        slope = rng.standard_normal(2)
        shade = np.clip(rng.random() + 0.7 * (slope[0] * (x - 0.5) + slope[1] * (y - 0.5)), 0, 1)
        canvas += (rng.uniform(0.6, 1.0) * mask)[..., None] * (colour(shade) - canvas)
    return canvas


def flow(image: Array, rng: Random) -> Array:
    """Smear the picture and streaks of noise along a swirling field."""
    side = image.shape[0]
    angle = noise(rng, (side, side), side / rng.uniform(3, 10)) * rng.uniform(0.5, 2.5)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    grain = image + rng.uniform(0.1, 0.5) * noise(rng, (side, side), rng.uniform(0.8, 2.5))[..., None]
    total, steps = np.zeros_like(image), int(rng.integers(5, 14))
    for sign in (-1, 1):
        at_x, at_y = x.copy(), y.copy()
        for _ in range(steps):
            total += cv2.remap(grain, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            here = cv2.remap(angle, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            at_x, at_y = at_x + sign * np.cos(here), at_y + sign * np.sin(here)
    streaks = total / (2 * steps)
    return streaks if rng.random() < 0.4 else palette(rng)(stretched(streaks.mean(-1)))


def dots(image: Array, rng: Random) -> Array:
    """Put down dots of nearly unmixed colours on a ground."""
    side = image.shape[0]
    canvas = np.broadcast_to(palette(rng)(np.float32(rng.random())), image.shape).copy()
    radius = rng.uniform(1.5, 5)
    for _ in range(int(1.6 * (side / radius) ** 2 / 2)):
        y, x = rng.integers(0, side, 2)
        colour = np.clip(image[y, x] * rng.uniform(0.8, 1.2) + 0.12 * rng.standard_normal(3), 0, 1)
        cv2.circle(
            canvas, (int(x), int(y)), max(1, round(radius * rng.uniform(0.6, 1.2))), colour.tolist(), -1, cv2.LINE_AA
        )
    return canvas


def hatching(image: Array, rng: Random) -> Array:
    """Draw the shadows by crossing lines, in one ink on a paper."""
    dark, side = 1 - stretched(image.mean(-1)), image.shape[0]
    y, x = np.mgrid[:side, :side].astype(np.float32)
    ink, period, first = np.zeros((side, side), np.float32), rng.uniform(4, 9), rng.uniform(0, np.pi)
    for layer, above in enumerate((0.15, 0.45, 0.7)):
        angle = first + layer * rng.uniform(0.6, 1.3)
        across = np.cos(angle) * y - np.sin(angle) * x + 1.5 * noise(rng, (side, side), 9)
        distance = np.abs(np.mod(across / period, 1) - 0.5) * period
        ink = np.maximum(ink, np.clip(np.clip((dark - above) * 3, 0, 1) * period / 3 - distance + 0.5, 0, 1))
    colours = palette(rng)
    paper, line = colours(np.float32(rng.uniform(0.7, 1))), colours(np.float32(rng.uniform(0, 0.3)))
    return paper + ink[..., None] * (line - paper) + 0.02 * noise(rng, (side, side), 1)[..., None]


def tonal(image: Array, rng: Random) -> Array:
    """Veil the picture in one light, with a few dabs of it."""
    soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 3)).mean(-1)
    soft = stretched(soft + 0.2 * soft.std() * noise(rng, soft.shape, rng.uniform(1.5, 6))) ** rng.uniform(0.6, 2.5)
    return palette(rng)(soft) + 0.03 * noise(rng, soft.shape, 1)[..., None]


LOOKS = (strokes, flat, mosaic, shards, flow, dots, hatching, tonal)


def drawn(image: Array, rng: Random, look: Callable[[Array, Random], Array]) -> Array:
    """Draw a look over a picture, uint8 to uint8 [side, side, 3], mostly in other colours than its own."""
    real = image.astype(np.float32) / 255
    real = recoloured(real, rng) if rng.random() < 0.7 else real
    return np.rint(np.clip(look(real, rng), 0, 1) * 255).astype(np.uint8)
