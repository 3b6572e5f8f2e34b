"""The command `train` as whoever reads a sentence can type it: of a checkout, or of an installed package."""

from __future__ import annotations

import sys
from pathlib import Path

from gan_style.core.config import config_dir

PACKAGE = Path(__file__).resolve().parents[1]


def train_script() -> Path | None:
    """Return `train.py` of the checkout that this package lies in; None where it is installed."""
    if config_dir().parent == PACKAGE:  # whose train.py is a module of the package, and no script
        return None
    script = PACKAGE.parent / "train.py"
    return script if script.is_file() else None


def typed_train() -> list[str]:
    """Return the words that begin a training on a person's command line, for sentences."""
    return ["python", "train.py"] if train_script() else ["gan-style", "train"]


def launched_train() -> str:
    """Return what torchrun starts in each process, for sentences."""
    return "train.py" if train_script() else "-m gan_style.train"


def train_command() -> list[str]:
    """Return the command that starts a training in a process of its own, by this Python."""
    script = train_script()
    return [sys.executable, str(script)] if script else [sys.executable, "-m", "gan_style.train"]
