"""The verb `gan-style bench`."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from gan_style.apps.bench import output
from gan_style.apps.bench.cell import judge_of
from gan_style.apps.bench.collect import collect, names_of, save_images
from gan_style.apps.bench.runner import Cell, Runner, alone_in, cells_of
from gan_style.apps.bench.runner import Progress as Standing
from gan_style.apps.bench.settings import (
    QUICK_MODELS,
    QUICK_TASKS,
    Protocol,
    Settings,
    all_models,
    begin_folder,
    check_rows,
    rows_of_models,
)
from gan_style.core.errors import UserError
from gan_style.core.machine import usable_cores
from gan_style.core.paths import expanded, resolved
from gan_style.core.progress import duration, progress_bars
from gan_style.core.terminal import say
from gan_style.data.scenes import TASKS
from gan_style.data.scenes.export import export


def bench(parsed: Namespace) -> None:
    """Train and score the rows of `parsed`, or export the tasks' pictures.

    Raises:
        UserError: a mistake in the command, a folder of other settings, or one that cannot be written.
        Interrupted: a signal; what is done is kept.
    """
    settings = settings_of(parsed)
    if parsed.export is not None:
        export_tasks(parsed.export, settings)
        return
    folder = resolved(parsed.out)
    config_dir = None if parsed.config_dir is None else str(parsed.config_dir)
    check_rows(settings, config_dir)
    with alone_in(folder):
        whole = begin_folder(folder, settings)
        cells = cells_of(settings, folder, config_dir, tuple(parsed.allow))
        each = f"{settings.protocol.iterations} iterations, {settings.jobs} at a time"
        say(f"bench: {len(cells)} trainings of {each}, into {folder}")
        _train(cells, settings.jobs)
        asked = {cell.folder for cell in cells}
        earlier = cells_of(whole, folder, config_dir, tuple(parsed.allow))
        table = collect(whole, [cell for cell in earlier if cell.folder in asked or cell.begun])
        written = output.write(table, folder)
    for task in whole.tasks:
        for sentence in output.verdict_lines(table, task):
            say(f"{task}: {sentence}")
    for row in table.rows:
        if row.failed:
            say(f"{row.task} {row.model} failed: {row.failed}")
    say(f"{written[-1]}, and {', '.join(path.name for path in written[:-1])} beside it")


def _train(cells: list[Cell], jobs: int) -> None:
    """Train what is left, with a line for each training that ends, and a bar on a terminal."""
    with progress_bars() as bar:
        line = bar.add_task("trainings", total=len(cells))

        def tell(standing: Standing) -> None:
            left = "" if standing.seconds_left is None else f", about {duration(standing.seconds_left)} left"
            if not bar.disable:  # else the line that follows says it
                bar.update(line, completed=standing.done)
            say(f"{standing.done} of {standing.total}  {standing.said}{left}", flush=True)

        Runner(cells, jobs, tell).run()


def settings_of(parsed: Namespace) -> Settings:
    """Return the settings that the command names; `--quick` shortens what it leaves open."""
    folders: dict[str, Path] = {}
    for one in parsed.folder:
        name, _, path = one.partition("=")
        if not (name and path):
            raise UserError(f"--folder {one}: give NAME=DIR, a name for the row and the folder of its translations")
        if name in folders:
            raise UserError(f"--folder {name} is given twice: give the rows different names")
        folders[name] = expanded(path)
    models = parsed.models
    if models is None:  # a folder is scored alone
        models = [] if folders or parsed.oracle else [*QUICK_MODELS] if parsed.quick else all_models()
    usual = Protocol(iterations=20, count=8, samples=4) if parsed.quick else Protocol()
    given = {key: value for key in ("size", "iterations", "count") if (value := getattr(parsed, key)) is not None}
    return Settings(
        tasks=tuple(dict.fromkeys(parsed.tasks or (QUICK_TASKS if parsed.quick else TASKS))),
        models=rows_of_models(models),
        seeds=parsed.seeds if parsed.seeds is not None else 1 if parsed.quick else 5,
        folders=folders,
        oracle=parsed.oracle,
        jobs=parsed.jobs if parsed.jobs is not None else usable_cores(),
        protocol=replace(usual, **given),
    )


def export_tasks(folder: Path, settings: Settings) -> None:
    """Write the tasks as folders of PNGs, and the pictures that a row's folder has to translate."""
    protocol = settings.protocol
    for task, written in zip(
        settings.tasks,
        export(folder, settings.tasks, size=protocol.size, seed=protocol.scene_seed, val_count=protocol.count),
        strict=True,
    ):
        judge = judge_of(task, protocol)
        save_images(written / "bench", names_of(judge), judge.inputs)
        say(f"{written}: train on trainA and trainB, translate bench/*.png into DIR/{task}, and add --folder NAME=DIR")
