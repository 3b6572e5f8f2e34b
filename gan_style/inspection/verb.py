"""`gan-style inspect NAME_OR_DIR`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gan_style.data.layout import all_parts, find_set
from gan_style.data.saving import save_image
from gan_style.errors import UserError
from gan_style.inspection.advice import colour_findings, count_findings, setting_findings
from gan_style.inspection.contact import draw_contact_sheet
from gan_style.inspection.duplicates import find_pairs
from gan_style.inspection.facts import gather
from gan_style.inspection.findings import (
    Finding,
    Inspection,
    file_findings,
    kind_findings,
    pair_findings,
    size_findings,
)
from gan_style.inspection.page import SEVERITIES, as_json, print_page, status_of
from gan_style.paths import write_whole

CHECKS = (
    file_findings,
    pair_findings,
    size_findings,
    kind_findings,
    count_findings,
    colour_findings,
    setting_findings,
)


def inspect(name: str, *, out: Path | None, sheet: Path | None, image_size: int) -> int:
    """Inspects a set, prints what it found and writes the files that were asked for.

    Returns: 1 where there is a problem, else 0.
    """
    if image_size < 1:
        raise UserError(f"--image-size {image_size} is no size: give the side of the crop in pixels, such as 256")
    for path, suffix in ((out, ".json"), (sheet, ".png")):
        if path is not None and path.suffix.lower() != suffix:
            raise UserError(f"{path} should end in {suffix}")
    root = _folder(name)
    files = all_parts(root)
    console = Console()
    with Progress(
        TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
    ) as bar:
        task = bar.add_task("", total=None)
        inspection, findings = examine(
            files, root, image_size, lambda done, total: bar.update(task, completed=done, total=total)
        )
    print_page(console, name, inspection, findings)
    if out is not None:
        _write(out, json.dumps(as_json(name, inspection, findings), indent=1, allow_nan=False))
    if sheet is not None:
        save_image(draw_contact_sheet(inspection), sheet)
    return status_of(findings)


def examine(
    pictures: Mapping[str, Sequence[Path]],
    root: Path,
    image_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Inspection, list[Finding]]:
    """Reads every picture once and looks for everything.

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


def _folder(name: str) -> Path:
    """The folder of a set of pictures.

    Raises:
        UserError: If there is none, or it holds shards.
    """
    root = find_set(name)
    if any(root.glob("*.tar")) and not any(path.is_dir() for path in root.iterdir()):
        raise UserError(
            f"{root} holds shards, but inspect takes folders of pictures: name the folder that they were made of "
            "(training reads shards with data=shards)"
        )
    return root


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): check the disk and its rights.") from error
