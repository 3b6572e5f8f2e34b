"""The verb `gan-style table`: every checkpoint of a run or a sweep, scored in one table."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gan_style.core.errors import UserError
from gan_style.core.sizes import Size, height_width, sized
from gan_style.core.terminal import answer, say, warn
from gan_style.core.types import Count, CountOrNone

CELL = 128  # pixels that a picture on a sheet has at least


@dataclass
class Settings:
    """Keys of the command; `gan-style table --help` says what each does."""

    data: str
    runs: str | None = None
    folders: list[str] = field(default_factory=list)
    folders_B2A: list[str] = field(default_factory=list)
    out: str | None = None
    extractor: str = "random"
    weights: str | None = None
    vgg: str | None = None
    dino: str | None = None
    device: str | None = None
    draws: CountOrNone = 200
    limit: Count | None = None
    pictures: CountOrNone = 6
    size: Count | None = None
    no_cache: bool = False
    allow: list[str] = field(default_factory=list)
    force: bool = False


def table(parsed: Namespace) -> None:
    """Score all, and write the tables and pictures.

    Raises:
        UserError: a mistake in the command; at the end, that some could not be scored.
    """
    run(read(parsed.words, parsed.allow))


def read(words: Sequence[str], allow: Sequence[str] = ()) -> Settings:
    """Read the settings of a command line.

    Raises:
        UserError: an unknown key, a wrong value, or nothing to score.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gan_style.core.config import check_signature

    for word in words:
        if "=" not in word:
            raise UserError(f"{word} cannot be read: every word is key=value")
    try:
        given: Any = OmegaConf.to_container(OmegaConf.from_dotlist([*words]))
    except (OmegaConfBaseException, ValueError) as error:
        raise UserError(f"the command cannot be read: {' '.join(str(error).split())}") from error
    if "allow" in given:
        raise UserError("allow= is an option here: --allow mylab.")
    settings = Settings(**check_signature(Settings, given, given=()), allow=[*allow])
    if not (settings.runs or settings.folders or settings.folders_B2A):
        raise UserError("there is nothing to score: add runs=DIR, or folders=[DIR] of pictures")
    if not (settings.runs or settings.size):
        raise UserError("without a checkpoint the side of the pictures is not known: add size=N")
    return settings


def run(settings: Settings) -> None:
    """Score all, write what is asked for, and say what could not be scored."""
    from rich.markup import escape

    from gan_style.cli.evaluate import judging, notes, write_json
    from gan_style.cli.progress import progress_bars
    from gan_style.core.paths import expanded, printable
    from gan_style.evaluation.distances import other_protocol, refuse_other_protocol
    from gan_style.evaluation.result_table import terminal
    from gan_style.evaluation.scoring import judge_of
    from gan_style.evaluation.sets import open_set

    found = checkpoints(expanded(settings.runs)) if settings.runs else {}
    base = expanded(settings.runs) if settings.runs else Path(".")
    out = expanded(settings.out) if settings.out else (base if base.is_dir() else base.parent) / "evaluation"
    results: dict[str, Any] = {}
    shown: dict[str, Any] = {}
    failed: list[str] = []
    with progress_bars() as bar:
        whole, images = bar.add_task("checkpoints", total=None), bar.add_task("pictures", total=None)
        options = judging(settings, lambda: bar.advance(images))
        judge = judge_of(open_set(settings.data, settings.limit), **options)

        def of_folder(path: Path, direction: str) -> Any:
            return judge.folder(path, direction, size_of(settings, results))  # known once a checkpoint is scored

        jobs: dict[str, Callable[[], Any]] = {name: partial(judge.checkpoint, path) for name, path in found.items()}
        for direction, folders in (("A2B", settings.folders), ("B2A", settings.folders_B2A)):
            for name, path in labelled(folders).items():
                label = name if name not in jobs else f"{name} {direction}"
                jobs[label] = partial(of_folder, path, direction)
        bar.update(whole, total=len(jobs))
        for name, job in jobs.items():
            bar.update(whole, description=escape(printable(name)))  # which may look like markup of Rich
            try:
                results[name] = job()
                shown[name] = first_images(judge, settings.pictures)
                write_json(out / "scores.json", results)  # nothing is lost if the rest is interrupted
            except UserError as error:
                failed.append(f"{name}: {error}")
            bar.advance(whole)
    if results:
        for line in terminal(results).splitlines():
            answer(line)
        for note in notes(results):
            say(f"warning: {note}")
        say(out / "scores.json")
        refuse_other_protocol(results, settings.force)
        if other := other_protocol(results):
            say(f"warning: {other}")
        write_all(out, results, shown, judge, settings.pictures)
    for sentence in failed:
        warn(f"gan_style: {sentence}")
    if failed:
        raise UserError(f"{len(failed)} of {len(jobs)} could not be scored, see above; the others are in {out}")


def checkpoints(runs: Path) -> dict[str, Path]:
    """Every checkpoint below a folder, by its place there; one file of two names, such as best and last, once.

    Raises:
        UserError: there is none.
    """
    if runs.is_file():
        return {runs.stem: runs}
    if not runs.is_dir():
        raise UserError(f"there is no folder {runs}: name a run, a folder of runs or a checkpoint with runs=DIR")
    names: dict[tuple[int, int], list[str]] = {}
    paths: dict[tuple[int, int], Path] = {}
    for path in sorted(runs.rglob("*.ckpt")):
        within = [part for part in path.relative_to(runs).parts[:-1] if part != "checkpoints"]
        if not path.name.startswith(".") and path.is_file():
            file = (path.stat().st_dev, path.stat().st_ino)
            paths.setdefault(file, path)
            names.setdefault(file, []).append("/".join([*within, path.stem]))
    if not paths:
        raise UserError(f"{runs} holds no checkpoint (*.ckpt): name a run folder or a folder of runs")
    return {" = ".join(names[file]): path for file, path in paths.items()}


def labelled(folders: Sequence[str]) -> dict[str, Path]:
    """Folders by the shortest ends of their paths that tell them apart."""
    from gan_style.core.paths import expanded

    paths = list(dict.fromkeys(Path(os.path.abspath(expanded(folder))) for folder in folders))
    for length in range(1, max((len(path.parts) for path in paths), default=0) + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len({*names}) == len(names):
            return dict(zip(names, paths, strict=True))
    return {}


def size_of(settings: Settings, results: dict[str, Any]) -> Size:
    """Return the side of the pictures in a folder: as it was given, or as the checkpoints have it."""
    if settings.size is not None:
        return settings.size
    if not results:
        raise UserError("no checkpoint says the side of the pictures: add size=N")
    return sized("picture_size", next(iter(results.values()))["protocol"]["picture_size"])


def first_images(judge: Any, count: int) -> dict[str, dict[int, Any]]:
    """Direction -> number of an input -> what was made of it, of the first inputs."""
    from gan_style.data.images import to_uint8

    return {
        direction: {i: to_uint8(fake) for i, fake in zip(made.indices, made.images["fakes"], strict=False) if i < count}
        for direction, made in judge.made.items()
    }


def write_all(out: Path, results: dict[str, Any], shown: dict[str, Any], judge: Any, count: int) -> None:
    """Write the tables, the plot, and a sheet per direction: inputs down, what was made of them across."""
    from PIL import Image

    from gan_style.cli.evaluate import write
    from gan_style.data.contact_sheet import draw_sheet
    from gan_style.data.images import to_uint8
    from gan_style.data.saving import save_image
    from gan_style.evaluation.plot import plot
    from gan_style.evaluation.result_table import directions, latex, markdown

    write(out / "table.md", markdown(results))
    write(out / "table.tex", latex(results))
    write(out / "plot.svg", plot(results))
    names = ["scores.json", "table.md", "table.tex", "plot.svg"]
    size = sized("picture_size", next(iter(results.values()))["protocol"]["picture_size"])
    for direction in directions(results):
        columns = {name: made[direction] for name, made in shown.items() if made.get(direction)}
        truth = f"truth{direction[-1]}"
        if judge.data.has(truth):
            columns = {"truth": dict(enumerate(map(to_uint8, judge.data.images(truth, size)[:count]))), **columns}
        rows = []
        for i, source in enumerate(judge.data.images(f"test{direction[0]}", size)[:count]):
            arrays = [column.get(i) for column in columns.values()]
            made = [None if array is None else enlarged(Image.fromarray(array)) for array in arrays]
            rows.append((enlarged(Image.fromarray(to_uint8(source))), made))
        if rows:
            names.append(f"sheet-{direction}.png")
            save_image(draw_sheet(rows, list(columns), [], cell=max(*height_width(size), CELL)), out / names[-1])
    for name in names[1:]:
        say(out / name)


def enlarged(image: Any) -> Any:
    """Enlarge a small picture by whole pixels, so that it fills its place on a sheet."""
    factor = max(1, CELL // image.width)
    return image.resize((factor * image.width, factor * image.height), 0)
