"""`trainer.checkpointing`: the same numbers bit for bit, and less kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from gan_style.checkpoints.checkpoint import load
from gan_style.core.errors import UserError
from gan_style.models.passes import compute_modes
from gan_style.networks.resnet import ResnetGenerator
from tests.conftest import differences

# Each has blocks, and something that a second computation could change.
RUNS = {
    "dropout": ("model.generator.dropout=0.5",),
    "batch norm": ("model.generator.norm=batch", "model.generator.dropout=0.3"),
    "spectral norm": ("model.generator.spectral=true",),
    "quick": ("trainer.fast_convolutions=true", "model.generator.filters=16"),
    "cut": ("model=cut", "model.generator.blocks=2"),
    "dclgan": ("model=dclgan", "model.generator.blocks=2"),
    "santa": ("model=santa", "model.generator.blocks=3"),
    "enco": ("model=enco", "model.generator.blocks=3"),
    "unsb": ("model=unsb", "model.generator.blocks=2"),
    "ugatit": ("model=ugatit",),
    "munit": ("model=munit",),
    "unit": ("model=unit",),
    "gcgan": ("model=gcgan",),
    "sincut": ("model=sincut", "model.generator.blocks=2"),
    "stegogan": ("model=stegogan", "model.generator.blocks=2"),
    "qsattn": ("model=qsattn", "model.generator.blocks=2"),
    "two_branch": ("model=two_branch",),
    "style_conditional": ("model=style_conditional",),
}


QUICKEST = ("batch norm", "quick")


@pytest.mark.parametrize(
    "name", [name if name in QUICKEST else pytest.param(name, marks=pytest.mark.slow) for name in RUNS]
)
def test_a_run_gives_the_same_numbers_and_resumes_exactly(run: Callable[..., Path], name: str) -> None:
    plain = run("plain", *RUNS[name], "trainer.max_steps=4")
    words = (*RUNS[name], "trainer.checkpointing=true")
    run("again", *words, "trainer.max_steps=2")
    again = run("again", *words, "trainer.max_steps=4", "resume=last")
    a, b = (load(folder / "checkpoints" / "last.ckpt") for folder in (plain, again))
    for content in (a, b):
        del content["config"], content["best"]
    assert differences(a, b) == []


def kept(network: nn.Module, x: Tensor, faster: bool, checkpointing: bool) -> int:
    """Bytes that a pass keeps for its backward pass."""
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with compute_modes([network], faster, checkpointing), saved_tensors_hooks(pack, lambda tensor: tensor):
        output = network(x)
    assert output.requires_grad
    return sum(storages.values())


def test_nothing_of_a_block_is_kept_but_its_input() -> None:
    network = ResnetGenerator(filters=8, blocks=9)
    x = torch.rand(1, 3, 64, 64)
    counted = kept(network, x, False, False)
    assert kept(network, x, False, True) < 0.6 * counted
    assert all("forward" not in vars(module) for module in network.modules())


def test_a_block_is_computed_twice_by_the_same_ways() -> None:
    network = ResnetGenerator(filters=8, blocks=2)
    calls: list[Any] = []
    for block in network.layers:
        if getattr(block, "recomputable", False):
            block.layers.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    for faster in (False, True):
        calls.clear()
        with compute_modes([network], faster, True):
            output = network(torch.rand(1, 3, 16, 16))
            assert len(calls) == 2
            output.square().mean().backward()
        assert len(calls) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model=adain",), "AdaIN trains here has none"),
        (("model/generator=unet128",), "CycleGAN trains here has none"),
        (("trainer.compile=default",), "exclude each other"),
    ],
)
def test_what_cannot_be_checkpointed_is_refused(run: Callable[..., Path], words: Sequence[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        run("run", *words, "trainer.checkpointing=true", "trainer.max_steps=1")
