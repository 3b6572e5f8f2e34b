"""Inspection of a whole set: every picture read once, every check run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from gan_style.core.errors import UserError
from gan_style.core.sizes import Size, sized
from gan_style.data.inspection.advice import colour_findings, count_findings, setting_findings
from gan_style.data.inspection.duplicates import find_pairs
from gan_style.data.inspection.facts import gather
from gan_style.data.inspection.findings import (
    Finding,
    Inspection,
    file_findings,
    kind_findings,
    pair_findings,
    size_findings,
)
from gan_style.data.inspection.page import SEVERITIES
from gan_style.data.layout import Layout, all_parts, find_set
from gan_style.data.ledger import Ledger

CHECKS = (
    file_findings,
    pair_findings,
    size_findings,
    kind_findings,
    count_findings,
    colour_findings,
    setting_findings,
)


def examine(
    images: Mapping[str, Sequence[Path]],
    root: Path,
    image_size: Size = 256,
    progress: Callable[[int, int], None] | None = None,
    ledger: Ledger | None = None,
) -> tuple[Inspection, list[Finding]]:
    """Read every picture once and run all checks.

    Args:
        images: files by split (trainA, trainB, ...); splits may be missing.
        root: the folder that paths are shown relative to.
        image_size: of the crops that training cuts: a square's side, or height and width.
        progress: called with (number read, number in all) after each picture.
        ledger: what listing the files left out.

    Returns: the facts and the findings, the worst first.
    """
    splits = gather(images, progress)
    inspection = Inspection(root, image_size, splits, find_pairs(splits), ledger or Ledger())
    for split in splits.values():
        for image in split.images:
            inspection.ledger.add(image.path, image.notes)
    findings = chain.from_iterable(check(inspection) for check in CHECKS)
    return inspection, sorted(findings, key=lambda finding: list(SEVERITIES).index(finding.severity))


def inspect(
    data: str | Path, *, image_size: Size = 256, progress: Callable[[int, int], None] | None = None
) -> tuple[Inspection, list[Finding]]:
    """Say what is in a set of pictures, and what is wrong with it.

    Args:
        data: a named set below data/, or a folder of pictures.
        image_size: of the crops that training cuts, in pixels: a square's side, or height and width.
        progress: called with (number read, number in all) after each picture.

    Returns: the facts and the findings, the worst first; a finding has a severity, a sentence, files and a remedy.

    Raises:
        UserError: there is no such set, or it holds shards.
    """
    size = sized("image_size", image_size)
    root, layout = found(data)
    return examine(layout.parts, root, size, progress, layout.ledger)


def found(data: str | Path) -> tuple[Path, Layout]:
    """Find the folder of a set of pictures, and its files by split.

    Raises:
        UserError: there is none, or it holds shards.
    """
    root = find_set(str(data))
    if any(root.glob("*.tar")) and not any(path.is_dir() for path in root.iterdir()):
        raise UserError(
            f"{root} holds shards, but inspect takes folders of pictures: name the folder that they were made of "
            "(training reads shards with data=shards)"
        )
    return root, all_parts(root)
