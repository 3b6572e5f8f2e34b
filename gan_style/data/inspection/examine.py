"""Inspection of a whole set: every picture read once, every check run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

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
    pictures: Mapping[str, Sequence[Path]],
    root: Path,
    image_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Inspection, list[Finding]]:
    """Read every picture once and run all checks.

    Args:
        pictures: files by split (trainA, trainB, ...); splits may be missing.
        root: the folder that paths are shown relative to.
        image_size: side of the squares that training cuts.
        progress: called with (number read, number in all) after each picture.

    Returns: the facts and the findings, the worst first.
    """
    splits = gather(pictures, progress)
    inspection = Inspection(root, image_size, splits, find_pairs(splits))
    findings = chain.from_iterable(check(inspection) for check in CHECKS)
    return inspection, sorted(findings, key=lambda finding: list(SEVERITIES).index(finding.severity))
