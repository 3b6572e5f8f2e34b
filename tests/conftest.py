"""Real configs, shrunk: what the tests train is what users train, only smaller."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

import pytest
import torch
from hydra import compose, initialize_config_dir

from gan_style.core import signals
from gan_style.core.config import config_dir, plain
from tests.offline import refused

__all__ = ["refused"]  # a fixture of every test

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


# What makes each method small; a part of a config that a method does not have cannot be set.
SHRINK = {
    "model.vgg.weights": "random",
    "model.vgg.depth": "relu2_1",
    "model.generator.filters": "4",
    "model.generator.blocks": "1",
    "model.discriminator.filters": "4",
    "model.num_patches": "16",
    "model.patch_width": "8",
    "model.scales": "1",
    "model.steps": "3",
}


BASICS = tuple(word for word in SMALL if not word.startswith("model."))


def fitting(*overrides: str) -> list[str]:
    """The words of SHRINK that the config of a command line has keys for."""
    whole = composed(*BASICS, *overrides)

    def has(key: str) -> bool:
        node: Any = whole
        for part in key.split("."):
            if not isinstance(node, dict) or part not in node:
                return False
            node = node[part]
        return True

    given = {word.split("=")[0].lstrip("+~") for word in overrides}
    return [f"{key}={value}" for key, value in SHRINK.items() if has(key) and key not in given]


def small_words(*overrides: str) -> list[str]:
    """The command line of `small_config`."""
    return [*BASICS, *fitting(*overrides), *overrides]


def small_config(*overrides: str) -> dict[str, Any]:
    """Any method (`model=...`, CycleGAN unless named) with a few filters, on eight drawn scenes of 32 pixels."""
    return composed(*small_words(*overrides))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Trains a small run into a folder of its own and returns the folder."""
    from gan_style.training.run import train

    def start(folder: str, *overrides: str) -> Path:
        return train(small_config(*overrides, f"run_dir={tmp_path / folder}"))

    return start


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Where two nested structures differ, bit for bit; empty when nowhere. NaN is NaN: gradients may overflow."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        alike = a.dtype == b.dtype and a.shape == b.shape
        return [] if alike and bool(((a == b) | (a.isnan() & b.isnan())).all()) else [path]
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [f"{path}: keys {set(a) ^ set(b)}"]
        return [d for key in a for d in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return [f"{path}: {len(a)} and {len(b)} items"]
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{path}/{i}")]
    return [] if a == b else [f"{path}: {a} and {b}"]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Tests that draw from torch's own generator do not depend on their order."""
    torch.manual_seed(0)
