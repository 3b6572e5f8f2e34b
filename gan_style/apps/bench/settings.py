"""Settings of a benchmark: which rows it has, and what must be the same for rows to be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path

import yaml

from gan_style.core.compose import composed
from gan_style.core.config import config_dir as our_configs
from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.paths import cannot_use, write_whole
from gan_style.core.quoting import shortened
from gan_style.data.scenes import TASKS, check_size, find_task

FORMAT = 2  # of the folder; higher when the same command scores otherwise
SETTINGS, LOCK = "settings.json", ".lock"
ROWS, RESULT = "rows", "result.json"
PLANTED = ("true painter", "input", "colour transfer", "another scene")  # rows that need no model
ORACLE = "oracle"
GATYS = "gatys"  # optimises a picture, so there is nothing to train
QUICK_TASKS, QUICK_MODELS = ("recolour", "paint"), ("cyclegan", "cut", "fastcut")
NAME = re.compile(r"\w[\w.+-]*")  # of a row, which is a folder, too
# What a row may not set, because it is the same for all.
SHARED = ("data=", "data.", "trainer.max_steps=", "trainer.max_epochs=", "seed=", "run_dir=", "resume=", "experiment=")


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
        models: name of the row -> overrides of `gan-style train`, beside those of `small.yaml`.
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
        for name in (*self.models, *self.folders):
            if not NAME.fullmatch(name):
                raise UserError(f"a row cannot be called {shortened(name)}: give letters, digits and . _ + -")
            if name in (*PLANTED, ORACLE) or (name in self.models and name in self.folders):
                raise UserError(f"two rows are called {name}: give the folder or the model another name")
        for name, folder in self.folders.items():
            if not folder.is_dir():
                raise UserError(f"--folder {name}={folder}: there is no such folder")


def rows_of_models(models: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the overrides of rows, by their names.

    Args:
        models: names of `conf/model`, or NAME=OVERRIDE,OVERRIDE,... for a row of one's own name, such as
            "cycle5=model=cyclegan,model.lambda_cycle=5".
    """
    found: dict[str, tuple[str, ...]] = {}
    for one in models:
        name, sign, text = one.partition("=")
        words = tuple(re.split(r",(?![^\[{]*[\]}])", text)) if sign else (f"model={name}",)
        if not name or not all("=" in word for word in words):
            raise UserError(f"--models {one}: give the name of a model, or NAME=model=cyclegan,KEY=VALUE")
        if name in found:
            raise UserError(f"--models {name} is given twice: give the rows different names")
        for word in words:
            if word.startswith(SHARED):
                raise UserError(f"--models {name}: {word} is the same for all rows, so that they can be compared")
        found[name] = words
    return found


def all_models() -> list[str]:
    """Return the names of our models that are trained on pictures alone: a distillation wants a teacher, too."""
    return sorted(path.stem for path in (our_configs() / "model").glob("*.yaml") if path.stem != "distill")


def base_of(model: str, words: Sequence[str]) -> str:
    """Return the name of the model's config: that of its word `model=`, or of the row."""
    return next((word.partition("=")[2] for word in words if word.startswith("model=")), model)


def overrides_of(model: str, words: Sequence[str], task: str, seed: int, protocol: Protocol) -> list[str]:
    """Return the overrides of the training of a row.

    What `small.yaml` says of a network is left out where the row chooses that network itself.
    """
    known = yaml.safe_load(resources.files("gan_style.apps.bench").joinpath("small.yaml").read_text("utf-8"))
    base = base_of(model, words)
    half = protocol.iterations // 2
    chosen = {word.partition("=")[0] for word in words if word.startswith("model/")}  # not GROUP@ELSEWHERE
    small = [word for word in known["models"].get(base, []) if _network_of(word) not in chosen]
    return [
        *known["all"],
        f"data.task={find_task(task).name}",
        f"data.image_size={protocol.size}",
        f"data.load_size={protocol.size}",
        "data.val_count=2",
        "data.num_workers=0",
        f"trainer.max_steps={protocol.iterations}",
        f"trainer.val_every={protocol.iterations}",
        f"model={base}",
        *small,
        "model.schedule.unit=iterations",
        f"model.schedule.constant={protocol.iterations - half}",
        f"model.schedule.decay={half}",
        *(word for word in words if not word.startswith("model=")),
        f"seed={seed}",
    ]


def _network_of(word: str) -> str:
    """Return the group of the network that an override is of: "model/generator" of model.generator.filters=24."""
    key = word.partition("=")[0]
    return "/".join(key.replace("/", ".").split(".")[:2])


def check_rows(settings: Settings, config_dir: str | None) -> None:
    """Compose the config of each row once, so that a wrong name or key is said before anything is trained.

    Raises:
        UserError: the first mistake, with the name of its row.
    """
    for name, words in settings.models.items():
        if base_of(name, words) != GATYS:  # which has no training
            try:
                composed(overrides_of(name, words, settings.tasks[0], 0, settings.protocol), config_dir)
            except UserError as error:
                raise UserError(f"--models {name}: {error}") from error


def begin_folder(folder: Path, settings: Settings) -> Settings:
    """Make the folder of a benchmark, or join one that is there.

    Further tasks, models, seeds and folders may join a table; what all its rows share may not change.

    Returns: settings of the whole table: what earlier commands asked for, and this one.

    Raises:
        UserError: it is of other settings, or cannot be written.
    """
    file = folder / SETTINGS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            if any(one.name != LOCK for one in folder.iterdir()):
                raise UserError(f"--out {folder} holds other files: give a folder that is new, or one of a benchmark")
            write_whole(file, _to_json(settings))
        there = _from_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--out {cannot_use(error, str(folder))}") from error
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{file} is damaged: give another folder with --out") from None
    then, now = asdict(there.protocol), asdict(settings.protocol)
    said = ", ".join(f"{key} {then[key]} there and {now[key]} here" for key in now if then[key] != now[key])
    for name, words in settings.models.items():
        # a row of which nothing is there yet may still be corrected
        if there.models.get(name, words) != words and any((folder / ROWS).glob(f"*/{name}/*/{RESULT}")):
            said = said or f"the row {name} has other overrides"
    if said:
        raise UserError(f"{folder} is of another benchmark ({said}): give another folder with --out")
    whole = replace(
        settings,
        tasks=tuple(task for task in TASKS if task in (*there.tasks, *settings.tasks)),
        models={**there.models, **settings.models},
        seeds=max(there.seeds, settings.seeds),
        folders={**there.folders, **settings.folders},
        oracle=there.oracle or settings.oracle,
    )
    write_whole(file, _to_json(whole))
    return whole


def _to_json(settings: Settings) -> str:
    kept = asdict(settings) | {"folders": {name: str(path.absolute()) for name, path in settings.folders.items()}}
    return json.dumps({key: value for key, value in kept.items() if key != "jobs"}, indent=2) + "\n"


def _from_json(text: str) -> Settings:
    kept = json.loads(text)
    there = {name: Path(path) for name, path in kept["folders"].items()}
    return Settings(
        tasks=tuple(kept["tasks"]),
        models={name: tuple(words) for name, words in kept["models"].items()},
        seeds=kept["seeds"],
        folders={name: path for name, path in there.items() if path.is_dir()},
        oracle=kept["oracle"],
        protocol=Protocol(**kept["protocol"]),
    )
