"""Search for duplicates: pictures equal to the last pixel, nearly equal, or mirrored.

Every pair of hashes is compared; the few that are close are confirmed by their thumbnails. The limits were measured
on 1,000 paintings, photos and portraits and 800 drawn scenes, with their copies (JPEG quality 60, half size, 10%
brighter, gamma 0.85, all at once), and on skies, gradients and clouds that look alike and are not the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gan_style.data.inspection.facts import THUMBNAIL, ImageFacts, Split

Floats = NDArray[np.float32]

MAX_BITS = 12
"""Bits of 64. 99% of copies differ in fewer, but so does 1 in 1,000 pairs of distinct pictures."""
MIN_DETAIL = 2.5
"""Levels of 255: standard deviation of a thumbnail less its best-fitting quadratic surface; skies and gradients have
0.1 to 1. With less detail a copy cannot be told from another plain sky, so that only exact copies are found."""
MIN_CORRELATION = 0.98
"""Between the details. 99% of copies have more than 0.988; distinct pictures at most 0.95, and a scene and its painting
at most 0.978."""
MAX_DISTANCE = 9.0
"""Levels of 255, root mean square, after one brightness and contrast are fitted. Copies have at most 7.2; the most
similar distinct pictures 15, and a scene and its painting 27."""
CONTRAST = (0.7, 1.4)
"""Bounds on a copy's contrast by that of the original: brightened and gamma-corrected copies have 0.87 to 1.14."""
HASHES_AT_ONCE = 512
"""Hashes compared with all others at once: 40 MB at 10,000 pictures."""
PAIRS_AT_ONCE = 4096
"""Pairs of thumbnails compared at once: 50 MB."""
MAX_PARTNERS = 20
"""Of a picture among the earlier ones, so that a film of 10,000 similar frames does not give 50 million pairs."""

MIRRORED_SIGNS = np.uint64(int.from_bytes(np.packbits(np.arange(64) % 2).tobytes(), "big"))
"""A mirror image has the opposite sign at every odd horizontal frequency."""

Kind = Literal["exact", "near", "mirrored"]


@dataclass(frozen=True)
class Pair:
    """Two files that show the same; `a` comes first in the order of the splits."""

    kind: Kind
    split_a: str
    a: ImageFacts
    split_b: str
    b: ImageFacts


def find_pairs(splits: Mapping[str, Split]) -> list[Pair]:
    """Find all pictures that occur twice, inside splits and between them.

    Blank pictures are left out, as they are all alike. Where a split has more than two copies of a picture, each is
    paired with the first.
    """
    groups: dict[str, dict[str, list[ImageFacts]]] = defaultdict(lambda: defaultdict(list))
    for name, split in splits.items():
        for image in split.images:
            if not image.blank:
                groups[image.digest][name].append(image)
    unique = list(groups.values())
    pairs = [pair for group in unique for pair in _exact_pairs(group)]
    order = list(splits)
    for i, j, kind in _similar([next(iter(group.values()))[0] for group in unique]):
        for name_i, at_i in unique[i].items():
            for name_j, at_j in unique[j].items():
                pair = Pair(kind, name_i, at_i[0], name_j, at_j[0])
                swapped = Pair(kind, name_j, at_j[0], name_i, at_i[0])
                pairs.append(pair if order.index(name_i) <= order.index(name_j) else swapped)
    return pairs


def _exact_pairs(group: Mapping[str, list[ImageFacts]]) -> Iterator[Pair]:
    """Yield the pairs of equal files, given the copies of one picture by split."""
    names = list(group)
    for at, name in enumerate(names):
        first = group[name][0]
        for copy in group[name][1:]:
            yield Pair("exact", name, first, name, copy)
        for other in names[at + 1 :]:
            for copy in group[other]:
                yield Pair("exact", name, first, other, copy)


def _similar(images: list[ImageFacts]) -> list[tuple[int, int, Kind]]:
    """Find pairs (i, j) with i < j that are near copies or mirror images."""
    if not images:
        return []
    thumbnails = np.stack([image.thumbnail for image in images]).astype(np.float32)
    details = _details(thumbnails)
    detailed = np.flatnonzero(details.std(axis=1) > MIN_DETAIL)
    hashes = np.array([images[i].hash for i in detailed], np.uint64)
    found: dict[tuple[int, int], Kind] = {}
    partners = np.zeros(len(images), np.int64)
    kinds: tuple[tuple[Kind, np.uint64], ...] = (("near", np.uint64(0)), ("mirrored", MIRRORED_SIGNS))
    for kind, signs in kinds:
        step = -1 if kind == "mirrored" else 1
        for rows, columns in _close(hashes, hashes ^ signs):
            first, second = detailed[rows], detailed[columns]
            wanted = partners[second] < MAX_PARTNERS
            first, second = first[wanted], second[wanted]
            same = _confirmed(thumbnails[first], thumbnails[second][:, :, ::step])
            np.add.at(partners, second[same], 1)
            for i, j in zip(first[same].tolist(), second[same].tolist(), strict=True):
                found.setdefault((i, j), kind)
    return sorted((i, j, kind) for (i, j), kind in found.items())


def _close(hashes: NDArray[np.uint64], others: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.intp], ...]]:
    """Yield index pairs (i, j), i < j, whose hashes differ in few bits, PAIRS_AT_ONCE at a time."""
    for start in range(0, len(hashes), HASHES_AT_ONCE):
        bits = np.bitwise_count(hashes[start : start + HASHES_AT_ONCE, None] ^ others[None, start:])
        rows, columns = np.nonzero(bits <= MAX_BITS)
        later = rows < columns
        rows, columns = rows[later] + start, columns[later] + start
        for at in range(0, len(rows), PAIRS_AT_ONCE):
            yield rows[at : at + PAIRS_AT_ONCE], columns[at : at + PAIRS_AT_ONCE]


def _confirmed(first: Floats, second: Floats) -> NDArray[np.bool_]:
    """Check which pairs of thumbnails, [N, 16, 16, 3] each, show the same; [N]."""
    a, b = _details(first), _details(second)
    correlation = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    x, y = (values.reshape(-1, 3 * THUMBNAIL * THUMBNAIL) for values in (first, second))
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    contrast = (x * y).sum(axis=1) / (x * x).sum(axis=1)
    distance = np.sqrt(((y - contrast[:, None] * x) ** 2).mean(axis=1))
    low, high = CONTRAST
    same: NDArray[np.bool_] = (
        (correlation >= MIN_CORRELATION) & (distance <= MAX_DISTANCE) & (contrast >= low) & (contrast <= high)
    )
    return same


def _details(thumbnails: Floats) -> Floats:
    """Subtract its best-fitting quadratic surface from the brightness, [N, 16, 16, 3] to [N, 256]."""
    grey = (thumbnails @ np.array([0.299, 0.587, 0.114], np.float32)).reshape(-1, THUMBNAIL * THUMBNAIL)
    details: Floats = (grey - (grey @ _SURFACES) @ _SURFACES.T).astype(np.float32, copy=False)
    return details


def _surface_basis() -> Floats:
    """Return an orthonormal basis of the quadratic surfaces on a thumbnail, [256, 6]."""
    x, y = np.meshgrid(*[np.linspace(-1, 1, THUMBNAIL)] * 2)
    surfaces = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    basis: Floats = np.linalg.qr(surfaces.reshape(-1, 6))[0].astype(np.float32)
    return basis


_SURFACES = _surface_basis()
