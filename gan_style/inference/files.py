"""Names of input and output files: the folder tree is kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gan_style.core.errors import UserError
from gan_style.data.images import SUFFIXES, list_images
from gan_style.data.saving import check_output, holding
from gan_style.data.values import ValueRange


def inputs_and_outputs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """List the pictures to read, each with the path to write."""
    if source.is_dir():
        if target.suffix.lower() in SUFFIXES and not target.is_dir():
            raise UserError(f"{source} is a folder, so the output must be one too, not {target}")
        return [(path, target / path.relative_to(source)) for path in list_images(source)]
    if not source.is_file():
        raise UserError(f"there is no file or folder {source}")
    inside = target / source.name if target.is_dir() or not target.suffix else target
    check_output(inside)
    return [(source, inside)]


def renamed(pairs: list[tuple[Path, Path]], written: ValueRange) -> list[tuple[Path, Path]]:
    """Replace suffixes that cannot hold the outputs; outputs that would then collide keep their old suffix as well."""
    outputs = [holding(result, written.dtype, written.channels) for _, result in pairs]
    counts = Counter(outputs)
    return [
        (path, result.with_name(result.name + new.suffix) if counts[new] > 1 and new != result else new)
        for (path, result), new in zip(pairs, outputs, strict=True)
    ]
