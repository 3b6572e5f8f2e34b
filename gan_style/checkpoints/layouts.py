"""Layouts of generators that their authors publish under names of their own: SANTA, UNSB, U-GAT-IT and fast style nets.

Each is recognised by a name that no other has; sizes follow from the shapes of tensors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from gan_style.networks.attention import AttentionGenerator
from gan_style.networks.blocks import BlurPool, ResidualBlock
from gan_style.networks.bridge import BridgeGenerator
from gan_style.networks.fast_style import FastStyleGenerator
from gan_style.networks.path import PathGenerator
from gan_style.networks.resnet import DOWNSAMPLING

State = dict[str, Tensor]
BINOMIAL = {3: (1.0, 2.0, 1.0), 4: (1.0, 3.0, 3.0, 1.0)}


class Layout(NamedTuple):
    """Layout of a published generator.

    Attributes:
        mark: the name of a tensor that only it has.
        target: our class.
        said: what it is, for messages.
        node: state -> the config of our network, and its channels in and out.
        names: our network -> its names by the official ones, and official buffers that ours computes.
        unused: pattern of the names of tensors that the official network has and does not use.
        flat: pattern of the names of tensors [1, C, 1, 1] that are [C] in ours.
        roots: pattern with which the names of all its tensors begin.
        signed: changes the weights of a network of pictures in another range to those of one in [-1, 1].
    """

    mark: str
    target: str
    said: str
    node: Callable[[State], tuple[dict[str, Any], tuple[int, int]]]
    names: Callable[[Any], tuple[dict[str, str], State]]
    unused: str = "$^"
    flat: str = "$^"
    roots: str = r"model\."
    signed: Callable[[State], State] = dict

    def prepared(self, state: State) -> State:
        """Return the tensors that are used, in the shapes of ours."""
        used = {key: value for key, value in state.items() if not re.search(self.unused, key)}
        used = {key: value.flatten() if re.search(self.flat, key) else value for key, value in used.items()}
        return self.signed(used)


def binomial(size: int, channels: int) -> Tensor:
    """Return a binomial kernel [channels, 1, size, size] of sum 1."""
    row = torch.tensor(BINOMIAL[size])
    return (row.outer(row) / row.sum() ** 2).repeat(channels, 1, 1, 1)


def sampling(state: State) -> dict[str, str]:
    """Return how the network of a state halves and enlarges: its buffers are CUT's binomial filters."""
    sides = [value.shape[-1] for key, value in state.items() if key.endswith(".filt") and value.dim() == 4]
    return {"upsample": "bilinear" if 4 in sides else "deconv", "downsample": "blur" if 3 in sides else "stride"}


def encoder_names(layers: nn.Sequential, ours: str, theirs: str) -> tuple[dict[str, str], State]:
    """Map the names of halvings and residual blocks, which have the same numbers in both."""
    names, filters, width = {}, {}, 0
    for number, layer in enumerate(layers):
        if isinstance(layer, BlurPool):
            filters[f"{theirs}.{number}.filt"] = binomial(3, width)
        width = layer.out_channels if isinstance(layer, nn.Conv2d) else width
        for key in layer.state_dict():
            other = key.replace("layers.", "conv_block.", 1) if isinstance(layer, ResidualBlock) else key
            names[f"{theirs}.{number}.{other}"] = f"{ours}.{number}.{key}"
    return names, filters


def _both(ours: str, theirs: str, parts: tuple[str, ...] = ("weight", "bias")) -> dict[str, str]:
    return {f"{theirs}.{part}": f"{ours}.{part}" for part in parts}


def _path_node(state: State) -> tuple[dict[str, Any], tuple[int, int]]:
    blocks = len({m[1] for m in matches(r"((?:en|de)coder\.\d+)\.conv_block\.1\.weight", state)})
    last = max(int(m[1]) for m in matches(r"decoder\.(\d+)\.weight", state))
    node = {
        "_target_": "gan_style.networks.path.PathGenerator",
        "_partial_": True,
        "filters": state["encoder.1.weight"].shape[0],
        "blocks": blocks,
        "domain_size": state["domain_embedding.weight"].shape[1],
        **sampling(state),
    }
    return node, (state["encoder.1.weight"].shape[1], state[f"decoder.{last}.weight"].shape[0])


def _path_names(network: PathGenerator) -> tuple[dict[str, str], State]:
    names, filters = encoder_names(network.encoder, "encoder", "encoder")
    place = 0
    for place in range(len(network.blocks)):
        for half, (convolution, norm) in enumerate(((1, 2), (5, 6))):
            theirs, ours = f"decoder.{place}.conv_block", f"blocks.{place}"
            names |= _both(f"{ours}.convolutions.{half}", f"{theirs}.{convolution}")
            names |= _both(f"{ours}.norms.{half}.modulation", f"{theirs}.{norm}.fc")
    place = len(network.blocks)
    for level, up in enumerate(network.up):
        last, blur = _enlarging(up)
        filters |= {f"decoder.{place}.filt": one for one in blur}
        place += len(blur)
        names |= _both(f"up.{level}.{last}", f"decoder.{place}")
        names |= _both(f"norms.{level}.modulation", f"decoder.{place + 1}.fc")
        place += 3
    return names | _both("last.1", f"decoder.{place + 1}") | {"domain_embedding.weight": "domains"}, filters


def _bridge_node(state: State) -> tuple[dict[str, Any], tuple[int, int]]:
    last = max(int(m[1]) for m in matches(r"model_upsample\.(\d+)\.weight", state))
    node = {
        "_target_": "gan_style.networks.bridge.BridgeGenerator",
        "_partial_": True,
        "filters": state["model.1.weight"].shape[0],
        "blocks": len(list(matches(r"model_res\.\d+\.adaptive\.style_net\.weight", state))),
        "mapping_layers": len(list(matches(r"z_transform\.\d+\.weight", state))) - 1,
        **sampling(state),
    }
    return node, (state["model.1.weight"].shape[1], state[f"model_upsample.{last}.weight"].shape[0])


def _bridge_names(network: BridgeGenerator) -> tuple[dict[str, str], State]:
    names, filters = encoder_names(network.stem, "stem", "model")
    for block in range(len(network.blocks)):
        names |= _both(f"blocks.{block}.modulation", f"model_res.{block}.adaptive.style_net")
        names |= _both(f"blocks.{block}.convolution", f"model_res.{block}.conv_fin.2")
    place = 0
    for index in (0, 3):
        last, blur = _enlarging(network.up[index])
        filters |= {f"model_upsample.{place}.filt": one for one in blur}
        place += len(blur)
        names |= _both(f"up.{index}.{last}", f"model_upsample.{place}")
        place += 3
    names |= _both("up.7", f"model_upsample.{place + 1}")
    for number in range(0, len(network.mapping), 2):
        names |= _both(f"mapping.{number}", f"z_transform.{number + 1}")
    return names, filters


def _attention_node(state: State) -> tuple[dict[str, Any], tuple[int, int]]:
    wide, wanted = state["gamma.weight"].shape[0], state["FC.0.weight"].shape[1]
    last = max(int(m[1]) for m in matches(r"UpBlock2\.(\d+)\.weight", state))
    node = {
        "_target_": "gan_style.networks.attention.AttentionGenerator",
        "_partial_": True,
        "filters": state["DownBlock.1.weight"].shape[0],
        "blocks": len(list(matches(r"UpBlock1_\d+\.conv1\.weight", state))),
        "image_size": None if wanted == wide else DOWNSAMPLING * math.isqrt(wanted // wide),
    }
    return node, (state["DownBlock.1.weight"].shape[1], state[f"UpBlock2.{last}.weight"].shape[0])


def _attention_names(network: AttentionGenerator) -> tuple[dict[str, str], State]:
    names, _ = encoder_names(network.encoder, "encoder", "DownBlock")
    names |= {"gap_fc.weight": "attention.by_mean.weight", "gmp_fc.weight": "attention.by_maximum.weight"}
    names |= _both("attention.mix", "conv1x1")
    names |= {"FC.0.weight": "modulation.0.weight", "FC.2.weight": "modulation.2.weight"}
    names |= {"gamma.weight": "scale.weight", "beta.weight": "shift.weight"}
    for block in range(len(network.blocks)):
        for half in (0, 1):
            theirs = f"UpBlock1_{block + 1}"
            names[f"{theirs}.conv{half + 1}.weight"] = f"blocks.{block}.convolutions.{half}.weight"
            names[f"{theirs}.norm{half + 1}.rho"] = f"blocks.{block}.norms.{half}.rho"
    for level, (convolution, norm) in enumerate(((2, 3), (7, 8))):
        names[f"UpBlock2.{convolution}.weight"] = f"up.{3 * level}.2.weight"
        for theirs, ours in (("rho", "rho"), ("gamma", "scale"), ("beta", "shift")):
            names[f"UpBlock2.{norm}.{theirs}"] = f"up.{3 * level + 1}.{ours}"
    return names | {"UpBlock2.11.weight": "up.7.weight"}, {}


def _fast_style_node(state: State) -> tuple[dict[str, Any], tuple[int, int]]:
    node = {
        "_target_": "gan_style.networks.fast_style.FastStyleGenerator",
        "_partial_": True,
        "filters": state["conv1.conv2d.weight"].shape[0],
        "blocks": len(list(matches(r"res\d+\.conv1\.conv2d\.weight", state))),
    }
    return node, (state["conv1.conv2d.weight"].shape[1], state["deconv3.conv2d.weight"].shape[0])


def _fast_style_names(network: FastStyleGenerator) -> tuple[dict[str, str], State]:
    names: dict[str, str] = {}
    place = 1
    for number in (1, 2, 3):
        names |= _both(f"layers.{place}", f"conv{number}.conv2d") | _both(f"layers.{place + 1}", f"in{number}")
        place += 4
    place -= 1  # a block pads inside
    while isinstance(network.layers[place], ResidualBlock):
        number = place - 11
        for half, (convolution, norm) in enumerate(((1, 2), (5, 6)), 1):
            names |= _both(f"layers.{place}.layers.{convolution}", f"res{number}.conv{half}.conv2d")
            names |= _both(f"layers.{place}.layers.{norm}", f"res{number}.in{half}")
        place += 1
    for number in (1, 2):
        names |= _both(f"layers.{place}.2", f"deconv{number}.conv2d") | _both(f"layers.{place + 1}", f"in{number + 3}")
        place += 3
    return names | _both(f"layers.{place + 1}", "deconv3.conv2d"), {}


def _from_bytes(state: State) -> State:
    """Let a fast style net take and give pictures in [-1, 1] instead of [0, 255]; its borders are reflected."""
    first, last, half = "conv1.conv2d", "deconv3.conv2d", 127.5
    changed = {
        f"{first}.weight": state[f"{first}.weight"] * half,
        f"{first}.bias": state[f"{first}.bias"] + half * state[f"{first}.weight"].sum(dim=(1, 2, 3)),
        f"{last}.weight": state[f"{last}.weight"] / half,
        f"{last}.bias": state[f"{last}.bias"] / half - 1,
    }
    return state | changed


def _enlarging(up: nn.Module) -> tuple[int, list[Tensor]]:
    """Return the place of the convolution in a layer that enlarges, and CUT's filter before it where it has one."""
    parts = list(up.children())
    channels = cast(nn.Conv2d | nn.ConvTranspose2d, parts[-1]).in_channels
    return len(parts) - 1, [4 * binomial(4, channels)] if len(parts) > 1 else []


def matches(pattern: str, state: State) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern with the whole names of tensors."""
    return (found for key in state if (found := re.fullmatch(pattern, key)))


LAYOUTS = (
    Layout(
        "domain_embedding.weight",
        "gan_style.networks.path.PathGenerator",
        "a generator of SANTA",
        _path_node,
        _path_names,
        roots=r"(encoder|decoder|domain_embedding)\.",
    ),
    Layout(
        "z_transform.1.weight",
        "gan_style.networks.bridge.BridgeGenerator",
        "a generator of UNSB",
        _bridge_node,
        _bridge_names,
        unused=r"model_res\.\d+\.(conv_block|Dense_time|style)\.|^time_embed\.",
        roots=r"(model|model_res|model_upsample|z_transform|time_embed)\.",
    ),
    Layout(
        "DownBlock.1.weight",
        "gan_style.networks.attention.AttentionGenerator",
        "a generator of U-GAT-IT",
        _attention_node,
        _attention_names,
        flat=r"\.rho$|^UpBlock2\.\d+\.(gamma|beta)$",
        roots=r"(DownBlock|UpBlock1_\d+|UpBlock2|gap_fc|gmp_fc|conv1x1|FC|gamma|beta)\.",
    ),
    Layout(
        "conv1.conv2d.weight",
        "gan_style.networks.fast_style.FastStyleGenerator",
        "a fast style net",
        _fast_style_node,
        _fast_style_names,
        unused=r"\.(running_mean|running_var|num_batches_tracked)$",
        roots=r"(conv|in|res|deconv)\d\.",
        signed=_from_bytes,
    ),
)
RESNET, UNET = "model.1.weight", "model.model.0.weight"  # the first convolutions of CycleGAN's and its kin
MARKS = (RESNET, UNET, *(one.mark for one in LAYOUTS))


def layout_of(state: State) -> Layout | None:
    """Return the layout whose mark is in a state dict."""
    return next((one for one in LAYOUTS if one.mark in state), None)


def is_resnet(state: State) -> bool:
    """Check for the first convolution of CycleGAN's ResNet, of 7x7."""
    return RESNET in state and state[RESNET].shape[2:] == (7, 7)


def is_unet(state: State) -> bool:
    """Check for the first and the last convolution of pix2pix' U-Net."""
    return all(name in state and state[name].dim() == 4 for name in (UNET, "model.model.3.weight"))


def is_generator(state: State) -> bool:
    """Check whether a state dict is, by a few of its names, that of a generator in one of the layouts."""
    return layout_of(state) is not None or is_resnet(state) or is_unet(state)


def roots_of(state: State) -> str:
    """Return the pattern with which the names of a generator's tensors begin; what else is there is none of it."""
    layout = layout_of(state)
    return layout.roots if layout else r"model\."
