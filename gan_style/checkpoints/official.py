"""Generators in the layouts of official code: CycleGAN, pix2pix and CUT, whose layers are numbered, and `layouts`.

One walk over a network of ours gives the official name of each of its tensors, for reading and writing. The network of
a file is recognised by names and shapes:

    model.1 is a 7x7 convolution; model.N.conv_block      ResNet: filters, channels, blocks
    model.model.0, .1.model, .3.model, ...                U-Net: as many halvings as levels
    a bias on the first convolution, a weight on a norm   instance norm, batch norm; neither: no norm; both: instance
                                                          norm with scale and shift
    conv_block.6 in place of .5                           dropout; that of a U-Net leaves no trace
    filt of 3x3, of 4x4                                   CUT's anti-aliased down- and upsampling
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from gan_style.checkpoints import nested
from gan_style.checkpoints.layouts import (
    LAYOUTS,
    State,
    binomial,
    is_resnet,
    is_unet,
    layout_of,
    matches,
    sampling,
)
from gan_style.checkpoints.restore import no_larger_than
from gan_style.core import memory, weights
from gan_style.core.allowed import ALLOWED_FROM_CHECKPOINT
from gan_style.core.config import build
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.paths import printable
from gan_style.networks.blocks import BlurPool, ResidualBlock, Upsample
from gan_style.networks.contract import noised
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.unet import UNetGenerator

NO_GENERATOR = (
    "is no generator of CycleGAN, pix2pix, CUT, SANTA, UNSB or U-GAT-IT, no fast style net, no part of MicroAST or "
    "AdaIN, and holds none: expected a *_net_G.pth (a checkpoint of gan_style needs no import)"
)
EXPECTED = (
    "expected the *_net_G.pth of CycleGAN, pix2pix or CUT, or a generator of SANTA, UNSB or U-GAT-IT (a checkpoint of "
    "gan_style needs no import)"
)
_NONE = torch.empty(0)
DROPOUT = 0.5  # the official code has no other


class Generator(NamedTuple):
    """Content of an official file."""

    node: dict[str, Any]  # the config of our network
    in_channels: int
    out_channels: int
    state: State  # by our names
    notes: tuple[str, ...] = ()  # what of the file is left out or changed, in words that continue its name


class Names(NamedTuple):
    """Our tensors by official names."""

    ours: dict[str, str]  # official -> ours
    filters: State  # official buffers that ours computes
    silent: list[str]  # biases of ours that the official network does not have


def read(path: Path, direction: str = "A2B") -> tuple[Generator, str]:
    """Read an official generator, and the file's SHA-256.

    Args:
        path: a state dict such as `latest_net_G.pth`, also of a wrapped or compiled network, inside other dicts, or
            beside other networks.
        direction: which of several, where their names tell.

    Raises:
        UserError: no such file, one that would run code, or not such a generator.
    """
    content, sha256 = weights.read_whole(path, "a generator")
    tensors = nested.tensors_in(content, path)
    if not tensors:
        raise UserError(f"{path} holds no tensors by name: {EXPECTED}")
    generators = nested.generators_in(tensors)
    if not generators:
        there = nested.left_out(tensors, "", {})
        named = nested.listed(there if there[1:] else tensors)
        raise UserError(f"{path} {NO_GENERATOR}, but its tensors are {named}")
    try:
        name, choice = nested.chosen(generators, Direction(direction))
        state, notes = nested.cleaned(generators[name])
        others = nested.left_out(tensors, name, generators)
        notes = [*choice, *([f"left out are {nested.listed(others)}"] if others else []), *notes]
        return from_official(state)._replace(notes=tuple(notes)), sha256
    except UserError as error:
        raise UserError(f"{path} {error}") from error
    except (ArithmeticError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        memory.raise_if_out(error)
        # a tensor that tells a size is missing, empty, or of few dimensions
        raise UserError(f"{path} is no generator of official code: its tensors do not fit together") from error


def from_official(state: State) -> Generator:
    """Find the network that an official state dict is of, and rename its weights to ours.

    Raises:
        UserError: we have no such network; the message continues the name of the file.
    """
    layout = layout_of(state)
    if layout:
        state = layout.prepared(state)
        node, channels = layout.node(state)
    elif is_resnet(state):
        node, channels = _resnet(state)
    elif is_unet(state):
        node, channels = _unet(state)
    else:
        raise UserError(NO_GENERATOR)
    try:
        with no_larger_than(state):
            network = build(node, ALLOWED_FROM_CHECKPOINT)(in_channels=channels[0], out_channels=channels[1])
    except ValueError as error:
        raise UserError(f"is no network of the official code: {error}") from error
    names = Names(*layout.names(network), []) if layout else names_of(network)
    own = network.state_dict()
    counters = [name for name in names.ours if name.endswith("num_batches_tracked")]  # none before PyTorch 0.4.1
    state = {**dict.fromkeys(counters, torch.tensor(0)), **state}
    shapes = {official: own[ours].shape for official, ours in names.ours.items()}
    shapes |= {name: value.shape for name, value in names.filters.items()}
    there = {name: value.shape for name, value in state.items()}
    wrong = next((name for name in [*state, *shapes] if there.get(name) != shapes.get(name)), None)
    if wrong:
        found, expected = (list(one[wrong]) if wrong in one else "nothing" for one in (there, shapes))
        raise UserError(f"is not quite {said(node)}: {printable(str(wrong))} is {found} and should be {expected}")
    other = next((name for name, value in names.filters.items() if not torch.equal(state[name], value)), None)
    if other:
        raise UserError(f"blurs with another filter than CUT's 1-2-1 and 1-3-3-1 ({other}), which ours does not have")
    ours = {ours: state[official] for official, ours in names.ours.items()}
    return Generator(node, *channels, ours | {name: torch.zeros_like(own[name]) for name in names.silent})


def to_official(network: nn.Module) -> State:
    """Rename the weights of a generator to the official names.

    Raises:
        UserError: the official code has no such network.
    """
    names, own = names_of(network), network.state_dict()
    for name in names.silent:
        if bool(own[name].any()):
            raise UserError(f"the official network without norms has no bias where this one has trained one ({name})")
    return {official: own[ours].clone() for official, ours in names.ours.items()} | names.filters


def names_of(network: nn.Module) -> Names:
    """Map the official names of all tensors of a network to ours.

    Raises:
        UserError: the official code has no such network.
    """
    if any("parametrizations" in name for name in network.state_dict()):
        raise UserError("the official layout has no spectral norm: export to .onnx, .pt2 or .safetensors")
    _refuse_ours(network)
    if type(network) is ResnetGenerator:
        found = Names(*_resnet_names(network), [])
    elif type(network) is UNetGenerator:
        found = Names(_unet_names(network), {}, [])
    else:
        raise UserError(
            f"the official layout has no {type(network).__name__}, only ResNets and U-Nets: export to .onnx, .pt2 or "
            ".safetensors"
        )
    if not any(isinstance(layer, nn.InstanceNorm2d | nn.BatchNorm2d) for layer in network.modules()):
        last = list(found.ours)[-1]
        for official in [name for name in found.ours if name.endswith("bias") and name != last]:
            found.silent.append(found.ours.pop(official))
    return found


def _refuse_ours(network: nn.Module) -> None:
    """Raise a UserError that names an option of ours that the official code's networks do not have."""
    ours = []
    if isinstance(network, ResnetGenerator | UNetGenerator) and network.head is not None:
        ours.append("head other than tanh")
    if isinstance(network, ResnetGenerator) and network.separable:
        ours.append("separable convolution")
    if isinstance(network, UNetGenerator) and network.full_size_skip:
        ours.append("skip connection at full size")
    if isinstance(network, UNetGenerator) and network.padding != "zeros":
        ours.append("reflected border")
    if any(part is not network for part in noised(network)):
        ours.append("noise")
    if ours:
        raise UserError(f"the official layout has no {' or '.join(ours)}: export to .onnx, .pt2 or .safetensors")


def _resnet_names(network: ResnetGenerator) -> tuple[dict[str, str], State]:
    names, filters = {}, {}
    index, width = 0, 0
    for number, layer in enumerate(network.layers):
        prefix = f"layers.{number}."
        if isinstance(layer, BlurPool):
            filters[f"model.{index}.filt"] = binomial(3, width)
        elif isinstance(layer, Upsample) and layer.mode == "bilinear":
            filters[f"model.{index}.filt"] = binomial(4, width) * 4
            index += 1
        width = next((m.out_channels for m in layer.modules() if isinstance(m, _CONVOLUTIONS)), width)
        for key in layer.state_dict():
            theirs = key
            if isinstance(layer, ResidualBlock):
                theirs = key.replace("layers.", "conv_block.", 1)
            elif isinstance(layer, Upsample):
                theirs = _convolution_of(layer, key, ("deconv", "bilinear"))
            names[f"model.{index}.{theirs}"] = prefix + key
        index += 1
    return names, filters


def _unet_names(network: UNetGenerator) -> dict[str, str]:
    names, last = {}, len(network.down) - 1
    for level, (down, up) in enumerate(zip(network.down, reversed(network.up), strict=True)):
        theirs = _level(level)
        for key in down.state_dict():
            names[f"{theirs}.{key}"] = f"down.{level}.{key}"
        # after the modules inside the level: the ReLU, then the convolution, then its norm
        before = {0: 2, last: 2}.get(level, 4)
        for key in up.state_dict():
            number, _, rest = key.partition(".")
            part = up[int(number)]  # type: ignore[index]
            rest = _convolution_of(part, rest, ("deconv",)) if isinstance(part, Upsample) else rest
            names[f"{theirs}.{before + int(number)}.{rest}"] = f"up.{last - level}.{key}"
    outermost = "model.model.3."
    return {name: names[name] for name in sorted(names, key=lambda name: name.startswith(outermost))}


def _level(level: int) -> str:
    """Return the official prefix of a level of a U-Net, each of which lies inside the one around it."""
    return "model.model" + ".1.model" * (level > 0) + ".3.model" * (level - 1)


_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def _convolution_of(layer: Upsample, key: str, modes: Sequence[str]) -> str:
    if layer.mode not in modes:
        raise UserError(
            f"the official layout has no such network of upsample={layer.mode}, only of {' and '.join(modes)}: export "
            "to .onnx, .pt2 or .safetensors"
        )
    return key.partition(".")[2]


def _norm(state: State, convolution: str, norm: str) -> str:
    if f"{norm}.weight" in state:
        return "instance_affine" if f"{convolution}.bias" in state else "batch"
    return "instance" if f"{convolution}.bias" in state else "none"


def _resnet(state: State) -> tuple[dict[str, Any], tuple[int, int]]:
    blocks = sorted({int(m[1]) for m in matches(r"model\.(\d+)\.conv_block\..*", state)})
    last = max(int(m[1]) for m in matches(r"model\.(\d+)\.weight", state))
    second = f"model.{blocks[0]}.conv_block.6.weight" if blocks else ""  # at 5 where nothing is dropped before it
    node = {
        "_target_": "gan_style.networks.resnet.ResnetGenerator",
        "_partial_": True,
        "filters": state["model.1.weight"].shape[0],
        "blocks": len(blocks),
        "norm": _norm(state, "model.1", "model.2"),
        "dropout": DROPOUT if state.get(second, _NONE).dim() == 4 else 0.0,
        **sampling(state),
    }
    return node, (state["model.1.weight"].shape[1], state[f"model.{last}.weight"].shape[0])


def _unet(state: State) -> tuple[dict[str, Any], tuple[int, int]]:
    depth = 1
    while f"{_level(depth)}.1.weight" in state:
        depth += 1
    inner = f"{_level(1)}.{4 if depth == 2 else 6}"  # the norm after the upsampling of the level below the outermost
    node = {
        "_target_": "gan_style.networks.unet.UNetGenerator",
        "_partial_": True,
        "filters": state["model.model.0.weight"].shape[0],
        "depth": depth,
        "norm": _norm(state, "model.model.0", inner),
    }
    return node, (state["model.model.0.weight"].shape[1], state["model.model.3.weight"].shape[1])


def said(node: Mapping[str, Any]) -> str:
    """Describe a network in a few words."""
    layout = next((one for one in LAYOUTS if node["_target_"] == one.target), None)
    if layout:
        kind, norm = f"{layout.said}, {node['blocks']} blocks", "instance"
    else:
        kind = f"a ResNet of {node['blocks']} blocks" if "blocks" in node else f"a U-Net of {node['depth']} halvings"
        norm = node["norm"]
    more = [f"{node['filters']} filters"]
    more += [] if layout else [{"none": "no norm", "instance_affine": "scaled instance norm"}.get(norm, f"{norm} norm")]
    more += ["dropout"] if node.get("dropout") else []
    more += ["anti-aliasing"] if node.get("downsample") == "blur" or node.get("upsample") == "bilinear" else []
    return f"{kind}, {', '.join(more)}"
