"""Findings about the files and pictures of each domain, as sentences with numbers and a remedy."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gan_style.core.sizes import Size, as_given, height_width
from gan_style.data.inspection.duplicates import Pair
from gan_style.data.inspection.facts import ImageFacts, Split
from gan_style.data.ledger import Ledger

Severity = Literal["problem", "warning", "note"]
MAX_FILES_SHOWN = 5  # in a finding
MAX_SIZE_RATIO = 2.0  # of shorter sides: beyond it, sharp and blurred pictures are mixed once resized
MAX_ASPECT_RATIO = 1.5  # widest by narrowest: beyond it, resizing to squares distorts visibly
UINT16 = "data.dtype=uint16"


@dataclass(frozen=True)
class Finding:
    """Finding about a set.

    Attributes:
        code: a stable name, such as "exact-duplicates".
        severity: only a problem changes the exit status.
        sentence: what was found, with numbers.
        remedy: what to do, naming a key of the config where one does it.
        files: the first few, or pairs of them.
        count: how many there are.
    """

    code: str
    severity: Severity
    sentence: str
    remedy: str
    files: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class Inspection:
    """Inspected set.

    Attributes:
        root: the folder that paths are shown relative to.
        image_size: of the crops that training cuts.
        splits: by name, in the order of SPLITS.
        pairs: pictures that occur twice.
        ledger: what reading the set leaves out or changes.
    """

    root: Path
    image_size: Size
    splits: dict[str, Split]
    pairs: list[Pair]
    ledger: Ledger = field(default_factory=Ledger)

    def shown(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def domain(self, name: str) -> list[ImageFacts]:
        """Return the pictures of A or of B, in all splits."""
        return [image for split in self.splits.values() if split.domain == name for image in split.images]

    def finding(self, code: str, severity: Severity, sentence: str, remedy: str, paths: Sequence[Path]) -> Finding:
        return Finding(code, severity, sentence, remedy, tuple(map(self.shown, paths[:MAX_FILES_SHOWN])), len(paths))


def file_findings(inspection: Inspection) -> Iterator[Finding]:
    """Yield findings about files that cannot be read or whose suffix is wrong."""
    for name, split in inspection.splits.items():
        if split.unreadable:
            reason = split.unreadable[0].reason.rstrip(".")
            yield inspection.finding(
                "unreadable",
                "problem",
                f"{len(split.unreadable)} of {split.count} pictures of {name} cannot be read; the first: {reason}.",
                "mend or remove them, or leave them out with data.on_error=skip",
                [file.path for file in split.unreadable],
            )
        wrong = [image for image in split.images if image.has_wrong_suffix]
        if wrong:
            kinds = Counter(f"{image.kind} named {image.path.suffix}" for image in wrong)
            listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            yield inspection.finding(
                "wrong-suffix",
                "problem",
                f"{len(wrong)} of {split.count} pictures of {name} are of another kind than their names say: {listed}.",
                "rename them: other programs go by the name",
                [image.path for image in wrong],
            )


def size_findings(inspection: Inspection) -> Iterator[Finding]:
    """Yield findings about pictures too small for the crop, and about sizes and shapes that differ widely."""
    images = [image for split in inspection.splits.values() for image in split.images]
    (height, width), size = height_width(inspection.image_size), as_given(inspection.image_size)
    tiny = [image for image in images if image.height < height or image.width < width]
    if tiny:
        least = min(image.short_side for image in tiny)
        yield inspection.finding(
            "tiny",
            "warning",
            f"{len(tiny)} of {len(images)} pictures have a side shorter than the crop of {size}, down to {least}: "
            "they are enlarged and blurred.",
            f"remove them, train smaller (data.image_size), and keep data.load_size at {size} or more, "
            "so that they are resized before the crop",
            [image.path for image in tiny],
        )
    by_side = sorted(images, key=lambda image: image.short_side)
    if images and by_side[-1].short_side > MAX_SIZE_RATIO * by_side[0].short_side:
        low, high = by_side[0], by_side[-1]
        yield inspection.finding(
            "varying-sizes",
            "warning",
            f"Shorter sides go from {low.short_side} to {high.short_side} pixels: resized to one size, some pictures "
            "are sharp and some are blurred, which a discriminator may go by.",
            "bring them to one size, or remove the smallest",
            [low.path, high.path],
        )
    by_aspect = sorted(images, key=lambda image: image.aspect)
    if images and by_aspect[-1].aspect > MAX_ASPECT_RATIO * by_aspect[0].aspect:
        narrow, wide = by_aspect[0], by_aspect[-1]
        yield inspection.finding(
            "varying-aspects",
            "warning",
            f"Width by height goes from {narrow.aspect:.2f} to {wide.aspect:.2f}: data.load_size gives all one "
            "shape, which distorts them differently.",
            "data.preprocess=scale_width_and_crop or crop keeps the shapes",
            [narrow.path, wide.path],
        )


def kind_findings(inspection: Inspection) -> Iterator[Finding]:
    """Yield findings about channels, bits and transparency that differ inside a domain or are lost."""
    for domain in "AB":
        images = inspection.domain(domain)
        grey = [image for image in images if image.grey and not image.blank]
        colourful = sum(not image.grey for image in images)
        padded = [image for image in grey if image.channels in (3, 4)]
        if grey and colourful:
            yield inspection.finding(
                "mixed-channels",
                "warning",
                f"{len(grey)} of {len(images)} pictures of domain {domain} are grey and {colourful} are not.",
                "remove them, or the generator learns to drop the colours now and then",
                [image.path for image in grey],
            )
        elif padded:
            yield inspection.finding(
                "grey-as-rgb",
                "note",
                f"All pictures of domain {domain} are grey; {len(padded)} of them are stored as colour.",
                "data.channels=1 saves memory and time, where the other domain is grey too",
                [image.path for image in padded],
            )
        deep = [image for image in images if image.deep]
        if deep:
            mixed = ", the others 8" if len(deep) < len(images) else ""
            yield inspection.finding(
                "mixed-bits" if mixed else "sixteen-bit",
                "warning",
                f"{len(deep)} of {len(images)} pictures of domain {domain} have {max(p.bits for p in deep)} bits per "
                f"channel{mixed}; their values go from {min(p.low for p in deep):g} to {max(p.high for p in deep):g}.",
                _keep_values(deep),
                [image.path for image in deep],
            )
        clear = [image for image in images if image.alpha]
        if clear:
            yield inspection.finding(
                "alpha",
                "warning",
                f"{len(clear)} of {len(images)} pictures of domain {domain} may be transparent.",
                "they are laid over white; give them the background you want",
                [image.path for image in clear],
            )
        yield from _odd_channels(inspection, domain, images)
        yield from _odd_images(inspection, domain, images)


def _keep_values(deep: Sequence[ImageFacts]) -> str:
    """Return what to set for pictures with more than 8 bits."""
    setting = _dtype_for(deep)
    if setting == UINT16:
        return f"set {setting}, which also reads the 8-bit ones; training refuses them otherwise"
    return f"set {setting}, or the part of that range that matters"


def _dtype_for(deep: Sequence[ImageFacts]) -> str:
    """Return the setting that keeps the values of pictures with more than 8 bits."""
    if all(image.bits == 16 and (image.mode == "uint16" or not image.is_array) for image in deep):
        return UINT16
    low, high = min(image.low for image in deep), max(image.high for image in deep)
    return f"data.dtype=float32 data.low={low:g} data.high={high:g}"


def _odd_channels(inspection: Inspection, domain: str, images: Sequence[ImageFacts]) -> Iterator[Finding]:
    """Yield a finding about arrays whose channels are not colours: training must be told their number."""
    odd = _without_colours(images)
    if not odd:
        return
    counts = Counter(image.channels for image in odd)
    wanted = {d: _usual_channels(inspection.domain(d)) for d in "AB"}
    one = wanted["A"] == wanted["B"]
    channels = f"data.channels={wanted[domain]}" if one else f"'data.channels={{A:{wanted['A']},B:{wanted['B']}}}'"
    deep = [image for image in odd if image.deep]
    settings = " ".join([channels, _dtype_for(deep)] if deep else [channels])
    yield inspection.finding(
        "channels",
        "warning",
        f"{len(odd)} of {len(images)} pictures of domain {domain} have {' or '.join(map(str, sorted(counts)))} "
        "channels, where training expects 1 or 3, and takes the last of 2 or 4 for transparency.",
        f"set {settings}" + ("" if len(odd) == len(images) and len(counts) == 1 else ", and remove the others"),
        [image.path for image in odd],
    )


def _without_colours(images: Sequence[ImageFacts]) -> list[ImageFacts]:
    return [image for image in images if image.is_array and image.channels not in (1, 3)]


def _usual_channels(images: Sequence[ImageFacts]) -> int:
    """Return the number that data.channels should be for a domain."""
    counts = Counter(image.channels for image in _without_colours(images))
    return counts.most_common(1)[0][0] if counts else 3


def _odd_images(inspection: Inspection, domain: str, images: Sequence[ImageFacts]) -> Iterator[Finding]:
    turned = [image for image in images if image.orientation != 1]
    if turned:
        yield inspection.finding(
            "turned",
            "note",
            f"{len(turned)} of {len(images)} pictures of domain {domain} are turned by their EXIF orientation.",
            "nothing: it is applied when they are read",
            [image.path for image in turned],
        )
    blank = [image for image in images if image.blank]
    if blank:
        yield inspection.finding(
            "blank",
            "warning",
            f"{len(blank)} of {len(images)} pictures of domain {domain} are one colour all over.",
            "remove them: there is nothing to learn from them",
            [image.path for image in blank],
        )


def pair_findings(inspection: Inspection) -> Iterator[Finding]:
    """Yield findings about pictures that occur twice: in a split, in training and in testing, in A and in B."""
    shown = inspection.shown
    groups: dict[tuple[str, str, str], list[Pair]] = defaultdict(list)
    for pair in inspection.pairs:
        if pair.split_a[-1] != pair.split_b[-1]:
            code = "shared"
        elif pair.split_a != pair.split_b:
            code = "leak"
        else:
            code = "exact-duplicates" if pair.kind == "exact" else "near-duplicates"
        groups[code, pair.split_a, pair.split_b].append(pair)
    for (code, a, b), pairs in sorted(groups.items()):
        kinds = Counter(pair.kind for pair in pairs)
        how = ", ".join(f"{kinds[kind]} {kind}" for kind in ("exact", "near", "mirrored") if kinds[kind])
        sentence, remedy = {
            "shared": (f"Domain A and domain B share pictures: {how} in {a} and {b}.", "remove them from one domain"),
            "leak": (f"Pictures of {a} are in {b} too: {how}; scores on them mean little.", f"remove them from {b}"),
            "exact-duplicates": (f"Pictures occur more than once in {a}: {how}.", "remove the copies"),
            "near-duplicates": (
                f"Pictures occur nearly alike in {a}: {how}.",
                "look at them (--sheet) and remove the copies, which count double in training",
            ),
        }[code]
        yield Finding(
            code,
            "warning" if code == "near-duplicates" else "problem",
            sentence,
            remedy,
            tuple(f"{shown(p.a.path)} = {shown(p.b.path)} ({p.kind})" for p in pairs[:MAX_FILES_SHOWN]),
            len(pairs),
        )
