"""Settings of `gan-style sweep sweep=NAME key=value ...`, apart from overrides for the trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from gan_style.apps.sweep.space import Space, grid, point_of, read_space
from gan_style.core.compose import composed_of
from gan_style.core.config import check_signature, config_dir
from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.paths import expanded, resolved
from gan_style.core.types import Count, CountOrNone, Seed


@dataclass
class SweepFile:
    """Keys of `conf/sweep/NAME.yaml`; all but `space` and `overrides` can be given on the command line.

    Args:
        space: what is varied; see `gan_style.apps.sweep.space`.
        overrides: for every training, such as model=cut.
        trials: how many, failed and pruned ones included; null: every point of a grid.
        jobs: trainings at the same time.
        budget: pictures seen per training; trainer.max_steps follows from it and the batch size.
        sampler: tpe, which learns from finished trials; random; grid, every combination of choices.
        sampler_seed: of the sampler; the trainings have their own `seed`.
        pruner: median stops a training that is worse than half of those before it at the same share of its run.
        pruner_startup: trials that are never pruned.
        pruner_warmup: percentage of a run before which it is not pruned.
        gpus: numbers of the GPUs to share among the jobs; null: every training sees them all.
        folder: null is `runs/sweeps/NAME`; the same command resumes there.
        storage: an Optuna storage URL, for several machines; null: SQLite in the folder.
        study: the name in the storage; null: that of the sweep.
        command: of one training, before its overrides, e.g. [torchrun, --nproc_per_node=2, train.py].
    """

    space: dict[str, Any]
    overrides: list[str] = field(default_factory=list)
    trials: Count | None = 20
    jobs: Count = 1
    budget: Count | None = None
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    sampler_seed: Seed = 0
    pruner: Literal["median", "none"] = "median"
    pruner_startup: CountOrNone = 4
    pruner_warmup: CountOrNone = 0
    gpus: list[int] | None = None
    folder: str | None = None
    storage: str | None = None
    study: str | None = None
    command: list[str] | None = None


@dataclass
class Sweep:
    """Checked sweep.

    Attributes:
        name: as in sweep=NAME.
        file: its settings.
        space: what is varied.
        overrides: by key; those of the command line replace the file's.
        options: flags and their values, in turn, passed on to train.py.
        trials: at most; of a grid, how many points it has.
        folder: absolute.
    """

    name: str
    file: SweepFile
    space: Space
    overrides: dict[str, str]
    options: list[str]
    trials: int
    folder: Path

    def config_dirs(self) -> list[Path]:
        """Return the folders of train.py's config groups: ours, and the user's --config-dir."""
        return [config_dir(), *map(Path, self.options[1::2])]

    def unvaried(self) -> dict[str, Any] | None:
        """Return the point of the space at which the trainings stand if nothing is varied; None if it is outside.

        None also for a command of the user's own, whose configs are not known here.
        """
        if self.file.command:
            return None
        config, chosen = composed_of(list(self.overrides.values()), *self.options[1::2])
        return point_of(self.space, config, chosen)

    def fingerprint(self) -> dict[str, Any]:
        """Return the settings that must stay the same for the trials of a study to be comparable."""
        space = {key: asdict(dimension) for key, dimension in self.space.items()}
        return {"space": space, "overrides": list(self.overrides.values()), "budget": self.file.budget}


def read(overrides: Sequence[str], options: Sequence[str] = ()) -> Sweep:
    """Read a command line.

    Args:
        overrides: key=value each.
        options: flags passed on to train.py.

    Raises:
        UserError: an unknown sweep, a wrong value, or a key that the sweep sets itself.
    """
    given: dict[str, str] = {}
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            raise UserError(f"{word} cannot be read: every word is key=value")
        given[_key(word)] = word
    if "sweep" not in given:
        raise UserError(f"sweep=NAME must be given; there are: {', '.join(shipped())}")
    name, values = _file(given.pop("sweep").partition("=")[2])
    keys = set(SweepFile.__dataclass_fields__) - {"space", "overrides"}
    for key in keys & given.keys():
        values[key] = _value(given.pop(key))
    fixed = {_key(str(word)): str(word) for word in values.get("overrides") or []}
    if "trainer.max_steps" in given and "budget" not in {_key(word) for word in overrides}:
        values["budget"] = None  # the command line overrules the file
    values["overrides"] = list((fixed | given).values())
    values["space"] = values.get("space") or {}
    file = SweepFile(**check_signature(SweepFile, values, given=()))
    return _checked(name, file, fixed | given, list(options))


def _checked(name: str, file: SweepFile, overrides: dict[str, str], options: list[str]) -> Sweep:
    space = read_space(file.space, name)
    for key in ("run_dir", "resume", "space", "overrides"):
        if key in overrides:
            raise UserError(f"{key} cannot be set: the sweep does; a file of your own is sweep=PATH.yaml")
    for key in overrides:
        if key in space:
            raise UserError(f"{key} is varied by sweep={name} and cannot be fixed too: leave it out")
    if file.budget and "trainer.max_steps" in overrides:
        raise UserError("budget= and trainer.max_steps= both say how long a training is: leave one out")
    points = math.prod(len(values) for values in grid(space, name).values()) if file.sampler == "grid" else None
    if points is None and file.trials is None:
        raise UserError("trials= must be given: only sampler=grid knows how many there are")
    trials = min(file.trials or points or 0, points or file.trials or 0)
    if file.gpus is not None and not file.gpus:
        raise UserError("gpus=[] is empty: name the numbers of the GPUs, or leave it out")
    folder = resolved(expanded(file.folder or Path("runs") / "sweeps" / name))
    sweep = Sweep(name, file, space, overrides, options, trials, folder)
    _check_overrides(sweep)
    return sweep


def _check_overrides(sweep: Sweep) -> None:
    """Raise a UserError for a misspelt key of the sweep, before it reaches train.py; that checks dotted keys itself."""
    whole = yaml.safe_load((config_dir() / "train.yaml").read_text(encoding="utf-8"))
    known = {*keys(), *whole} - {"space", "overrides"}
    known |= {entry.name for folder in sweep.config_dirs() if folder.is_dir() for entry in folder.iterdir()}
    for key, word in sweep.overrides.items():
        if key.split("/")[0].split(".")[0] not in known and not word.startswith("+"):
            raise UserError(f"{key} is not a known key{did_you_mean(key, known)}")


def shipped() -> list[str]:
    """List the sweeps that come with the project."""
    return sorted(path.stem for path in (config_dir() / "sweep").glob("*.yaml"))


def keys() -> list[str]:
    """List the sweep's own keys."""
    return ["sweep", *SweepFile.__dataclass_fields__]


def _file(name: str) -> tuple[str, dict[str, Any]]:
    path = expanded(name) if name.endswith((".yaml", ".yml")) else config_dir() / "sweep" / f"{name}.yaml"
    if not name or not path.is_file():
        if path.suffix and name.endswith((".yaml", ".yml")):
            raise UserError(f"there is no sweep file {path}")
        raise UserError(f"sweep={name} is not known{did_you_mean(name, shipped())}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no sweep: its keys are {', '.join(SweepFile.__dataclass_fields__)}")
    content = {str(key): value for key, value in content.items()}
    for key in content:
        if key not in SweepFile.__dataclass_fields__:
            raise UserError(f"{key} in {path.name} is not a known key{did_you_mean(key, keys())}")
    return path.stem, content


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _value(word: str) -> Any:
    text = word.partition("=")[2]
    try:
        return yaml.safe_load(text) if text else text
    except yaml.YAMLError:
        return text
