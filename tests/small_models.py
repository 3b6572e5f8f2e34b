"""Untrained models of a few filters, in memory and as checkpoints: what a test of styles needs, in no time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gan_style.checkpoints import checkpoint
from gan_style.core.config import build
from gan_style.data.values import ValueRange
from gan_style.inference.translator import LoadedTranslator
from gan_style.models.translator import Translator
from tests.conftest import small_config

DOMAINS = {"A": "photo", "B": "painting"}


def made(*overrides: str, **extra: Any) -> Translator:
    """A model, the same every time."""
    torch.manual_seed(0)
    model: Translator = build(small_config(*overrides)["model"], **({"channels_A": 3, "channels_B": 3} | extra))
    return model


def loaded(*overrides: str, styles: Sequence[str] = (), **extra: Any) -> LoadedTranslator:
    """As `gan_style.load` gives it."""
    more = {"styles": len(styles)} if styles else {}
    model = made(*overrides, **more, **extra).requires_grad_(False).eval()
    values = {letter: ValueRange(channels=extra.get(f"channels_{letter}", 3)) for letter in "AB"}
    return LoadedTranslator(model, DOMAINS, styles, values)


def saved(path: Path, *overrides: str, styles: Sequence[str] = (), number_of: bool = True) -> Path:
    """A checkpoint of an untrained model; `number_of` tells the model how many styles there are."""
    more = {"styles": len(styles)} if styles and number_of else {}
    model = made(*overrides, **more)
    content: dict[str, Any] = {
        "config": small_config(*overrides),
        "iteration": 0,
        "domains": {letter: {"name": name, "channels": 3} for letter, name in DOMAINS.items()},
        "state_dict": model.state_dict(),
        **{key: {} for key in ("preprocessing", "optimizers", "pools", "callbacks", "best")},
    }
    checkpoint.save(content | ({"styles": list(styles)} if styles else {}), path)
    return path
