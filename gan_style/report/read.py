"""Reading a run folder, with every piece optional."""

import contextlib
import csv
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_style.core.paths import resolved
from gan_style.report.plain import from_json, from_yaml

# Beyond it the difference of two values may overflow; no loss that means anything is there.
_HUGE = 1e300
_FILES = ("config.yaml", "metrics.csv", "scores.json", "run.json")
# Bytes that are read; ours have far less, and a stranger's are not to fill the memory.
_MOST = {"metrics.csv": 500_000_000}
_MOST_OF_OTHERS = 20_000_000
_IMAGE = re.compile(r"iteration-(\d+)\.png")


@dataclass(frozen=True)
class Series:
    """Column of the metrics file, without its empty cells.

    Attributes:
        name: The column's name.
        x: The iterations, ascending.
        y: The values at those iterations.
        lost: How many values were left out because they were not finite.
    """

    name: str
    x: list[float]
    y: list[float]
    lost: int = 0


@dataclass(frozen=True)
class Run:
    """Content of a run folder.

    Attributes:
        folder: The folder's own name.
        settings: The configuration by full key, such as ``model.lambda_cycle``; empty where there is none.
        config_text: The configuration file as it stands.
        metrics: One series per column that has values.
        scores: The content of ``scores.json``.
        record: The content of ``run.json``.
        images: Iteration and path of every picture grid, ascending.
        findings: The rows of ``findings.jsonl``.
        problems: Sentences by file name, for files that are there but cannot be read.
    """

    folder: str
    settings: dict[str, Any] = field(default_factory=dict)
    config_text: str = ""
    metrics: list[Series] = field(default_factory=list)
    scores: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    images: list[tuple[int, Path]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def as_number(value: object) -> float | None:
    """Return a value as a float, or None where it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def as_mapping(value: object) -> dict[str, Any]:
    """Return a mapping with text keys, empty where the value is not a mapping."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def at(series: Series, iteration: float) -> float | None:
    """Return the newest value up to an iteration, None where there is none."""
    return next((y for x, y in zip(reversed(series.x), reversed(series.y), strict=True) if x <= iteration), None)


def is_run(folder: Path) -> bool:
    """Check whether a folder holds any file of a run."""
    return any((folder / name).is_file() for name in _FILES) or bool(_images(folder / "images"))


def find_runs(folder: Path) -> list[Path]:
    """Return the runs in and below a folder, sorted; a run is not searched for further ones."""
    if is_run(folder):
        return [folder]
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    return [run for path in below for run in find_runs(path)]


def read_run(run_dir: Path) -> Run:
    """Read the files that exist in a run folder."""
    problems: dict[str, str] = {}
    texts = {name: _text(run_dir / name, problems) for name in ("config.yaml", "metrics.csv")}
    return Run(
        folder=resolved(run_dir).name,
        settings=_parsed("config.yaml", texts["config.yaml"], from_yaml, problems),
        config_text=texts["config.yaml"],
        metrics=_metrics(texts["metrics.csv"], problems),
        scores=_json(run_dir / "scores.json", problems),
        record=_json(run_dir / "run.json", problems),
        images=_images(run_dir / "images"),
        findings=_findings(_text(run_dir / "findings.jsonl", problems)),
        problems=problems,
    )


def _text(path: Path, problems: dict[str, str]) -> str:
    if not path.is_file():
        return ""
    try:
        most = _MOST.get(path.name, _MOST_OF_OTHERS)
        if path.stat().st_size > most:
            problems[path.name] = f"{path.name} cannot be read: it has more than {most / 1e6:.0f} MB."
            return ""
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        problems[path.name] = f"{path.name} cannot be read: {error.strerror}."
        return ""


def _json(path: Path, problems: dict[str, str]) -> dict[str, Any]:
    return _parsed(path.name, _text(path, problems), lambda text: as_mapping(from_json(text)), problems)


def _findings(text: str) -> list[dict[str, Any]]:
    rows = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):  # half a line that a power cut left
            rows.append(as_mapping(from_json(line)))
    return rows


def _parsed(name: str, text: str, read: Callable[[str], dict[str, Any]], problems: dict[str, str]) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        return read(text)
    except ValueError as error:
        problems[name] = f"{name} cannot be read: {str(error).rstrip('.')}."
        return {}


def _images(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    found = [(_IMAGE.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted((int(match.group(1)), path) for match, path in found if match)


def _cell(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _metrics(text: str, problems: dict[str, str]) -> list[Series]:
    try:
        # A NUL byte is what a crash leaves at the end of a file, and csv refuses it.
        rows = list(csv.reader(text.replace("\0", "").splitlines()))
    except csv.Error as error:
        problems["metrics.csv"] = f"metrics.csv cannot be read: {error}."
        return []
    if not rows:
        return []
    header, body = rows[0], rows[1:]
    at = header.index("iteration") if "iteration" in header else None
    # A resumed run repeats iterations: the later row counts.
    columns: dict[str, dict[float, float]] = {name: {} for name in header if name and name != "iteration"}
    for number, row in enumerate(body, start=1):
        x = float(number) if at is None else _cell(row[at] if at < len(row) else None)
        if x is None or not abs(x) < _HUGE:
            continue
        for name, cell in zip(header, row, strict=False):
            value = _cell(cell) if name in columns else None
            if value is not None:
                columns[name][x] = value
    return [_series(name, values) for name, values in columns.items() if values]


def _series(name: str, values: dict[float, float]) -> Series:
    points = sorted((x, y) for x, y in values.items() if abs(y) < _HUGE)
    return Series(name, [x for x, _ in points], [y for _, y in points], lost=len(values) - len(points))
