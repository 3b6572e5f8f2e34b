"""Process that trains one cell of a benchmark: `-m gan_style.apps.bench.cell SPEC [resume=last] run_dir=DIR`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_style.apps.bench.settings import GATYS, ORACLE, RESULT, Protocol, base_of, overrides_of
from gan_style.core import allowed
from gan_style.core.exit_status import exit_status
from gan_style.core.paths import write_whole
from gan_style.core.signals import command, stoppable
from gan_style.core.training_process import unquoted
from gan_style.evaluation.drawn import DrawnJudge
from gan_style.evaluation.renditions import renditions, translations
from gan_style.training.callbacks.cost import peak_gigabytes

DIRECTION = "A2B"
MADE = "made.npz"


@dataclass(frozen=True)
class Spec:
    """Task of one process of a benchmark.

    Attributes:
        task, model, seed: of its row; `model` may be `oracle`.
        words: overrides of `gan-style train` of the row.
        protocol: what all rows share.
        config_dir: of the user's own configs, or None.
        allow: packages of the user's own.
    """

    task: str
    model: str
    seed: int
    words: tuple[str, ...]
    protocol: Protocol
    config_dir: str | None = None
    allow: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Spec:
        given = json.loads(text)
        lists = {name: tuple(given[name]) for name in ("words", "allow")}
        return cls(**{**given, **lists, "protocol": Protocol(**given["protocol"])})


def judge_of(task: str, protocol: Protocol) -> DrawnJudge:
    """Return the judge of a task: the same pictures for every row."""
    return DrawnJudge(task, DIRECTION, protocol.size, protocol.scene_seed, protocol.count, protocol.samples)


def run(spec: Spec, folder: Path, resume: bool) -> None:
    """Train, translate the test pictures and score them into result.json, beside made.npz with the translations.

    Raises:
        UserError: it cannot be trained, as where weights are missing.
        Interrupted: a signal; the training has saved, and goes on with `resume`.
    """
    started, wall = time.process_time(), time.monotonic()
    judge = judge_of(spec.task, spec.protocol)
    drawn = time.process_time() - started
    if spec.model == ORACLE:
        from gan_style.apps.bench.oracle import train_and_translate

        translator, images = None, train_and_translate(judge, spec.protocol.iterations, spec.seed)
    else:
        translator = _translator(spec, folder, resume)
        images = translations(translator, judge)
    cpu = time.process_time() - started - drawn
    several = None if translator is None else renditions(translator, judge, images)
    result = {
        "task": spec.task,
        "model": spec.model,
        "seed": spec.seed,
        "scores": judge.scores(images, several),
        "values": {name: [float(x) for x in values] for name, values in judge.values(images).items()},
        "seconds": None if resume else cpu,  # a training that was interrupted has spent more than this process
        "wall_seconds": None if resume else time.monotonic() - wall,
        "peak_GB": peak_gigabytes(),
    }
    with open(folder / f"{MADE}.part", "wb") as file:
        np.savez_compressed(file, images=images)
    os.replace(folder / f"{MADE}.part", folder / MADE)
    write_whole(folder / RESULT, json.dumps(result) + "\n")


def _translator(spec: Spec, folder: Path, resume: bool) -> Any:
    """Train the row's model, and return the translator of its last iteration."""
    from gan_style.inference.load import gatys, load

    if base_of(spec.model, spec.words) == GATYS:
        own = [word for word in spec.words if not word.startswith("model=")]
        return gatys(None, spec.seed, own)
    from gan_style.training.from_python import train

    words = overrides_of(spec.model, spec.words, spec.task, spec.seed, spec.protocol)
    if spec.allow and not any(word.startswith("allow=") for word in words):
        words.append(f"allow=[{','.join(spec.allow)}]")
    last = folder / "checkpoints" / "last.ckpt"
    if resume and last.is_file():
        words.append("resume=last")
    found = train(*words, run_dir=folder, config_dir=spec.config_dir)
    assert found.last is not None, "a training that ends has saved"
    return load(found.last, allow=spec.allow)


def main(arguments: Sequence[str]) -> int:
    spec = Spec.from_json(arguments[0])
    given = dict(word.split("=", 1) for word in arguments[1:])
    with exit_status("bench") as ending:
        allowed.find_here(list(spec.allow))
        run(spec, Path(unquoted(given["run_dir"])), given.get("resume") == "last")
    return ending.status


if __name__ == "__main__":
    with command(), stoppable():
        sys.exit(main(sys.argv[1:]))
