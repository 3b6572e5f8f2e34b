"""Report of an inspection, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gan_style.core.paths import printable
from gan_style.core.sizes import stored
from gan_style.data.inspection.duplicates import Pair
from gan_style.data.inspection.facts import ImageFacts, Split
from gan_style.data.inspection.findings import Finding, Inspection, Severity

VERSION = 1  # of the JSON; grows when a key changes its meaning or is removed
SEVERITIES: dict[Severity, str] = {"problem": "red", "warning": "yellow", "note": "cyan"}


def print_page(console: Console, name: str, inspection: Inspection, findings: Sequence[Finding]) -> None:
    """Print a table of the splits, then the findings, the worst first."""
    table = Table(title=Text(printable(name)), box=box.SIMPLE)
    for column in ("split", "pictures", "unreadable", "sizes", "channels", "bits", "kinds"):
        table.add_column(column, no_wrap=column in ("split", "pictures", "unreadable", "sizes"))
    for split in inspection.splits.values():
        table.add_row(*_row(split))
    console.print(table)
    for finding in findings:
        head = Text(f"{finding.severity}: ", style=SEVERITIES[finding.severity])
        console.print(head.append(printable(finding.sentence), style="default"), soft_wrap=True)
        for file in finding.files:
            console.print(Text(f"    {printable(file)}", style="dim"), soft_wrap=True)
        if finding.count > len(finding.files) > 0:
            console.print(Text(f"    and {finding.count - len(finding.files)} more", style="dim"))
        console.print(Text(f"    -> {printable(finding.remedy)}"), soft_wrap=True)
    for sentence in inspection.ledger.sentences():
        console.print(
            Text("note: ", style=SEVERITIES["note"]).append(printable(sentence), style="default"), soft_wrap=True
        )
    counts = Counter(finding.severity for finding in findings)
    console.print(Text(", ".join(f"{counts[s]} {s}{'' if counts[s] == 1 else 's'}" for s in SEVERITIES)))


def _row(split: Split) -> tuple[str, ...]:
    images = split.images
    return (
        split.name,
        str(split.count),
        str(len(split.unreadable)),
        _sizes(images),
        _counted(f"{p.channels} ({p.mode})" if p.is_array else p.mode for p in images),
        _counted(image.bits for image in images),
        _counted(image.kind for image in images),
    )


def _sizes(images: Sequence[ImageFacts]) -> str:
    sizes = sorted({(image.width, image.height) for image in images}, key=lambda size: size[0] * size[1])
    return " to ".join(f"{width}x{height}" for width, height in dict.fromkeys(sizes[:1] + sizes[-1:]))


def _counted(values: Iterable[object]) -> str:
    counts = Counter(values)
    if len(counts) <= 1:
        return "".join(map(str, counts))
    return ", ".join(f"{value}: {count}" for value, count in counts.most_common())


def as_json(name: str, inspection: Inspection, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return everything that was found, with paths relative to the folder of the set.

    Keys: version, name, image_size, status, findings, splits (counts by name), duplicates, pictures, unreadable, files
    (entries of the ledger).
    """
    return {
        "version": VERSION,
        "name": name,
        "image_size": stored(inspection.image_size),
        "status": status_of(findings),
        "findings": [asdict(finding) | {"files": list(finding.files)} for finding in findings],
        "splits": {
            name: {"count": split.count, "readable": len(split.images), "unreadable": len(split.unreadable)}
            for name, split in inspection.splits.items()
        },
        "duplicates": [_pair(inspection, pair) for pair in inspection.pairs],
        "pictures": [
            {"split": split.name, **_facts(inspection, image)}
            for split in inspection.splits.values()
            for image in split.images
        ],
        "unreadable": [
            {"split": split.name, "path": inspection.shown(file.path), "reason": file.reason}
            for split in inspection.splits.values()
            for file in split.unreadable
        ],
        "files": inspection.ledger.as_json(),
    }


def status_of(findings: Iterable[Finding]) -> int:
    """Return exit status 1 if there is a problem, else 0."""
    return int(any(finding.severity == "problem" for finding in findings))


def _pair(inspection: Inspection, pair: Pair) -> dict[str, str]:
    a, b = inspection.shown(pair.a.path), inspection.shown(pair.b.path)
    return {"kind": pair.kind, "split_a": pair.split_a, "a": a, "split_b": pair.split_b, "b": b}


def _facts(inspection: Inspection, image: ImageFacts) -> dict[str, Any]:
    values = {item.name: getattr(image, item.name) for item in fields(image) if item.name not in ("thumbnail", "notes")}
    return values | {
        "path": inspection.shown(image.path),
        "mean": list(image.mean),
        "std": list(image.std),
        "hash": f"{image.hash:016x}",  # as text: JavaScript's numbers have fewer than 64 bits
        "blank": image.blank,
        "notes": [note.kind for note in image.notes],
    }
