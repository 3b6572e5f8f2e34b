"""Loading of a trained model from its checkpoint or from a hub; and Gatys, which needs no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from gan_style.checkpoints import checkpoint, safetensors
from gan_style.checkpoints.hub import WEIGHTS
from gan_style.checkpoints.restore import fitting, naming, restore
from gan_style.core.allowed import in_config, in_file
from gan_style.core.checks import shown
from gan_style.core.config import build, check, takes
from gan_style.core.devices import device_of
from gan_style.core.errors import UserError
from gan_style.core.extras import extra
from gan_style.core.paths import expanded, printable
from gan_style.core.types import Wrap
from gan_style.data.values import ValueRange
from gan_style.inference.openvino import OpenVino
from gan_style.inference.translator import LoadedTranslator


def load(
    path: str | Path,
    *,
    device: str | None = None,
    ema: bool = True,
    precision: str = "32",
    channels_last: bool = False,
    compile: bool = False,
    engine: str = "torch",
    allow: str | Sequence[str] = (),
) -> LoadedTranslator:
    """Load a trained model, ready to translate.

    Args:
        path: a checkpoint of ours, or a .safetensors that was exported from one; it carries everything that is needed.
            "microast" is the model that the package carries, which takes any picture as a style.
        device: "cuda", "cpu", ...; None takes a GPU where there is one, and the CPU for OpenVINO.
        ema: take the averaged weights of the generators, where training kept them.
        precision: "32", or "bf16" for most multiplications in bfloat16 where the device has instructions for it.
        channels_last: take this layout of weights and feature maps, which is faster on recent GPUs.
        compile: use `torch.compile`: the first picture of a size takes minutes, the others less.
        engine: what computes the networks of pictures without tiles: "torch", or "openvino" on a CPU, where the first
            picture of a size takes seconds and the others less.
        allow: packages of your own that the file may name classes of, such as "mylab."; to name one is to trust it.

    Raises:
        UserError: not a checkpoint of ours, one that names a package which is not allowed, no such device, or one
            without that precision, or an engine that cannot compute the model or does not go with the rest.
    """
    _refuse_engine(engine, device, compile=compile, channels_last=channels_last)
    if not isinstance(path, (str, Path)) or not str(path):
        raise UserError(f"a checkpoint is given by its path, not by {shown(path)}")
    where = device_of("cpu" if engine == "openvino" else device)
    _refuse_precision(precision, where)
    content = checkpoint.load(expanded(path))
    with naming(path):
        translator = loaded(
            content,
            where,
            ema=ema,
            precision=precision,
            channels_last=channels_last,
            compile=compile,
            allow=allow,
        )
    if engine == "openvino":
        translator.engine = OpenVino(translator.model, precision)
    return translator


def loaded(
    content: Mapping[str, Any],
    device: torch.device,
    *,
    ema: bool = True,
    precision: str = "32",
    channels_last: bool = False,
    compile: bool = False,
    allow: str | Sequence[str] = (),
) -> LoadedTranslator:
    """Load a trained model from the content of a checkpoint.

    Raises:
        UserError: its parts do not fit one another.
    """
    with fitting():
        return _loaded(content, device, ema, precision, channels_last, compile, allow)


def _loaded(
    content: Mapping[str, Any],
    device: torch.device,
    ema: bool,
    precision: str,
    channels_last: bool,
    compile: bool,
    allow: str | Sequence[str],
) -> LoadedTranslator:
    model = restore(content, allow)
    averages: Mapping[str, Any] = content["callbacks"].get("EMA", {})
    for name, state in averages.items() if ema else ():
        getattr(model, name).load_state_dict(state)
    domains = {letter: printable(str(domain["name"])) for letter, domain in content["domains"].items()}
    values = {letter: ValueRange.described(domain) for letter, domain in content["domains"].items()}
    names: list[str] = []
    if takes(content["config"]["model"], "styles", in_file(allow)):
        names = [
            printable(str(name)) for name in content.get("styles") or [domains["B"]]
        ]  # data without names is one style, its domain
    elif model.takes_noise:  # it tells no styles of a domain apart
        names = [domains[direction.target] for direction in model.directions]
    model.requires_grad_(False).eval().to(device)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    for name in model.generators if compile else ():
        getattr(model, name).compile()
    faster = device.type == "cpu" and not (channels_last or compile)
    about = safetensors.described(content, averaged=bool(ema and averages) or content.get("weights") == "averaged")
    wrap = content["preprocessing"].get("wrap")
    if wrap not in (None, *get_args(Wrap)):
        raise ValueError(f"wrap={wrap}")
    return LoadedTranslator(
        model, domains, names, values, precision=precision, fast_convolutions=faster, about=about, wrap=wrap
    )


def _refuse_engine(engine: str, device: str | None, **others: bool) -> None:
    if engine not in ("torch", "openvino"):
        raise UserError(f"engine={shown(engine)} is not known: take torch or openvino")
    if engine == "openvino" and device not in (None, "cpu"):
        raise UserError(f"engine=openvino computes on a CPU, not on {device}: leave one of them out")
    for name, asked in others.items():
        if asked and engine != "torch":
            raise UserError(f"{name} is of torch, and does not go with engine={engine}: leave one of them out")


def _refuse_precision(precision: str, device: torch.device) -> None:
    if precision not in ("32", "bf16"):
        raise UserError(f"precision={shown(precision)} is not known: take 32 or bf16")
    cpu = device.type == "cpu"
    there = torch.ops.mkldnn._is_mkldnn_bf16_supported() if cpu else torch.cuda.is_bf16_supported()
    if precision == "bf16" and not there:  # emulated on a CPU, some hundred times slower
        raise UserError(
            f"precision=bf16 needs a device with instructions for it, and this {device.type} has none: take 32"
        )


def from_pretrained(
    name: str | Path, *, device: str | None = None, allow: str | Sequence[str] = ()
) -> LoadedTranslator:
    """Load a model from a folder, or from a repository of the hub, which is downloaded into its cache once.

    Args:
        name: of the folder or the repository.
        device, allow: see `load`.

    Raises:
        UserError: the folder holds no model, or the hub has no such repository or cannot be reached.
    """
    folder = expanded(name)
    if folder.is_dir():
        if not (folder / WEIGHTS).is_file():
            raise UserError(f"{folder} holds no {WEIGHTS}: give a folder that save_pretrained wrote")
        return load(folder / WEIGHTS, device=device, allow=allow)
    if folder.is_file():
        raise UserError(f"{folder} is a file: load it with gan_style.load")
    hub = extra("hub", "huggingface_hub")
    try:
        path = hub.hf_hub_download(str(name), WEIGHTS)
    except Exception as error:  # of the network, of the hub and of its cache: no common class
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{name} is no folder here, and the hub does not give its {WEIGHTS} ({reason}): check name and network"
        ) from error
    return load(path, device=device, allow=allow)


def gatys(weights: str | None, seed: int, overrides: Sequence[str]) -> LoadedTranslator:
    """Make the optimisation of Gatys et al., ready to be given pictures."""
    from gan_style.core.compose import composed  # Hydra, which nothing else here needs

    overrides = [*overrides, f"seed={seed}", *([f'model.vgg.weights="{weights}"'] if weights else [])]
    node = composed(["model=gatys", "data=tiny", *overrides])["model"]
    node = check(node, "model", allowed=in_config()) | {"count": 1, "size": 16}
    model = build(node, in_config())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return LoadedTranslator(model.to(device), {})
