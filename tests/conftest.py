"""Real configs, shrunk: what the tests train is what users train, only smaller."""

from __future__ import annotations

import copy
import importlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

import pytest

# Nothing heavy above the functions: the process of pytest-xdist that only hands out tests reads this file, too.
from gan_style.core import signals
from gan_style.core.allowed import find_here
from gan_style.core.config import config_dir, plain
from tests.offline import refused

__all__ = ["refused"]  # a fixture of every test
# As gan_style.testing's, with one validation, in the end: it takes longer than an iteration, and a short run has one
# after each unless it says otherwise.
SMALL_RUN = ("data=tiny", "data.num_workers=0", "trainer.log_every=1", "trainer.val_every=1000", "run_dir=unused")
BASICS = (*SMALL_RUN, "name=test")

SMALL = (
    "data=tiny",
    "data.num_workers=0",
    "model.generator.filters=4",
    "model.discriminator.filters=4",
    "trainer.log_every=1",
    "run_dir=unused",
    "name=test",
)
SMALL_RESNET = ("model.generator.blocks=1",)
# For resuming: dropout, a small pool of past fakes and averages, so that every kind of state matters; validations on
# the same iterations whatever the length of a run, because the doctor counts what they show.
HARD = (
    "model.generator.dropout=0.5",
    "model.pool_size=3",
    "callbacks.ema.decay=0.9",
    "trainer.val_every=2",
)
SCORES = ("callbacks.set_scores", "callbacks.cycle_scores")
# Where two ways of summing a gradient are compared: Adam hides a wrong factor.
SGD = (*(f"model.optimizer_{p}._target_=torch.optim.SGD" for p in "GD"), *(f"~model.optimizer_{p}.betas" for p in "GD"))


# A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def differences(a: Any, b: Any) -> list[str]:
    """Where two nested structures differ, as `gan_style.testing` says it."""
    from gan_style import testing

    return testing.differences(a, b)


# Composing a config takes longer than most tests: what several ask for is composed once.


def composed(*overrides: str) -> dict[str, Any]:
    """The plain config of a command line."""
    return copy.deepcopy(_composed(overrides, os.environ.get("GAN_STYLE_VGG")))


@cache
def _composed(overrides: tuple[str, ...], _: str | None) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config: dict[str, Any] = plain(compose("train", list(overrides)))
    return config


def small_config(*overrides: str) -> dict[str, Any]:
    """The plain config of a small training, as `gan_style.testing` makes it."""
    folder = [word for word in overrides if re.fullmatch(r"run_dir=/[\w/.-]+", word)]
    others = tuple(word for word in overrides if word not in folder)
    config = copy.deepcopy(_small_config(others, os.environ.get("GAN_STYLE_VGG")))
    return config | ({"run_dir": folder[-1].removeprefix("run_dir=")} if folder else {})


@cache
def _small_config(overrides: tuple[str, ...], _: str | None) -> dict[str, Any]:
    from gan_style import testing

    return testing.composed(small_words(*overrides))


def small_words(*overrides: str) -> list[str]:
    """The overrides of `small_config`."""
    return [*SMALL_RUN, *fitting(*overrides), *overrides]


def fitting(*overrides: str) -> list[str]:
    """What makes a model small, as `gan_style.testing` chooses it; which keys a model has hangs on few of the words."""
    other = ("best.", "callbacks.", "data.", "doctor.", "logger.", "name=", "resume=", "run_dir=", "seed=", "trainer.")
    return list(_fitting(tuple(word for word in overrides if not word.startswith(other))))


@cache
def _fitting(overrides: tuple[str, ...]) -> tuple[str, ...]:
    from gan_style import testing

    return tuple(testing.fitting(*overrides))


@pytest.fixture(autouse=True)
def _same_signals() -> Iterator[None]:
    """A command that was interrupted within this process hears nothing more; the next test does."""
    before = {number: signal.getsignal(number) for number in signals.ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signals.received.clear()
    signals._last_request, signals._waiting_since = -float("inf"), None


def forget(package: str) -> None:
    """Drop a package, and where it was found: other tests write packages of the same name."""
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]
    find_here()
    importlib.invalidate_caches()


@pytest.fixture(scope="session", autouse=True)
def _scenes_are_drawn_once() -> Iterator[None]:
    """Let the trainings of all tests share the drawn scenes: a scene is a pure function of its arguments."""
    from gan_style.data.image_sets import SceneImages

    drawn: dict[tuple[object, ...], Any] = {}

    def once(alone: Callable[..., Any]) -> Callable[..., Any]:
        def draw(images: SceneImages, i: int, *which: int, **named: int) -> Any:
            scene = (images.task.key, images.part, images.seed, images.first + i, images.size, images.domain)
            key = (alone.__name__, *scene, *which, *named.items())
            if key not in drawn:
                drawn[key] = alone(images, i, *which, **named)
            return drawn[key].copy()

        return draw

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_draw_now", "samples"):
            patch.setattr(SceneImages, name, once(getattr(SceneImages, name)))
        yield


def trained_into(folder: Path, *overrides: str, scored: bool = False) -> Path:
    """Train a small run into a folder, and return it.

    Args:
        folder: of the run.
        *overrides: of the command.
        scored: whether it has scores of sets and of cycles, which take longer than a short training itself; those that
            the overrides name stay in any case.
    """
    from gan_style.training.run import train

    without = [] if scored else [f"~{name}" for name in SCORES if not any(name in word for word in overrides)]
    return train(small_config(*overrides, *without, f"run_dir={folder}"))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Trains a small run into a folder of its own and returns the folder; words as of `trained_into`."""
    return lambda folder, *overrides, **more: trained_into(tmp_path / folder, *overrides, **more)


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains each small run once in a process of the tests."""
    return cache(lambda *words, **more: trained_into(tmp_path_factory.mktemp("trained") / "run", *words, **more))


@pytest.fixture
def trained(tmp_path: Path, _trained: Callable[..., Path]) -> Callable[..., Path]:
    """Copies a finished run, to do anything with, that is trained once for all tests that ask for these words.

    As `run`, where the training is not itself what is tested: only the first test that asks for it hears it.
    """
    return lambda folder, *words, **more: Path(shutil.copytree(_trained(*words, **more), tmp_path / folder))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Tests that draw from torch's own generator do not depend on their order."""
    import torch

    torch.manual_seed(0)
