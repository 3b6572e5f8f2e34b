"""A trained model from its checkpoint alone."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from gan_style import checkpoint, memory, portable
from gan_style.checks import shown
from gan_style.config import ALLOWED_FROM_CHECKPOINT, build, takes, target_of
from gan_style.data.values import ValueRange
from gan_style.errors import UserError
from gan_style.inference import LoadedTranslator
from gan_style.models.translator import Translator
from gan_style.paths import expanded, printable

# What a model may have beside the weights of its file: discriminators, which an export leaves out.
SPARE_NUMBERS, SPARE_LAYERS = 2**28, 10_000
LARGER = "the checkpoint's config asks for a far larger network than its weights are of"


def load(
    path: str | Path,
    *,
    device: str | None = None,
    ema: bool = True,
    precision: str = "32",
    channels_last: bool = False,
    compile: bool = False,
) -> LoadedTranslator:
    """A trained model, ready to translate.

    Args:
        path: a checkpoint of ours, or a .safetensors that was exported from one; it carries everything that is needed.
        device: "cuda", "cpu", ...; None takes a GPU where there is one.
        ema: the averaged weights of the generators, where training kept them.
        precision: "32", or "bf16" for most products in bfloat16 where the device has instructions for it.
        channels_last: the layout of weights and maps; faster on recent GPUs.
        compile: by `torch.compile`: the first picture of a size takes minutes, the others less.

    Raises:
        UserError: not a checkpoint of ours, no such device, or one without that precision.
    """
    if not isinstance(path, (str, Path)) or not str(path):
        raise UserError(f"a checkpoint is given by its path, not by {shown(path)}")
    where = device_of(device)
    _refuse_precision(precision, where)
    content = checkpoint.load(expanded(path))
    with naming(path):
        return loaded(content, where, ema=ema, precision=precision, channels_last=channels_last, compile=compile)


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Begin the sentence about a checkpoint with the name of its file."""
    try:
        yield
    except UserError as error:
        said = str(error)
        raise UserError(said if printable(str(path)) in said else f"{path}: {said}") from error


def loaded(
    content: Mapping[str, Any],
    device: torch.device,
    *,
    ema: bool = True,
    precision: str = "32",
    channels_last: bool = False,
    compile: bool = False,
) -> LoadedTranslator:
    """The same from the content of a checkpoint.

    Raises:
        UserError: its parts do not fit one another.
    """
    with fitting():
        return _loaded(content, device, ema, precision, channels_last, compile)


def _loaded(
    content: Mapping[str, Any], device: torch.device, ema: bool, precision: str, channels_last: bool, compile: bool
) -> LoadedTranslator:
    model = restore(content)
    averages: Mapping[str, Any] = content["callbacks"].get("EMA", {})
    for name, state in averages.items() if ema else ():
        getattr(model, name).load_state_dict(state)
    domains = {letter: printable(str(domain["name"])) for letter, domain in content["domains"].items()}
    values = {letter: ValueRange.described(domain) for letter, domain in content["domains"].items()}
    names: list[str] = []
    if takes(content["config"]["model"], "styles", ALLOWED_FROM_CHECKPOINT):
        names = [
            printable(str(name)) for name in content.get("styles") or [domains["B"]]
        ]  # data without names is one style, its domain
    model.requires_grad_(False).eval().to(device)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    for name in model.generators if compile else ():
        getattr(model, name).compile()
    quick = device.type == "cpu" and not (channels_last or compile)
    about = portable.described(content, averaged=bool(ema and averages) or content.get("weights") == "averaged")
    return LoadedTranslator(model, domains, names, values, precision=precision, quick=quick, about=about)


@contextlib.contextmanager
def fitting() -> Iterator[None]:
    """Whatever the parts of a checkpoint break that was written or changed by something else, as a sentence."""
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
    """Inside, a model that needs far more than the weights at hand is refused before its memory is touched.

    A config is some bytes and can ask for a network of any size; weights have to be there, but for discriminators.

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
        if memory.ran_out(error) and memory.asked(error) > 8 * most:  # by one layer, before it could be counted
            raise UserError(LARGER) from error
        raise
    finally:
        for handle in handles:
            handle.remove()


def _numbers(value: Tensor) -> int:
    """How many numbers a tensor holds: one that is repeated by its strides is there once, one of meta not at all."""
    if value.layout != torch.strided or value.is_meta:
        return 0
    return min(value.numel(), value.untyped_storage().nbytes() // value.element_size())


def _refuse_precision(precision: str, device: torch.device) -> None:
    if precision not in ("32", "bf16"):
        raise UserError(f"precision={shown(precision)} is not known: take 32 or bf16")
    cpu = device.type == "cpu"
    there = torch.ops.mkldnn._is_mkldnn_bf16_supported() if cpu else torch.cuda.is_bf16_supported()
    if precision == "bf16" and not there:  # emulated on a CPU, some hundred times slower
        raise UserError(
            f"precision=bf16 needs a device with instructions for it, and this {device.type} has none: take 32"
        )


def restore(content: Mapping[str, Any]) -> Translator:
    """The model of a checkpoint, with its raw weights."""
    config = copy.deepcopy(dict(content["config"]["model"]))
    state = content["state_dict"]
    target = target_of(config, ALLOWED_FROM_CHECKPOINT)
    for node in (config.get("vgg"), (config.get("discriminator") or {}).get("vgg")):
        if node and not target.reads_vgg:  # training is over; an encoder's weights are in the checkpoint
            own = state.get("encoder._extra_state", {})
            node.update({"weights": "random", "depth": own.get("depth", node["depth"])})
    extra: dict[str, Any] = {f"channels_{letter}": d["channels"] for letter, d in content["domains"].items()}
    if content.get("styles") and takes(config, "styles", ALLOWED_FROM_CHECKPOINT):
        extra["styles"] = len(content["styles"])
    with no_larger_than(state):
        model: Translator = build(config, ALLOWED_FROM_CHECKPOINT, **extra)
    wanted = {key: value for key, value in state.items() if key.split(".")[0] not in model.discriminators}
    try:
        missing, unknown = model.load_state_dict(wanted, strict=False)
    except RuntimeError as error:
        raise UserError(f"the checkpoint does not fit its own config: {' '.join(str(error).split())[:200]}") from error
    wrong = [*unknown, *(key for key in missing if key.split(".")[0] not in model.discriminators)]
    if wrong:
        raise UserError(f"the checkpoint does not fit its own config: {wrong[0]}")
    return model


def device_of(device: Any) -> torch.device:
    """The device of this name, which must be there; for None a GPU where there is one.

    Raises:
        UserError: torch knows no such device, or sees none.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        memory.raise_if_out(error)
        there = "cpu, cuda" if torch.cuda.is_available() else "cpu (torch sees no CUDA device)"
        raise UserError(f"device={device} cannot be used: take {there}") from error
