"""Restoring a trained model from its checkpoint alone."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from gan_style.core import memory
from gan_style.core.allowed import in_file
from gan_style.core.config import build, takes, target_of
from gan_style.core.errors import UserError
from gan_style.core.paths import printable
from gan_style.models.translator import Translator
from gan_style.networks.vgg import VGG

# Allowance for discriminators, which are in the model but not in the file of an export.
SPARE_NUMBERS, SPARE_LAYERS = 2**28, 10_000
LARGER = "the checkpoint's config asks for a far larger network than its weights are of"


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Name the file of a checkpoint in the errors of a `with` block."""
    try:
        yield
    except UserError as error:
        said = str(error)
        raise UserError(said if printable(str(path)) in said else f"{path}: {said}") from error


@contextlib.contextmanager
def fitting() -> Iterator[None]:
    """Turn any error of a `with` block into a sentence: the checkpoint was written or changed by something else."""
    try:
        yield
    except UserError:
        raise
    # No list of classes: a value of a wrong type fails wherever it is first used.
    except Exception as error:
        memory.raise_if_out(error, "the model was made")
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise UserError(f"the checkpoint was not written by gan_style, or was changed ({reason})") from error


@contextlib.contextmanager
def no_larger_than(state: Mapping[str, Any]) -> Iterator[None]:
    """Refuse, inside a `with` block, a model that is far larger than the weights, before memory is allocated.

    A config of a few bytes can ask for a network of any size; its weights are in the file, except discriminators'.

    Raises:
        UserError: there are more layers or numbers than weights could fill.
    """
    layers, numbers = 0, 0
    most = 2 * sum(_numbers(value) for value in state.values() if isinstance(value, Tensor)) + SPARE_NUMBERS

    def count(module: nn.Module, name: str, value: nn.Module | nn.Parameter | None) -> None:
        nonlocal layers, numbers
        layers += 1
        numbers += value.numel() if isinstance(value, nn.Parameter) else 0
        if layers > len(state) + SPARE_LAYERS or numbers > most:
            raise UserError(LARGER)

    handles = [register_module_module_registration_hook(count), register_module_parameter_registration_hook(count)]
    try:
        yield
    except Exception as error:
        if memory.ran_out(error) and memory.bytes_requested(error) > 8 * most:  # one layer of an unbounded file
            raise UserError(LARGER) from error
        raise
    finally:
        for handle in handles:
            handle.remove()


def _numbers(value: Tensor) -> int:
    """Count the numbers that a tensor stores: repeated ones once, those of a meta tensor not at all."""
    if value.layout != torch.strided or value.is_meta:
        return 0
    return min(value.numel(), value.untyped_storage().nbytes() // value.element_size())


def restore(content: Mapping[str, Any], allow: str | Sequence[str] = ()) -> Translator:
    """Rebuild the model of a checkpoint, with its raw weights.

    Args:
        content: of the checkpoint.
        allow: packages of the caller's own that its config may name, such as "mylab.".
    """
    allowed = in_file(allow)
    config = copy.deepcopy(dict(content["config"]["model"]))
    state = content["state_dict"]
    target = target_of(config, allowed)
    if not target.reads_vgg:  # training is over; an encoder's weights are in the checkpoint
        own = state.get("encoder._extra_state", {})
        for node in _vgg_nodes(config):
            node.update({"weights": "random", "depth": own.get("depth", node["depth"])})
    extra: dict[str, Any] = {f"channels_{letter}": d["channels"] for letter, d in content["domains"].items()}
    if content.get("styles") and takes(config, "styles", allowed):
        extra["styles"] = len(content["styles"])
    with no_larger_than(state):
        model: Translator = build(config, allowed, **extra)
    wanted = {key: value for key, value in state.items() if key.split(".")[0] not in model.names_of("D")}
    try:
        missing, unknown = model.load_state_dict(wanted, strict=False)
    except RuntimeError as error:
        memory.raise_if_out(error)
        raise UserError(f"the checkpoint does not fit its own config: {' '.join(str(error).split())[:200]}") from error
    wrong = [*unknown, *(key for key in missing if key.split(".")[0] not in model.names_of("D"))]
    if wrong:
        raise UserError(f"the checkpoint does not fit its own config: {wrong[0]}")
    return model


def _vgg_nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a config that makes a VGG: building it must read no file and no network."""
    if isinstance(node, dict):
        if str(node.get("_target_", "")).startswith(f"{VGG.__module__}."):
            yield node
        for value in node.values():
            yield from _vgg_nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _vgg_nodes(value)
