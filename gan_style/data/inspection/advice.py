"""Comparison of the two domains, and settings that suit their pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gan_style.core.sizes import as_given, height_width, sized
from gan_style.data.inspection.facts import ImageFacts
from gan_style.data.inspection.findings import Finding, Inspection

MIN_IMAGES = 50  # of a domain: fewer are memorised
MAX_IMBALANCE = 4.0  # pictures of the larger domain by those of the smaller
MIN_DIFFERENCE = 0.2
"""Standard deviations between the domains in their most different colour statistic (Cohen's d: a small effect)."""
MAX_STANDARD_ERRORS = 2.5
"""By which two random halves of one domain may differ in one of six statistics."""
MIN_IMAGES_FOR_STATISTICS = 20  # of each domain
MIN_DELTA_E_TO_CHANGE = 20.0
"""Between the mean colours: twice that of Monet's paintings and photos, where the paper keeps the colours."""
PAPER_ITERATIONS, PAPER_EPOCHS = 200_000, 200  # CycleGAN's 200 epochs of about 1,000 pictures
MAX_EPOCHS = 1000  # in more a small set is memorised
LOAD_TO_CROP = 286 / 256  # sides, as in the CycleGAN paper


def count_findings(inspection: Inspection) -> Iterator[Finding]:
    """Yield findings about domains that are small, unequal or not split."""
    counts = {name: len(inspection.splits[name].images) for name in ("trainA", "trainB") if name in inspection.splits}
    for name, count in counts.items():
        if count < MIN_IMAGES:
            yield Finding(
                "few",
                "warning",
                f"{name} has {count} readable pictures: fewer than {MIN_IMAGES} are learned by heart.",
                "add pictures; keep data.flip=true and data.load_size well above data.image_size",
                count=count,
            )
    low, high = min(counts.values(), default=0), max(counts.values(), default=0)
    if low and high >= MAX_IMBALANCE * low:
        yield Finding(
            "unequal",
            "warning",
            f"trainA has {counts['trainA']} and trainB {counts['trainB']} readable pictures: in the time in which "
            f"each of the {high} is seen once, each of the others is seen {high / low:.1f} times.",
            "data.epoch says which domain an epoch counts; add to the smaller one if you can",
        )
    missing = [d for d in "AB" if not any(f"{s}{d}" in inspection.splits for s in ("test", "val"))]
    if missing:
        yield Finding(
            "no-test",
            "note",
            f"There are no pictures to test with in domain {' and '.join(missing)}: grids show training pictures.",
            "put some pictures aside into testA and testB",
        )


@dataclass(frozen=True)
class ColourGap:
    """Distance between the colours of A and B.

    Attributes:
        mean: Delta E (CIE 1976) between the mean colours of the domains.
        contrast: likewise between their mean standard deviations inside a picture.
        deviations: the largest difference of a statistic, in standard deviations between pictures of one domain.
        chance: bound on `deviations` between two halves of one domain.
    """

    mean: float
    contrast: float
    deviations: float
    chance: float


def colour_gap(inspection: Inspection) -> ColourGap | None:
    """Compare mean and standard deviation of L, a and b; None where a domain has no readable picture."""
    domains = [inspection.domain(d) for d in "AB"]
    if not all(domains):
        return None
    a, b = map(_lab_statistics, domains)
    difference = a.mean(axis=0) - b.mean(axis=0)
    spread = np.sqrt((a.var(axis=0) + b.var(axis=0)) / 2) + 1e-6
    return ColourGap(
        mean=float(np.linalg.norm(difference[:3])),
        contrast=float(np.linalg.norm(difference[3:])),
        deviations=float(np.abs(difference / spread).max()),
        chance=MAX_STANDARD_ERRORS * (1 / len(a) + 1 / len(b)) ** 0.5,
    )


def _lab_statistics(images: list[ImageFacts]) -> NDArray[np.float32]:
    """Return mean and standard deviation of L, a and b of each thumbnail, [N, 6]."""
    thumbnails = np.stack([image.thumbnail for image in images]).astype(np.float32) / 255
    pixels = cv2.cvtColor(thumbnails.reshape(len(images), -1, 3), cv2.COLOR_RGB2LAB)
    result: NDArray[np.float32] = np.concatenate([pixels.mean(axis=1), pixels.std(axis=1)], axis=1)
    return result


def colour_findings(inspection: Inspection) -> Iterator[Finding]:
    """Yield findings about the gap between the colours of the domains, and the identity loss that suits it."""
    gap = colour_gap(inspection)
    if gap is None:
        return
    yield Finding(
        "colour-gap",
        "note",
        f"The mean colours of A and B are {gap.mean:.1f} apart (Delta E), their contrasts {gap.contrast:.1f}; the most "
        f"different statistic differs by {gap.deviations:.2f} standard deviations.",
        "nothing: for orientation",
    )
    enough = min(len(inspection.domain(d)) for d in "AB") >= MIN_IMAGES_FOR_STATISTICS
    if enough and gap.deviations < max(MIN_DIFFERENCE, gap.chance):
        yield Finding(
            "same-colours",
            "warning",
            f"By their colours A and B look the same: {gap.deviations:.2f} standard deviations are no more than "
            "between two halves of one domain.",
            "make sure that the folders hold different domains; if only shapes differ, all is well",
        )
    change = gap.mean >= MIN_DELTA_E_TO_CHANGE
    yield Finding(
        "suggest-identity",
        "note",
        f"The colours {'must change' if change else 'may stay'}: an identity loss "
        f"{'would hold them back' if change else 'keeps them'}.",
        f"model.lambda_idt={0 if change else 5} for CycleGAN, model.nce_idt={'false' if change else 'true'} for CUT",
    )


def _word(sides: list[int]) -> str:
    return as_given(sized("size", sides))


def setting_findings(inspection: Inspection) -> Iterator[Finding]:
    """Yield suggestions of sizes and length of training that suit the pictures."""
    train = [inspection.splits[name].images for name in ("trainA", "trainB") if name in inspection.splits]
    sides = sorted(image.short_side for images in train for image in images)
    if not sides:
        return
    low, median, high = sides[0], sides[len(sides) // 2], sides[-1]
    height, width = height_width(inspection.image_size)
    # How many times larger the crop may be, in the shape that it has, to lie inside of a picture.
    fitting = sorted(min(one.height / height, one.width / width) for images in train for one in images)
    fits = fitting[len(fitting) // 2]
    best = [max(32, round(side * fits) // 32 * 32) for side in (height, width)]
    crop = best if fits < 1 else [height, width]
    room = (
        f"; up to data.image_size={_word(best)} the pictures have more to show"
        if fits >= 1 and best[0] >= 1.5 * height
        else ""
    )
    yield Finding(
        "suggest-size",
        "note",
        f"Shorter sides are {low} to {high} pixels, in the middle {median}{room}.",
        f"data.image_size={_word(crop)} data.load_size={_word([round(side * LOAD_TO_CROP) for side in crop])}",
    )
    most = max(map(len, train))
    iterations = PAPER_EPOCHS * most
    epochs = min(MAX_EPOCHS, max(1, round(PAPER_ITERATIONS / most)))
    yield Finding(
        "suggest-length",
        "note",
        f"{PAPER_EPOCHS} epochs of {most} pictures are {iterations:,} iterations at batch 1; the papers' sets of about "
        f"1,000 pictures get {PAPER_ITERATIONS:,}.",
        f"between {min(epochs, PAPER_EPOCHS)} and {max(epochs, PAPER_EPOCHS)} epochs, half of them in "
        "model.schedule.constant and half in model.schedule.decay, where a run ends",
    )
