"""Settings of a benchmark: which rows it has, and what must be the same for rows to be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from gan_style.core.config import config_dir
from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.paths import cannot_use, write_whole
from gan_style.data.scenes import TASKS, check_size, find_task

FORMAT = 1  # of the folder; higher when the same command scores otherwise
SETTINGS = "settings.json"
PLANTED = ("true painter", "input", "colour transfer", "another scene")  # rows that need no model
ORACLE = "oracle"
QUICK_TASKS, QUICK_MODELS = ("recolour", "paint"), ("cyclegan", "cut", "fastcut")


@dataclass(frozen=True)
class Protocol:
    """Numbers that all rows of one table share.

    Attributes:
        size: side of the pictures in pixels.
        iterations: of each training.
        count: test pictures of each task.
        samples: of the truth of each of them.
        scene_seed: of the drawn scenes.
        format: of the folder.
    """

    size: int = 32
    iterations: int = 600
    count: int = 32
    samples: int = 8
    scene_seed: int = 0
    format: int = FORMAT


@dataclass(frozen=True)
class Settings:
    """Settings of a benchmark.

    Attributes:
        tasks: keys of `gan_style.data.scenes.TASKS`.
        models: name of the row -> overrides of `gan-style train`, beside those of `conf/bench/small.yaml`.
        seeds: trainings of each model on each task.
        folders: name of the row -> folder with translations, TASK/NAME.png.
        oracle: whether to train the network of cyclegan with the truth.
        jobs: trainings at a time.
        protocol: what all rows share.
    """

    tasks: tuple[str, ...]
    models: Mapping[str, tuple[str, ...]]
    seeds: int = 5
    folders: Mapping[str, Path] = field(default_factory=dict)
    oracle: bool = False
    jobs: int = 1
    protocol: Protocol = field(default_factory=Protocol)

    def __post_init__(self) -> None:
        for name in self.tasks:
            if name not in TASKS:
                raise UserError(f"--tasks {name}: there is no such task{did_you_mean(name, TASKS)}")
        p = self.protocol
        check_size("--size", p.size)
        for option, number, least in (
            ("--seeds", self.seeds, 1),
            ("--iterations", p.iterations, 2),
            ("--jobs", self.jobs, 1),
            ("--count", p.count, 2),
        ):
            if number < least:
                raise UserError(f"{option} {number} must be {least} or more")
        names = [*PLANTED, *([ORACLE] if self.oracle else []), *self.models, *self.folders]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"two rows are called {twice}: give the folder or the model another name")
        for name, folder in self.folders.items():
            if not folder.is_dir():
                raise UserError(f"--folder {name}={folder}: there is no such folder")

    def quick(self) -> Settings:
        """Return the settings of `--quick`: few rows, two tasks, one seed, short trainings."""
        models = {name: self.models[name] for name in QUICK_MODELS if name in self.models} or self.models
        tasks = tuple(name for name in QUICK_TASKS if name in self.tasks) or self.tasks[:2]
        protocol = replace(self.protocol, iterations=min(20, self.protocol.iterations), count=8, samples=4)
        return replace(self, tasks=tasks, models=models, seeds=1, protocol=protocol)


def rows_of_models(models: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the overrides of rows, by their names.

    Args:
        models: names of `conf/model`, or NAME=OVERRIDE,OVERRIDE,... for a row of one's own name, such as
            "cycle5=model=cyclegan,model.lambda_cycle=5".
    """
    found: dict[str, tuple[str, ...]] = {}
    for one in models:
        name, _, words = one.partition("=")
        if not name or (words and "=" not in words):
            raise UserError(f"--models {one}: give the name of a model, or NAME=model=cyclegan,KEY=VALUE")
        found[name] = tuple(words.split(",")) if words else (f"model={name}",)
    return found


def all_models() -> list[str]:
    """Return the names of our models."""
    return sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))


def overrides_of(model: str, words: Sequence[str], task: str, seed: int, protocol: Protocol) -> list[str]:
    """Return the overrides of the training of a row."""
    known = yaml.safe_load((config_dir() / "bench" / "small.yaml").read_text(encoding="utf-8"))
    base = next((word.partition("=")[2] for word in words if word.startswith("model=")), model)
    half = protocol.iterations // 2
    return [
        *known["all"],
        f"data.task={find_task(task).name}",
        f"data.image_size={protocol.size}",
        f"data.load_size={protocol.size}",
        "data.val_count=2",
        "data.num_workers=0",
        f"trainer.max_steps={protocol.iterations}",
        f"trainer.val_every={protocol.iterations}",
        *(["model.schedule.unit=iterations", f"model.schedule.constant={protocol.iterations - half}"]),
        *([f"model.schedule.decay={half}"]),
        f"model={base}",
        *known["models"].get(base, []),
        *(word for word in words if not word.startswith("model=")),
        f"seed={seed}",
    ]


def begin_folder(folder: Path, settings: Settings) -> None:
    """Make the folder of a benchmark, or check that one that is there has the same settings.

    Further tasks, models, seeds and folders may join a table; what all its rows share may not change.

    Raises:
        UserError: it is of other settings, or cannot be written.
    """
    file = folder / SETTINGS
    ours: dict[str, Any] = {"protocol": asdict(settings.protocol)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            if any(folder.iterdir()):
                raise UserError(f"--out {folder} holds other files: give a folder that is new, or one of a benchmark")
            write_whole(file, json.dumps(ours | {"models": {}}, indent=2) + "\n")
        there = json.loads(file.read_text(encoding="utf-8"))
        then, models = there["protocol"], {name: tuple(words) for name, words in there["models"].items()}
    except OSError as error:
        raise UserError(f"--out {cannot_use(error, str(folder))}") from error
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{file} is damaged: give another folder with --out") from None
    other = [f"{key} {then.get(key)} there and {value} here" for key, value in ours["protocol"].items()
             if then.get(key) != value]  # fmt: skip
    changed = [name for name, words in settings.models.items() if name in models and models[name] != words]
    if other or changed:
        said = ", ".join(other) or f"the row {changed[0]} has other overrides"
        raise UserError(f"{folder} is of another benchmark ({said}): give another folder with --out")
    models |= settings.models
    write_whole(file, json.dumps(ours | {"models": models}, indent=2) + "\n")
