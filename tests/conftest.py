"""Real configs, shrunk: what the tests train is what users train, only smaller."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

import pytest
import torch
from hydra import compose, initialize_config_dir

from gan_style.core import signals
from gan_style.core.allowed import find_here
from gan_style.core.config import config_dir, plain
from gan_style.testing import SMALL_RUN, differences, fitting, small_config
from gan_style.testing import small_overrides as small_words
from tests.offline import refused

__all__ = ["differences", "fitting", "refused", "small_config", "small_words"]  # `refused` is a fixture of every test
BASICS = (*SMALL_RUN, "name=test")

SMALL = (
    "data=tiny",
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
# Where two ways of summing a gradient are compared: Adam hides a wrong factor.
SGD = (*(f"model.optimizer_{p}._target_=torch.optim.SGD" for p in "GD"), *(f"~model.optimizer_{p}.betas" for p in "GD"))


# A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def composed(*overrides: str) -> dict[str, Any]:
    """The plain config of a command line."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config: dict[str, Any] = plain(compose("train", list(overrides)))
    return config


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


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Trains a small run into a folder of its own and returns the folder."""
    from gan_style.training.run import train

    def start(folder: str, *overrides: str) -> Path:
        return train(small_config(*overrides, f"run_dir={tmp_path / folder}"))

    return start


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Tests that draw from torch's own generator do not depend on their order."""
    torch.manual_seed(0)
