"""Are our losses and steps those of the authors' code? Trains both on shared weights, pictures and patches.

    python experiments/faithful.py cut --peer CHECKOUT       # of the official code; its licence is between you and it

Both take twenty optimiser steps in float64 at 32 px, each by its own classes: the authors' model from their options,
ours from its config, with the filters lowered alike, pools switched off, and places of patches and coins drawn alike.
Printed for each loss term, and for the weights of each network after the last step: the largest relative difference.
Of weights those are left out whose gradient is rounding: biases before a norm, of which Adam makes steps all the same.

| method | --peer is a checkout of |
| --- | --- |
| cyclegan, cut, fastcut | taesungp/contrastive-unpaired-translation |
| dclgan, simdcl | JunlinHan/DCLGAN |
| santa | Mid-Push/santa |
| enco | XiudingCai/EnCo-pytorch |
| unsb | cyclomon/UNSB |
| ugatit, ugatit_light | znxlwm/UGATIT-pytorch |
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor, nn

from experiments import faithful_ugatit
from gan_style.core.compose import composed
from gan_style.core.config import build
from gan_style.core.terminal import Parser
from gan_style.networks.attention import AttentionDiscriminator, AttentionGenerator
from gan_style.networks.bridge import BridgeGenerator, TimedDiscriminator
from gan_style.networks.path import PathGenerator

FILTERS = 8
ROUNDING = 1e-9  # of a gradient, relative to the largest of its network
BOTH = "--normG instance --normD instance --gpu_ids -1 --num_threads 0 --pool_size 0 --preprocess none"


@dataclass(frozen=True)
class Peer:
    """The authors' code of a method.

    Attributes:
        options: of its command line.
        networks: of ours -> of theirs.
        terms: of ours -> theirs, and what theirs is multiplied with that ours is not.
        words: overrides of ours.
        size: of the pictures, in pixels.
        noise: whether the two draw noise in different numbers: then all images of a step have the same, by its shape.
        filters: keys of ours that are lowered.
        make: builds theirs where it is not of the layout of CycleGAN's code: checkout, size and filters -> model.
    """

    options: str
    networks: Mapping[str, str]
    terms: Mapping[str, tuple[str, float]]
    words: tuple[str, ...] = ()
    size: int = 32
    noise: bool = False
    filters: tuple[str, ...] = ("generator.filters", "discriminator.filters")
    make: Callable[[Path, int, int], Any] | None = None


_CUT = {"G_AB": "netG", "D_B": "netD", "H": "netF"}
_DCL = {"G_AB": "netG_A", "G_BA": "netG_B", "D_B": "netD_A", "D_A": "netD_B", "H_A": "netF1", "H_B": "netF2"}
_DCL_TERMS = {
    **{"D_B": ("D_A", 1.0), "D_A": ("D_B", 1.0), "gan_B": ("G_A", 1.0), "gan_A": ("G_B", 1.0)},
    **{"idt_B": ("idt_A", 1.0), "idt_A": ("idt_B", 1.0)},
}
_LOWER = {"global": 5, "local": 4}  # layers of U-GAT-IT's discriminators, for 32 px
_UGATIT_FILTERS = ("generator.filters", *(f"discriminator.judges.{one}.filters" for one in _LOWER))
PEERS = {
    "cyclegan": Peer(
        "--model cycle_gan --netG resnet_9blocks --no_antialias --no_antialias_up --init_type normal",
        {"G_AB": "netG_A", "G_BA": "netG_B", "D_B": "netD_A", "D_A": "netD_B"},
        {
            **{"D_B": ("D_A", 1.0), "D_A": ("D_B", 1.0), "gan_B": ("G_A", 1.0), "gan_A": ("G_B", 1.0)},
            **{"cycle_A": ("cycle_A", 10.0), "cycle_B": ("cycle_B", 10.0)},
            **{"idt_B": ("idt_A", 5.0), "idt_A": ("idt_B", 5.0)},
        },
        ("model.pool_size=0",),
    ),
    "cut": Peer(
        "--model cut --CUT_mode CUT",
        _CUT,
        {"D_B": ("D", 1.0), "gan_B": ("G_GAN", 1.0), "nce": ("NCE", 1.0), "nce_idt": ("NCE_Y", 1.0)},
    ),
    "fastcut": Peer(
        "--model cut --CUT_mode FastCUT",
        _CUT,
        {"D_B": ("D", 1.0), "gan_B": ("G_GAN", 1.0), "nce": ("NCE", 10.0)},
    ),
    "dclgan": Peer("--model dcl", _DCL, {**_DCL_TERMS, "nce_A": ("NCE1", 2.0), "nce_B": ("NCE2", 2.0)}),
    "simdcl": Peer(
        "--model simdcl",
        {**_DCL, "S.real_A": "netF3", "S.fake_B": "netF4", "S.real_B": "netF5", "S.fake_A": "netF6"},
        {**_DCL_TERMS, "nce_A": ("NCE1", 1.0), "nce_B": ("NCE2", 1.0), "sim": ("Sim", 10.0)},
        size=64,  # their summary wants 256 places in the deepest layer
    ),
    "santa": Peer(
        "--model santa",
        {"G_AB": "netG", "D_B": "netD"},
        {
            **{"D_B": ("D", 1.0), "gan_B": ("G_GAN", 1.0), "rec_A": ("G_rec", 1.0), "idt_B": ("G_idt", 1.0)},
            **{"kl": ("G_kl", 1.0), "path": ("G_path", 1.0)},
        },
    ),
    "enco": Peer(
        "--model enco --netF mlp_sample_with_DAG",
        {"G_AB": "netG", "D_B": "netD", "H": "netF"},
        {"D_B": ("D", 1.0), "gan_B": ("G_GAN", 1.0), "enco": ("BYOL", 1.0), "idt_B": ("BYOL_Y", 10.0)},
    ),
    "unsb": Peer(
        "--model sb --lambda_SB 1",
        {"G_AB": "netG", "D_B": "netD", "E": "netE", "H": "netF"},
        {
            **{"D_B": ("D", 1.0), "D_critic": ("E", 1.0), "gan_B": ("G_GAN", 1.0), "sb": ("SB", 1.0)},
            **{"nce": ("NCE", 1.0), "nce_idt": ("NCE_Y", 1.0)},
        },
        noise=True,
    ),
    "ugatit": Peer(  # at the 96 px that their seven layers want, rounding grows fivefold a step in the wide grid
        "",
        faithful_ugatit.NETWORKS,
        {name: (name, 1.0) for name in faithful_ugatit.TERMS},
        ("model.generator.image_size=32", *(f"model.discriminator.judges.{k}.layers={n}" for k, n in _LOWER.items())),
        filters=_UGATIT_FILTERS,
        make=functools.partial(faithful_ugatit.Trainer, light=False, layers=_LOWER),
    ),
    "ugatit_light": Peer(
        "",
        faithful_ugatit.NETWORKS,
        {name: (name, 1.0) for name in faithful_ugatit.TERMS},
        size=96,
        filters=_UGATIT_FILTERS,
        make=functools.partial(faithful_ugatit.Trainer, light=True),
    ),
}


_instance_norm = nn.functional.instance_norm


def instance_norm(*given: Any, **more: Any) -> Tensor:
    """Torch's own, with contiguous gradients: for others its backward pass is wrong, of one image on a CPU (2.15)."""
    output = _instance_norm(*given, **more)
    if output.requires_grad:
        output.register_hook(lambda gradient: gradient.contiguous())
    return output


_interpolate = nn.functional.interpolate


def interpolate(x: Tensor, *given: Any, **more: Any) -> Tensor:
    """Torch's own, with the ties of enlarged logits broken alike: EnCo sorts them, and rounding would decide."""
    output = _interpolate(x, *given, **more)
    if output.requires_grad or output.shape[1] > 1:
        return output
    return 1e3 * output.round(decimals=3) + 1e-5 * torch.arange(output.numel()).reshape(output.shape)


class Draws:
    """Permutations and coins of a step, the same for both sides, however often and in which order they draw."""

    def __init__(self) -> None:
        self.step = 0

    def numbers(self, count: int) -> Any:
        return np.random.default_rng(1000 * self.step + count).permutation(count)

    def permutation(self, count: int, **_: Any) -> Tensor:
        return torch.from_numpy(self.numbers(count))

    def coin(self) -> float:
        return 0.25 if self.step % 2 else 0.75  # below 0.5 is heads

    def normal(self, *shape: Any, size: Any = None, **_: Any) -> Tensor:
        shape = tuple(size if size is not None else shape[0] if isinstance(shape[0], (tuple, list)) else shape)
        numbers = np.random.default_rng(1000 * self.step + sum(shape[1:])).standard_normal(shape[1:])
        return torch.from_numpy(numbers).expand(shape).clone()

    def whole(self, end: int, size: Any, **_: Any) -> Tensor:
        return torch.full(tuple(size), self.step % end)

    @contextmanager
    def noise(self) -> Iterator[None]:
        """Draw noise alike, and let code for a GPU alone run here, in float64."""
        with (
            mock.patch.object(torch, "randn", self.normal),
            mock.patch.object(torch, "randn_like", lambda x: self.normal(*x.shape)),
            mock.patch.object(torch, "randint", self.whole),
            mock.patch.object(Tensor, "cuda", lambda x: x),
            mock.patch.object(Tensor, "float", Tensor.double),
        ):
            yield

    @contextmanager
    def shared(self) -> Iterator[None]:
        with (
            mock.patch.object(torch, "randperm", self.permutation),
            mock.patch.object(nn.functional, "instance_norm", instance_norm),
            mock.patch.object(nn.functional, "interpolate", interpolate),
            mock.patch.object(np.random, "permutation", self.numbers),
            mock.patch.object(np.random, "random", self.coin),
            mock.patch("gan_style.models.cut.CUT._throws_heads", side_effect=lambda: self.coin() < 0.5),
        ):
            yield


def theirs(peer: Peer, checkout: Path, batch: Mapping[str, Any]) -> Any:
    """Build the authors' model, with all its networks."""
    if peer.make is not None:
        return peer.make(checkout, peer.size, FILTERS)
    sys.path.insert(0, str(checkout))
    words = f"--dataroot . --name x --checkpoints_dir {checkout} --ngf {FILTERS} --ndf {FILTERS} {BOTH} {peer.options}"
    with mock.patch.object(sys, "argv", ["train.py", *words.split()]):
        from models import create_model  # type: ignore[import-not-found]
        from options.train_options import TrainOptions  # type: ignore[import-not-found]

        given = TrainOptions()
        parsed = given.gather_options()
        parsed.isTrain, parsed.gpu_ids, parsed.amp = True, [], False
    model = create_model(parsed)
    first = getattr(model, "data_dependent_initialize", None)
    if first is not None:
        first(*[batch] * (first.__code__.co_argcount - 1))
    return model


def ours(method: str, peer: Peer) -> Any:
    small = [f"model.{key}={FILTERS}" for key in peer.filters]
    words = [f"model={method}", *small, *peer.words, "run_dir=unused", "name=faithful"]
    return build(composed(words)["model"], channels_A=3, channels_B=3).train()


def of_name(model: Any, name: str) -> nn.Module:
    for part in name.split("."):
        model = model[part] if isinstance(model, nn.ModuleDict) else getattr(model, part)
    return model


def ordered(network: nn.Module) -> list[nn.Parameter]:
    """Return the weights of one of ours in the order of theirs, which that of the attributes may not be."""
    if not isinstance(network, PathGenerator):
        return [parameter for part in parts_of(network) for parameter in part.parameters()]
    parts: list[nn.Module] = [network.encoder]
    for block in network.blocks:
        parts += [part for pair in zip(block.convolutions, block.norms, strict=True) for part in pair]
    parts += [part for pair in zip(network.up, network.norms, strict=True) for part in pair]
    return [*(p for part in [*parts, network.last] for p in part.parameters()), network.domains]


def used(network: nn.Module) -> list[nn.Parameter]:
    """Return the weights of one of theirs without those that UNSB's generator builds and never uses."""
    unused = re.compile(r"model_res.*(conv_block|Dense_time|\.style)\.|time_embed")
    return [p for name, p in network.named_parameters() if not unused.match(name)]


def parts_of(network: nn.Module) -> list[nn.Module]:
    """Return the parts of one of ours in the order of theirs."""
    if isinstance(network, AttentionGenerator):
        parts = [part for block in network.blocks for part in zip(block.convolutions, block.norms, strict=True)]
        blocks = [part for pair in parts for part in pair]
        return [
            network.attention,
            network.scale,
            network.shift,
            *blocks,
            network.encoder,
            network.modulation,
            network.up,
        ]
    if isinstance(network, AttentionDiscriminator):
        return [network.attention, network.last, network.layers]
    if isinstance(network, BridgeGenerator):
        parts = [(block.convolution, block.modulation) for block in network.blocks]
        return [*(part for pair in parts for part in pair), network.stem, network.up, network.mapping]
    if isinstance(network, TimedDiscriminator):
        *convolutions, last = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
        pairs = zip(convolutions, network.shifts, strict=True)
        return [*(part for pair in pairs for part in pair), last, network.time]
    return [network]


def share_weights(mine: nn.Module, their: nn.Module) -> None:
    """Copy ours into theirs, tensor by tensor, and the vectors of spectral norms."""
    spectral = isinstance(mine, AttentionDiscriminator)
    vectors = [buffer for part in parts_of(mine) for buffer in part.buffers()] if spectral else []
    with torch.no_grad():
        for a, b in zip(ordered(mine), used(their), strict=True):
            assert a.squeeze().shape == b.squeeze().shape, f"{type(mine).__name__} and theirs are laid out otherwise"
            b.copy_(a.reshape(b.shape))
        for a, b in zip(vectors, their.buffers() if spectral else [], strict=True):
            b.copy_(a)


def mirrored(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one.flip(-1) if isinstance(one, Tensor) else one for name, one in batch.items()}


def step(model: Any, batch: Mapping[str, Tensor], optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, float]:
    """Take one iteration of ours. Returns: the terms of both players."""
    model.requires_grad_(True)
    images, terms = model.generate(batch), {}
    for turn in model.turns:
        for player in optimizers:
            for parameter in model.parameters_of(player):
                parameter.requires_grad_(player == turn)
        loss = model.generator_loss if turn == "G" else model.discriminator_loss
        total, found = loss(images)
        optimizers[turn].zero_grad()
        total.backward(retain_graph=True)
        optimizers[turn].step()
        terms |= {name if turn == "G" else f"D_{name}": value.item() for name, value in found.items()}
    model.iteration += 1
    model.after_iteration(optimizers)
    return terms


def relative(a: Tensor, b: Tensor) -> float:
    """Return the largest difference over the largest value."""
    return float((a.reshape(b.shape) - b).abs().max() / b.abs().max().clamp_min(1e-300))


def compare(method: str, checkout: Path, steps: int = 20) -> dict[str, float]:
    """Return for each term and each network the largest relative difference."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    peer, draws = PEERS[method], Draws()
    pictures = [{d: torch.rand(1, 3, peer.size, peer.size) * 2 - 1 for d in "AB"} for _ in range(steps)]
    batches = [{**one, "A_paths": ["a"], "B_paths": ["b"]} for one in pictures]
    with draws.shared(), draws.noise() if peer.noise else nullcontext():
        their, mine = theirs(peer, checkout, batches[0]), ours(method, peer)
        for a, b in peer.networks.items():
            share_weights(of_name(mine, a), getattr(their, b))
        optimizers = {p: mine.make_optimizer[p](mine.parameter_groups(p)) for p in mine.players()}
        found: dict[str, float] = dict.fromkeys(peer.terms, 0.0)
        for number, (picture, batch) in enumerate(zip(pictures, batches, strict=True)):
            draws.step = number
            torch.manual_seed(number)
            before = [batches[number - 1] if number else mirrored(batch)]  # a second image of A, for UNSB
            their.set_input(batch, *before[: their.set_input.__code__.co_argcount - 2])
            their.optimize_parameters()
            torch.manual_seed(number)
            terms = step(mine, picture, optimizers)
            for name, (attribute, factor) in peer.terms.items():
                value = float(getattr(their, f"loss_{attribute}")) / factor
                found[name] = max(found[name], abs(terms[name] - value) / max(abs(value), 1e-300))
    for a, b in peer.networks.items():
        pairs = zip(ordered(of_name(mine, a)), used(getattr(their, b)), strict=True)
        found[f"weights of {a}"] = of_weights(list(pairs))
    return found


def of_weights(pairs: list[tuple[nn.Parameter, nn.Parameter]]) -> float:
    """Return the largest relative difference of weights that count.

    A bias before a norm does not: its gradient is rounding, of which Adam makes steps of full length.
    """
    largest = max(float(y.grad.abs().max()) for _, y in pairs if y.grad is not None)
    counting = [(x, y) for x, y in pairs if y.grad is not None and float(y.grad.abs().max()) > ROUNDING * largest]
    return max(relative(x, y) for x, y in counting)


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("method", choices=PEERS)
    parser.add_argument("--peer", type=Path, required=True, help="a checkout of the authors' code")
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    if given.steps < 1:
        sys.exit(f"--steps {given.steps} must be 1 or more")
    if PEERS[given.method].make is None and not (given.peer / "models").is_dir():
        sys.exit(f"{given.peer} has no models/: give a checkout of the authors' repository")
    found = compare(given.method, given.peer.resolve(), given.steps)
    for name, value in found.items():
        print(f"{name:20} {value:.1e}")
    print(json.dumps({"method": given.method, "steps": given.steps, "largest": max(found.values())}))


if __name__ == "__main__":
    main()
