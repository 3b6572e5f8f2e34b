"""Published files of models that take any picture as a style: MicroAST's, and decoders with the VGG that they invert.

Such a model lies in several files. Each part is recognised by names and shapes of its tensors, in whichever file:

    enc1.0.conv_layer.weight              an encoder of MicroAST; the file's name says whether of contents or styles
    weight1.0.conv_layer.weight, dec1...  its modulator and its decoder
    N.weight, from 128 to 512 channels    a decoder of VGG's features, as the codes of AdaIN and WCT number its layers
    0.weight of 3x3x1x1, or features...   the VGG

Published networks take and give pictures in [0, 1]: their first and last convolutions are converted to [-1, 1].
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_style.checkpoints import nested
from gan_style.core import weights
from gan_style.core.errors import UserError
from gan_style.core.paths import printable
from gan_style.models.adain import AdaIN
from gan_style.models.microast import MicroAST
from gan_style.models.wct import WCT
from gan_style.networks.adain import AdaINDecoder
from gan_style.networks.vgg import VGG, WIDTHS

State = dict[str, Tensor]
MICROAST = ("content_encoder", "style_encoder", "modulator", "decoder")
OF_FEATURES = ("decoder of features", "VGG")
TRANSFORMS: dict[str, type[AdaIN] | type[WCT]] = {"adain": AdaIN, "wct": WCT}  # of features, by the name of the method
SUFFIXES = (".pth", ".pt", ".tar", ".safetensors")
KINDS = ("weight", "bias")
DEPTHS = ("relu2_1", "relu3_1", "relu4_1")
ADAM = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 1e-4}
# Where the parts of MicroAST are named otherwise: the beginning of a name there, and here.
ENCODER = {
    "enc1.0.conv_layer": "near.0.1",
    "enc1.2.conv_layer": "near.2.1",
    "enc1.4.conv_layer": "near.4",
    "enc1.6.conv_layer": "near.6.1",
    "enc1.8.conv_layer": "near.8",
    **{f"enc1.10.conv{n}.conv_layer": f"near.10.{part}.1" for n, part in ((1, "first"), (2, "second"))},
    **{f"enc2.0.conv{n}.conv_layer": f"far.{part}.1" for n, part in ((1, "first"), (2, "second"))},
}
DECODER = {
    **{
        f"dec{place}.conv{n}.conv_layer": f"blocks.{level}.{part}.1"
        for place, level in ((1, 1), (2, 0))  # the deeper features come first
        for n, part in ((1, "first"), (2, "second"))
    },
    "dec3.1.conv_layer": "layers.1.1",
    "dec3.3.conv_layer": "layers.3",
    "dec3.6.conv_layer": "layers.6.1",
    "dec3.8.conv_layer": "layers.8",
    "dec3.10.conv_layer": "layers.10.1",
}
MODULATOR = {
    f"{kind}{level + 1}.0.conv_layer": f"{ours}.{level}.1"
    for kind, ours in (("weight", "weights"), ("bias", "biases"))
    for level in (0, 1)
}


class Part(NamedTuple):
    """Part of a published model: its weights, and the file that they are from."""

    path: Path
    state: State
    sha256: str
    notes: tuple[str, ...] = ()


class StyleModel(NamedTuple):
    """Published model as one of ours.

    Attributes:
        said: what it is, for messages.
        config: of our method.
        state: its weights by our names.
        sources: part -> the file that it is from.
    """

    said: str
    config: dict[str, Any]
    state: State
    sources: dict[str, Part]


def read(sources: Sequence[Path], transform: str | None = None) -> StyleModel | None:
    """Read the files of a published model, in any order; None where they hold no part of one.

    Args:
        sources: files, or folders whose files of weights are meant.
        transform: what is done with the features that a decoder inverts, which no file tells: "adain" (None), or "wct".

    Raises:
        UserError: no such file, a part is missing or there twice, its tensors are not those of that part, or a
            transform of another model.
    """
    if transform is not None and transform not in TRANSFORMS:
        raise UserError(f"transform={transform} is not known: take {' or '.join(TRANSFORMS)}")
    parts: dict[str, Part] = {}
    for path in _files(sources):
        networks, sha256 = weights.read_networks(path, "a network")
        for name, state in _named(path, networks):
            if name in parts:
                raise UserError(f"{path} and {parts[name].path} both hold the {name} of a model: name one of them")
            try:
                used, notes = nested.cleaned(state)
            except UserError as error:
                raise UserError(f"{path} {error}") from error
            parts[name] = Part(path, used, sha256, tuple(notes))
    is_microast = any(name in parts for name in MICROAST)
    if transform is not None and (is_microast or not parts):
        raise UserError(
            f"transform={transform} is of a decoder of VGG's features, and "
            f"{' and '.join(path.name for path in sources)} holds none: leave it out"
        )
    if not parts:
        return None
    kind, wanted = ("MicroAST", MICROAST) if is_microast else ("a decoder of VGG's features", OF_FEATURES)
    missing = [name for name in wanted if name not in parts]
    if missing:
        found = " and ".join(f"the {name} ({part.path.name})" for name, part in parts.items())
        raise UserError(
            f"of {kind} there is {found}, and no {' and no '.join(missing)}: name the files of all parts, or a folder "
            "that holds them"
        )
    chosen = {name: parts[name] for name in wanted}
    return _microast(chosen) if is_microast else _of_features(chosen, transform or "adain")


def _files(sources: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for source in sources:
        inside = sorted(path for path in source.iterdir() if path.suffix in SUFFIXES) if source.is_dir() else [source]
        if not inside:
            raise UserError(f"{source} holds no file of weights ({', '.join(SUFFIXES)}): name the folder that does")
        found += inside
    return found


def _named(path: Path, networks: Mapping[str, State]) -> Iterator[tuple[str, State]]:
    """Yield the parts that a file holds: dicts of tensors, or one whose names begin with those of the parts."""
    for label, state in networks.items():
        inside = [(part, _below(f"{part}.", state)) for part in MICROAST]
        for name, one in [(label or path.name, state), *inside]:
            if part := _part(path, name, one):
                yield part, one


def _below(prefix: str, state: State) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _part(path: Path, name: str, state: State) -> str | None:
    """Recognise a part by its tensors; None for any other network."""
    if "enc1.0.conv_layer.weight" in state:
        sides = [part for part in MICROAST[:2] if part.split("_")[0] in name.lower()]
        if len(sides) != 1:
            raise UserError(
                f"{path} holds an encoder of MicroAST, and its name does not say of what: call the two "
                f"{MICROAST[0]}.pth and {MICROAST[1]}.pth"
            )
        return sides[0]
    if "weight1.0.conv_layer.weight" in state:
        return "modulator"
    if "dec1.conv1.conv_layer.weight" in state:
        return "decoder"
    first = state.get("features.0.weight", state.get("0.weight"))
    if first is not None and first.dim() == 4 and first.shape[1] == 3:
        return OF_FEATURES[1]
    layers = _numbered(state)
    kernels = [value for key, value in layers if key.endswith("weight")]
    is_decoder = len(layers) == len(state) and len(kernels) > 1 and all(kernel.dim() == 4 for kernel in kernels)
    return OF_FEATURES[0] if is_decoder and kernels[0].shape[1] in WIDTHS and len(kernels[-1]) == 3 else None


def _numbered(state: State) -> list[tuple[str, Tensor]]:
    """Return the tensors `N.weight` and `N.bias` of a state, in the order of their numbers."""
    found = [(int(match[1]), key) for key in state if (match := re.fullmatch(r"(\d+)\.(weight|bias)", key))]
    return [(key, state[key]) for _, key in sorted(found, key=lambda one: (one[0], one[1].endswith("bias")))]


def _microast(parts: Mapping[str, Part]) -> StyleModel:
    names = {"content_encoder": ENCODER, "style_encoder": ENCODER, "modulator": MODULATOR, "decoder": DECODER}
    config = {"_target_": f"{MicroAST.__module__}.{MicroAST.__name__}", "vgg": None, "optimizer_G": dict(ADAM)}
    model = MicroAST(None, optimizer_G=torch.optim.Adam)
    state = model.state_dict()
    for part, (path, given, *_) in parts.items():
        theirs = {f"{old}.{kind}": f"{part}.{new}.{kind}" for old, new in names[part].items() for kind in KINDS}
        _require(path, given, {old: state[new] for old, new in theirs.items()})
        state |= {new: given[old] for old, new in theirs.items()}
    for encoder in MICROAST[:2]:
        _take_signed(state, f"{encoder}.near.0.1")
    _give_signed(state, "decoder.layers.10.1")
    return StyleModel("MicroAST", config, state, dict(parts))


def _of_features(parts: Mapping[str, Part], transform: str) -> StyleModel:
    decoder, encoder = (parts[name] for name in OF_FEATURES)
    given = dict(_numbered(decoder.state))
    depth, made = _decoder_like(decoder.path, given)
    vgg = VGG(str(encoder.path), depth=depth)
    state = {f"decoder.{ours}": value for ours, value in zip(made, given.values(), strict=True)}
    _give_signed(state, f"decoder.{list(made)[-1].removesuffix('.bias')}")
    state |= {f"encoder.{name}": value for name, value in vgg.state_dict().items()}
    method = TRANSFORMS[transform]
    config: dict[str, Any] = {
        "_target_": f"{method.__module__}.{method.__name__}",
        "vgg": {"_target_": f"{VGG.__module__}.{VGG.__name__}", "weights": "random", "depth": depth},
        "decoder": {"_target_": f"{AdaINDecoder.__module__}.{AdaINDecoder.__name__}", "_partial_": True},
    }
    if method is AdaIN:
        config["optimizer_G"] = dict(ADAM)
        means = torch.zeros(2, 1, vgg.channels[depth])  # of the styles of training, which no file tells
        state |= {"style_mean": means[0], "style_std": means[1]}
    return StyleModel(f"{method.__name__} from {depth}", config, state, dict(parts))


def _decoder_like(path: Path, given: Mapping[str, Tensor]) -> tuple[str, State]:
    """Return the layer whose decoder of ours has these tensors, and those of ours."""
    shapes = [value.shape for value in given.values()]
    for depth in DEPTHS:
        made = AdaINDecoder(depth).state_dict()
        if [value.shape for value in made.values()] == shapes:
            return depth, made
    raise UserError(
        f"{path} is no decoder of VGG's features that we know: expected the convolutions from {' or '.join(DEPTHS)} of "
        f"VGG-19 to a picture, found {len(shapes) // 2} of other shapes"
    )


def _require(path: Path, given: State, expected: State) -> None:
    """Raise a UserError unless a part has the tensors that are expected, and no other."""
    for name in [*expected, *given]:
        found, wanted = (list(one[name].shape) if name in one else "nothing" for one in (given, expected))
        if found != wanted:
            raise UserError(f"{path} is no part of MicroAST: {printable(name)} is {found} and should be {wanted}")


def _take_signed(state: State, convolution: str) -> None:
    """Let a convolution that takes pictures in [0, 1] take them in [-1, 1]; its border is reflected, not zero."""
    weight, bias = (state[f"{convolution}.{kind}"] for kind in KINDS)
    state[f"{convolution}.bias"] = bias + weight.sum(dim=(1, 2, 3)) / 2
    state[f"{convolution}.weight"] = weight / 2


def _give_signed(state: State, convolution: str) -> None:
    """Let a convolution that gives pictures in [0, 1] give them in [-1, 1]."""
    weight, bias = (state[f"{convolution}.{kind}"] for kind in KINDS)
    state |= {f"{convolution}.weight": 2 * weight, f"{convolution}.bias": 2 * bias - 1}
