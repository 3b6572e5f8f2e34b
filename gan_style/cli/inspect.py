"""`gan-style inspect NAME_OR_DIR`."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from gan_style.cli.progress import progress_bars
from gan_style.core.errors import UserError
from gan_style.core.paths import write_whole
from gan_style.core.sizes import sized
from gan_style.data.inspection.contact import draw_contact_sheet
from gan_style.data.inspection.examine import examine, found
from gan_style.data.inspection.page import as_json, print_page, status_of
from gan_style.data.saving import save_image


def inspect(name: str, *, out: Path | None, sheet: Path | None, image_size: str) -> int:
    """Inspect a set, print what was found and write the files that were asked for.

    Returns: 1 where there is a problem, else 0.
    """
    size = sized("--image-size", image_size)
    for path, suffix in ((out, ".json"), (sheet, ".png")):
        if path is not None and path.suffix.lower() != suffix:
            raise UserError(f"{path} should end in {suffix}")
    root, layout = found(name)  # before the bar, which leaves an empty line
    console = Console()
    columns = TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with progress_bars(*columns) as bar:
        task = bar.add_task("", total=None)
        inspection, findings = examine(
            layout.parts,
            root,
            size,
            lambda done, total: bar.update(task, completed=done, total=total),
            layout.ledger,
        )
    print_page(console, name, inspection, findings)
    if out is not None:
        _write(out, json.dumps(as_json(name, inspection, findings), indent=1, allow_nan=False))
    if sheet is not None:
        save_image(draw_contact_sheet(inspection), sheet)
    return status_of(findings)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): check the disk and its rights.") from error
