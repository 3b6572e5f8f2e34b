"""Weights as safetensors, which other tools and other languages read: tensors by name, and texts that describe them.

The texts are JSON: gan_style, format, config (of the model), iteration, domains, preprocessing, best, styles, imported,
init_from, weights (`averaged` or `raw`) and extra (what a state dict holds beside tensors). Discriminators are left
out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch as library
from safetensors import SafetensorError
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.memory import raise_if_out
from gan_style.core.version import __version__

SUFFIX = ".safetensors"
FORMAT = 1
DESCRIBED = ("config", "iteration", "domains", "preprocessing", "best", "styles", "imported", "init_from", "weights")


def described(content: Mapping[str, Any], *, averaged: bool) -> dict[str, Any]:
    """Describe a checkpoint in plain types, without the state of its training run."""
    about = {key: content[key] for key in DESCRIBED if key in content}
    model = dict(content["config"]["model"])
    if "teacher" in model:
        model["teacher"] = None  # a path, too
    about["config"] = {"model": model}  # the rest names folders and devices of that run
    return {"weights": "averaged" if averaged else "raw"} | about


def texts(about: Mapping[str, Any]) -> dict[str, str]:
    """Convert metadata of a file to texts: every value as JSON."""
    return {key: json.dumps(value) for key, value in {"gan_style": __version__, "format": FORMAT, **about}.items()}


def write(state: Mapping[str, Any], about: Mapping[str, Any], path: Path) -> None:
    """Write a state dict and its description; not atomic, see `checkpoint.writing`.

    Raises:
        OSError: the disk refuses it.
    """
    tensors = {name: value.contiguous().clone() for name, value in state.items() if isinstance(value, Tensor)}
    others = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
    # save_file would let nobody but the owner read it
    path.write_bytes(library.save(tensors, metadata=texts({**about, "extra": others})))


def read(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint, without a state of training.

    Raises:
        UserError: the file is damaged, or does not describe itself.
    """
    try:
        data = path.read_bytes()  # the library opens no file whose name is not UTF-8
        tensors = library.load(data)
        given = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
        about = {key: json.loads(text) for key, text in given.items()} if "gan_style" in given else {}
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise_if_out(error)
        raise UserError(f"{path} is no whole .safetensors file: copy it again or name another file") from error
    if not about:
        raise UserError(f"{path} is not of gan_style: it does not say of what model its tensors are")
    if not isinstance(about.setdefault("extra", {}), dict):
        raise UserError(f"{path} is not of gan_style: what it holds beside tensors has no names")
    empty: dict[str, Any] = {key: {} for key in ("optimizers", "pools", "callbacks")}
    return {**empty, **about, "version": about["gan_style"], "state_dict": tensors | about.pop("extra", {})}
