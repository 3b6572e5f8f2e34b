"""Table of a benchmark, from what its trainings and folders left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from gan_style.apps.bench.cell import MADE, judge_of
from gan_style.apps.bench.runner import FAILED, Cell
from gan_style.apps.bench.settings import ORACLE, PLANTED, RESULT, Settings
from gan_style.apps.bench.verdicts import Verdict, verdicts
from gan_style.core.errors import UserError
from gan_style.core.paths import why
from gan_style.core.terminal import warn
from gan_style.core.version import __version__
from gan_style.data.images import list_images, read_image, survey
from gan_style.data.ledger import Ledger
from gan_style.evaluation.drawn import DrawnJudge
from gan_style.metrics.table import NAMED, goodness

Images = NDArray[np.uint8]  # [N, H, W, 3]
ROUNDS = 2000  # of the bootstrap over trainings and pictures
SHOWN = 6  # scenes on the page


@dataclass
class Row:
    """Row of the table: one model, folder or baseline on one task.

    Attributes:
        task, model: what was scored.
        seeds: of its trainings; none for a row without.
        scores: name -> value, low, high, ceiling, floor.
        seconds: of CPU, training and translation, mean over the trainings; None where nothing was trained.
        peak_GB: of memory, the most of them.
        failed: why there is no score.
        images: translations of the first scenes, for the page.
        runs: name of a score -> its value in each training.
    """

    task: str
    model: str
    seeds: list[int] = field(default_factory=list)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float | None = None
    peak_GB: float | None = None
    failed: str | None = None
    images: Images | None = None
    runs: dict[str, list[float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the entry of bench.json."""
        keys = ("task", "model", "seeds", "scores", "seconds", "peak_GB", "failed")
        return {key: getattr(self, key) for key in keys} | {"runs": self.runs}


@dataclass
class Table:
    """Whole table.

    Attributes:
        protocol: settings and versions.
        rows: by task, in the order of the settings.
        verdicts: of every two rows with trainings.
        scenes: task -> input and truth of the first scenes, for the page.
    """

    protocol: dict[str, Any]
    rows: list[Row]
    verdicts: list[Verdict]
    scenes: dict[str, tuple[Images, Images]]

    def as_dict(self) -> dict[str, Any]:
        """Return the content of bench.json."""
        return {
            "protocol": self.protocol,
            "rows": [row.as_dict() for row in self.rows],
            "verdicts": [verdict.as_dict() for verdict in self.verdicts],
        }


def collect(settings: Settings, cells: Sequence[Cell]) -> Table:
    """Score what needs no training, read the rest, and compare."""
    rows: list[Row] = []
    said: list[Verdict] = []
    scenes = {}
    for task in settings.tasks:
        judge = judge_of(task, settings.protocol)
        scenes[task] = judge.inputs[:SHOWN], judge.truths[:SHOWN, 0]
        of_task = [_scored(task, name, judge.rows[name], judge) for name in PLANTED]
        of_task += [_of_folder(task, name, folder, judge) for name, folder in settings.folders.items()]
        trained: dict[str, list[Cell]] = {}
        for cell in cells:
            if cell.spec.task == task:
                trained.setdefault(cell.spec.model, []).append(cell)
        of_task += [_of_cells(task, model, some, judge) for model, some in trained.items()]
        for row in of_task:
            _leave_out_what_is_no_number(row)
        rows += of_task
        said += verdicts(task, {row.model: row.runs for row in of_task if len(row.seeds) > 1 and row.runs})
    versions = {"gan_style": __version__, "torch": str(torch.__version__)}
    stated = {
        "direction": "A2B",
        "checkpoint": "the last iteration, averaged weights where the row has them",
        "interval": "95%, bootstrap over trainings and pictures",
    }
    return Table(asdict(settings.protocol) | stated | {"versions": versions}, rows, said, scenes)


def _scored(task: str, name: str, images: Images, judge: DrawnJudge) -> Row:
    scores = judge.scores(images)
    return Row(task, name, scores=scores, images=images[:SHOWN])


def _of_folder(task: str, name: str, folder: Path, judge: DrawnJudge) -> Row:
    """Score a folder with a translation of each test picture, TASK/NAME.png, or say what is wrong with it."""
    try:
        return _scored(task, name, read_folder(folder / task, judge), judge)
    except UserError as error:
        return Row(task, name, failed=str(error))


def names_of(judge: DrawnJudge) -> list[str]:
    """Return the names of the test pictures, as they are exported and as translations are to be named."""
    return [f"{index:07d}" for index in judge.indices]


def read_folder(folder: Path, judge: DrawnJudge) -> Images:
    """Read the translations of the test pictures.

    Raises:
        UserError: a picture is missing, there is one too many, or one is of another size.
    """
    wanted = names_of(judge)
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist: give translations of the exported bench/*.png by the same names")
    ledger = Ledger()
    paths = list_images(folder, ledger)
    survey(paths, ledger)
    for sentence in ledger.sentences():
        warn(f"note: {sentence}")
    found = {path.stem: path for path in paths}
    if len(found) < len(paths):
        raise UserError(f"{folder} has two pictures of one name: leave one of each")
    if missing := [name for name in wanted if name not in found]:
        raise UserError(f"{folder} lacks {len(missing)} of {len(wanted)} pictures, {missing[0]}.png first")
    if extra := sorted(found.keys() - set(wanted)):
        raise UserError(f"{folder} has {len(extra)} pictures that are no test pictures, {found[extra[0]].name} first")
    images = [read_image(found[name]) for name in wanted]
    for name, image in zip(wanted, images, strict=True):
        if image.shape != judge.inputs.shape[1:]:
            raise UserError(f"{found[name]} is {image.shape[1]}x{image.shape[0]}, not {judge.size}x{judge.size}")
    return np.stack(images)


def _of_cells(task: str, model: str, cells: Sequence[Cell], judge: DrawnJudge) -> Row:
    """Put the trainings of a row together."""
    done = [json.loads((cell.folder / RESULT).read_text(encoding="utf-8")) for cell in cells if cell.done]
    if not done:
        return Row(task, model, failed=_reason(cells))
    made = [_read_made(cell.folder / MADE) for cell in cells if cell.done]
    row = Row(task, model, seeds=[result["seed"] for result in done], images=made[0][:SHOWN])
    row.runs = {name: [result["scores"][name]["value"] for result in done] for name in done[0]["scores"]}
    for name, values in row.runs.items():
        entry = done[0]["scores"][name]
        low, high = _interval(name, done)
        ends = {key: entry[key] for key in ("ceiling", "floor")}
        row.scores[name] = {"value": float(np.mean(values)), "low": low, "high": high} | ends
    if len(made) > 1 and "spread" not in row.scores:  # without noise: what other trainings paint of one input
        row.scores |= judge.spread(np.stack(made, axis=1))
    seconds = [result["seconds"] for result in done if result["seconds"] is not None]
    row.seconds = float(np.mean(seconds)) if seconds else None
    row.peak_GB = max(result["peak_GB"] for result in done)
    if len(done) < len(cells):
        row.failed = f"{len(cells) - len(done)} of {len(cells)} trainings: {_reason(cells)}"
    return row


def _leave_out_what_is_no_number(row: Row) -> None:
    """Drop scores that are NaN or infinite, which JSON and tables cannot hold, and say so in the row."""
    broken = [name for name, entry in row.scores.items() if not all(map(np.isfinite, _numbers(entry)))]
    for name in broken:
        del row.scores[name]
        row.runs.pop(name, None)
    if broken:
        said = f"{', '.join(broken)}: no finite number"
        row.failed = f"{row.failed}; {said}" if row.failed else said


def _numbers(entry: Mapping[str, Any]) -> list[float]:
    return [x for x in entry.values() if isinstance(x, float)]


def _read_made(path: Path) -> Images:
    with np.load(path, allow_pickle=False) as file:
        images: Images = file["images"]
    return images


def _reason(cells: Sequence[Cell]) -> str:
    for cell in cells:
        file = cell.folder / FAILED
        if file.is_file():
            return str(json.loads(file.read_text(encoding="utf-8"))["reason"])
    return "not trained yet"


def _interval(name: str, results: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return the 95% interval of a mean over trainings: of both trainings and pictures, where each has its number."""
    if len(results) == 1:
        entry = results[0]["scores"][name]
        return float(entry["low"]), float(entry["high"])
    random = np.random.default_rng(0)
    pictures = [result["values"].get(name) for result in results]
    if all(values is not None for values in pictures) and name != "label_iou":
        table = np.array(pictures, dtype=float)  # [trainings, pictures]
        runs, shown = table.shape
        chosen = random.integers(runs, size=(ROUNDS, runs))
        of = random.integers(shown, size=(ROUNDS, shown))
        drawn = np.array([table[np.ix_(a, b)].mean() for a, b in zip(chosen, of, strict=True)])
    else:
        values = np.array([result["scores"][name]["value"] for result in results])
        drawn = random.choice(values, size=(ROUNDS, len(values))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def best_of(rows: Sequence[Row], score: str) -> set[str]:
    """Return the models with the best value of a score among rows of one task that are trained or folders."""
    own = [row for row in rows if row.model not in (*PLANTED, ORACLE) and score in row.scores]
    if not own or score not in NAMED:
        return set()
    good = {row.model: goodness(NAMED[score].better, row.scores[score]["value"]) for row in own}
    top = max(good.values())
    return {model for model, value in good.items() if value == top}


def save_images(folder: Path, names: Sequence[str], images: Images) -> None:
    """Write pictures as NAME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, images, strict=True):
        try:
            Image.fromarray(image).save(folder / f"{name}.png")
        except OSError as error:
            raise UserError(f"{folder / name}.png cannot be written: {why(error)}") from error
