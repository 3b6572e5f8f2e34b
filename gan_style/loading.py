"""A trained model from its checkpoint alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gan_style import checkpoint, portable
from gan_style.checks import shown
from gan_style.config import ALLOWED_FROM_CHECKPOINT, build, takes, target_of
from gan_style.data.values import ValueRange
from gan_style.errors import UserError
from gan_style.inference import LoadedTranslator
from gan_style.models.translator import Translator
from gan_style.paths import expanded


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
        precision: "32", or "bf16" for convolutions in bfloat16 where the device has instructions for it.
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
    return loaded(content, where, ema=ema, precision=precision, channels_last=channels_last, compile=compile)


def loaded(
    content: Mapping[str, Any],
    device: torch.device,
    *,
    ema: bool = True,
    precision: str = "32",
    channels_last: bool = False,
    compile: bool = False,
) -> LoadedTranslator:
    """The same from the content of a checkpoint."""
    model = restore(content)
    averages: Mapping[str, Any] = content["callbacks"].get("EMA", {})
    for name, state in averages.items() if ema else ():
        getattr(model, name).load_state_dict(state)
    domains = {letter: str(domain["name"]) for letter, domain in content["domains"].items()}
    values = {letter: ValueRange.described(domain) for letter, domain in content["domains"].items()}
    names: list[str] = []
    if takes(content["config"]["model"], "styles", ALLOWED_FROM_CHECKPOINT):
        names = list(content.get("styles") or [domains["B"]])  # data without names is one style, its domain
    model.requires_grad_(False).eval().to(device)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    for name in model.generators if compile else ():
        getattr(model, name).compile()
    quick = device.type == "cpu" and not (channels_last or compile)
    about = portable.described(content, averaged=bool(ema and averages) or content.get("weights") == "averaged")
    return LoadedTranslator(model, domains, names, values, precision=precision, quick=quick, about=about)


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
        there = "cpu, cuda" if torch.cuda.is_available() else "cpu (torch sees no CUDA device)"
        raise UserError(f"device={device} cannot be used: take {there}") from error
