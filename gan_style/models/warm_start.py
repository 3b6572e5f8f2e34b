"""Weights of another training, to begin with where they fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gan_style.core import torch_files
from gan_style.core.errors import UserError
from gan_style.core.paths import absent
from gan_style.core.plain_data import plain_copy


def read_trained(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint of gan_style by name; those of the EMA where it has one.

    Raises:
        UserError: no such file, or not a checkpoint.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {absent(path)}: check model.warm_start")
    content: Any = torch_files.read(path, "a checkpoint of gan_style (model.warm_start)")
    try:
        state = with_averages(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"model.warm_start={path} is not a checkpoint of gan_style: it has no state_dict") from error
    plain_copy(content.get("config"), f"{path}: config")
    return state


def with_averages(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of a checkpoint by name; of its averaged networks the averages."""
    state = dict(content["state_dict"])
    for network, average in content["callbacks"].get("EMA", {}).items():
        state |= {f"{network}.{name}": value for name, value in average.items()}
    return state


def fitting_tensors(trained: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select the tensors of `trained` that can stand in for `ours`: those of the same name and shape.

    An AdaIN's decoder has other names: its convolutions are taken, in order, for our up-sampling ones of the same
    shape.
    """
    decoder = [tensor for name, tensor in trained.items() if name.startswith("decoder.")]
    if not decoder:
        return {
            name: trained[name] for name, own in ours.items() if name in trained and trained[name].shape == own.shape
        }
    found = {}
    for name, own in ours.items():
        index = next((i for i, tensor in enumerate(decoder) if tensor.shape == own.shape), None)
        if name.startswith("G.ups.") and index is not None:
            found[name] = decoder[index]
            decoder = decoder[index + 1 :]
    return found
