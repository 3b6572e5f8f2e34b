"""The verb `gan-style bench`."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from gan_style.apps.bench import output
from gan_style.apps.bench.cell import judge_of
from gan_style.apps.bench.collect import collect, names_of, save_images
from gan_style.apps.bench.runner import Progress as Standing
from gan_style.apps.bench.runner import cells_of, run_all
from gan_style.apps.bench.settings import Protocol, Settings, all_models, begin_folder, rows_of_models
from gan_style.cli.progress import progress_bars
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
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
    folder: Path = parsed.out.resolve()
    begin_folder(folder, settings)
    config_dir = None if parsed.config_dir is None else str(parsed.config_dir)
    cells = cells_of(settings, folder, config_dir, tuple(parsed.allow))
    say(
        f"bench: {len(cells)} trainings of {settings.protocol.iterations} iterations, {settings.jobs} at a time, "
        f"into {parsed.out}"
    )
    with progress_bars() as bar:
        line = bar.add_task("trainings", total=len(cells))

        def tell(standing: Standing) -> None:
            left = "" if standing.seconds_left is None else f"about {_duration(standing.seconds_left)} left"
            bar.update(line, completed=standing.done)
            say(f"{standing.done} of {standing.total}  {standing.said}{f', {left}' if left else ''}", flush=True)

        run_all(folder, cells, settings.jobs, tell)
    table = collect(settings, cells)
    written = output.write(table, folder)
    for task in settings.tasks:
        for sentence in output.verdict_lines(table, task):
            say(f"{task}: {sentence}")
    for row in table.rows:
        if row.failed:
            say(f"{row.task} {row.model} failed: {row.failed}")
    say(f"{written[-1]}, and {', '.join(path.name for path in written[:-1])} beside it")


def settings_of(parsed: Namespace) -> Settings:
    """Return the settings that the command names."""
    folders: dict[str, Path] = {}
    for one in parsed.folder:
        name, _, path = one.partition("=")
        if not (name and path):
            raise UserError(f"--folder {one}: give NAME=DIR, a name for the row and the folder of its translations")
        if name in folders:
            raise UserError(f"--folder {name} is given twice: give the rows different names")
        folders[name] = expanded(path)
    settings = Settings(
        tasks=tuple(dict.fromkeys(parsed.tasks or TASKS)),
        models=rows_of_models(all_models() if parsed.models is None else parsed.models),
        seeds=parsed.seeds,
        folders=folders,
        oracle=parsed.oracle,
        jobs=parsed.jobs or max(1, os.cpu_count() or 1),
        protocol=Protocol(size=parsed.size, iterations=parsed.iterations, count=parsed.count),
    )
    return settings.quick() if parsed.quick else settings


def export_tasks(folder: Path, settings: Settings) -> None:
    """Write the tasks as folders of PNGs, and the pictures that a row's folder has to translate."""
    protocol = settings.protocol
    for task, written in zip(
        settings.tasks,
        export(folder, settings.tasks, size=protocol.size, seed=protocol.scene_seed, val_count=protocol.count),
        strict=True,
    ):
        judge = judge_of(task, replace(protocol))
        save_images(written / "bench", names_of(judge), judge.inputs)
        say(f"{written}: train on trainA and trainB, translate bench/*.png into DIR/{task}, and add --folder NAME=DIR")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
