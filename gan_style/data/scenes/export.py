"""Export of drawn tasks as folders of PNGs, so that any other code can be trained on them and scored."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.core.paths import cannot_use
from gan_style.core.version import __version__
from gan_style.data.scenes.frame import check_size
from gan_style.data.scenes.photo import MATERIALS
from gan_style.data.scenes.tasks import PARTS, TASKS, Part, Scene, Task, find_task, starts_of

PROTOCOL = "protocol.json"
FORMAT = 1  # of the folder; higher when another version draws other pictures or writes other files
COLOURS = ("light blue", "violet", "blue", "yellow green", "dark green")  # for whoever shows labels to people

README = """{title}
{text}

trainA trainB testA testB   pictures of A ({A}s) and of B ({B}s); no two show one scene
truthB/NAME/0.png ...       what testA/NAME.png should become{many_B}
truthA/NAME/0.png ...       what testB/NAME.png should become{many_A}
labels/PART/NAME.png        the material of each pixel, as a number in one grey channel; a truth has the labels of
                            labels/truthB or labels/truthA, all its samples the same:
{legend}
objects.json                the trees that can be seen in a picture or truth, far to near: box (right and bottom are
                            exclusive) and number of visible pixels
protocol.json               the settings of this folder

Train on trainA and trainB alone. Made by gan_style {version}; the pictures are nobody's, so use them as you like.
"""


def export(
    folder: Path,
    tasks: Sequence[str | Task],
    *,
    size: int,
    seed: int = 0,
    count: int | None = None,
    val_count: int = 32,
    truths: int = 8,
    progress: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Write drawn tasks as folders of PNGs, each whole or not at all.

    The pictures are those of `data=scenes data.task=TASK data.image_size=SIZE data.load_size=SIZE`, bit for bit, and
    `data=folders data.root=FOLDER/TASK` trains on them. A task that is there with the same settings is left as it is.

    Args:
        folder: where the tasks' folders are made.
        tasks: names, or tasks of `find_task`.
        size: side of the pictures.
        seed: of the scenes.
        count: training pictures of each domain; None is the task's own number.
        val_count: test pictures of each domain.
        truths: samples of the truth of a test picture, where a task has more than one.
        progress: called after each picture with its labels and truths.

    Returns:
        The folder of each task.

    Raises:
        UserError: there is no such task, a number is out of its bounds, a task's folder is of other settings, another
            process exports to the same folder, or it cannot be written.
    """
    check_size("size", size)
    for name, number, least in (
        ("seed", seed, 0),
        ("count", count, 1),
        ("val_count", val_count, 1),
        ("truths", truths, 1),
    ):
        if number is not None and number < least:
            raise UserError(f"{name}={number} must be {least} or more")
    wanted: dict[Path, tuple[Task, dict[str, Any]]] = {}
    for one in tasks:
        task = one if isinstance(one, Task) else find_task(one)
        about = _protocol(task, size=size, seed=seed, count=count or task.count, val_count=val_count, truths=truths)
        wanted[folder / folder_name(task)] = (task, about)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".export.lock", timeout=0):
            todo = {path: one for path, one in wanted.items() if not _is_done(path, one[1])}
            for path, (task, about) in todo.items():
                _write(path, task, about, progress)
    except Timeout:
        raise UserError(f"another process exports to {folder}: wait for it, or name another folder") from None
    except OSError as error:
        raise UserError(
            f"{cannot_use(error, str(folder))}: name another folder, or check the disk and its rights"
        ) from error
    return list(wanted)


def folder_name(task: Task) -> str:
    """Return the name of a task's folder; a share of its own is part of it."""
    return task.name if task.key == TASKS[task.name].key else task.key


def _protocol(task: Task, **settings: Any) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "task": task.key,
        "title": task.title,
        "text": task.text,
        "domains": task.names,
        **settings,
        "one_to_many": dict(task.directions_one_to_many),
        "same_labels": task.same_labels,
        "materials": list(MATERIALS),
    }


def _is_done(path: Path, about: dict[str, Any]) -> bool:
    """Check whether a folder holds this export; raise a UserError if it holds anything else."""
    if not path.exists():
        return False
    try:
        found = json.loads((path / PROTOCOL).read_text(encoding="utf-8"))
        differing = [key for key in about if found.get(key) != about[key]]
    except (OSError, ValueError, AttributeError):
        raise UserError(f"{path} exists and has no readable {PROTOCOL}: name another folder to export to") from None
    if differing:
        then, now = (", ".join(f"{key}={one.get(key)}" for key in differing) for one in (found, about))
        raise UserError(f"{path} holds another export ({then} there, {now} here): name another folder, or remove it")
    return True


def _write(path: Path, task: Task, about: dict[str, Any], progress: Callable[[], None]) -> None:
    """Write a task's folder under another name, then rename it."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    try:
        unfinished.mkdir()
        objects: dict[str, dict[str, Any]] = {}
        for part in PARTS:
            first = starts_of(about["count"], about["val_count"])[part]
            for index in range(first, first + about["count" if part.startswith("train") else "val_count"]):
                _write_scene(unfinished, task, about, part, index, objects)
                progress()
        (unfinished / "objects.json").write_text(json.dumps(objects) + "\n", encoding="utf-8")
        (unfinished / "README.txt").write_text(_readme(task), encoding="utf-8")
        (unfinished / PROTOCOL).write_text(
            json.dumps({**about, "gan_style": __version__}, indent=2) + "\n", encoding="utf-8"
        )
        os.replace(unfinished, path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write_scene(
    folder: Path, task: Task, about: dict[str, Any], part: Part, index: int, objects: dict[str, dict[str, Any]]
) -> None:
    """Write a picture with its labels and, of a test picture, its truths; add its trees to `objects`."""
    name, domain = f"{index:06d}", part[-1]

    def draw(shown: str) -> Scene:
        return task.scene(about["seed"], index, about["size"], shown, part=part)

    def keep(scene: Scene, kind: str, file: str) -> None:
        _save(scene.image, folder / kind / file)
        _save(scene.labels, folder / "labels" / kind / f"{name}.png")
        objects.setdefault(kind, {})[name] = [asdict(tree) for tree in scene.objects]

    keep(draw(domain), part, f"{name}.png")
    if part.startswith("train"):
        return
    other = "AB"[domain == "A"]
    kind = f"truth{other}"
    keep(draw(other), kind, f"{name}/0.png")
    if task.directions_one_to_many[f"{domain}2{other}"] and about["truths"] > 1:
        further = task.samples(about["seed"], index, about["size"], other, about["truths"] - 1, first=1, part=part)
        for number, image in enumerate(further, 1):
            _save(image, folder / kind / name / f"{number}.png")


def _save(image: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, format="PNG", compress_level=1)


def _readme(task: Task) -> str:
    many = {
        domain: ": samples of the truth, of which each is as right as the others" if yes else ": a single picture"
        for domain, yes in zip("BA", (task.directions_one_to_many[key] for key in ("A2B", "B2A")), strict=True)
    }
    legend = "\n".join(f"    {i} {name} ({COLOURS[i]})" for i, name in enumerate(MATERIALS))
    return README.format(
        title=f"{task.name}: {task.title}",
        text=task.text,
        **task.names,
        many_A=many["A"],
        many_B=many["B"],
        legend=legend,
        version=__version__,
    )
