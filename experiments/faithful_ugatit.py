"""The authors' trainer of U-GAT-IT as `faithful` steps it: one picture of each domain at a time.

Their losses are local to the loop, so that they are noted where the loop computes them, in the order of its lines. Both
sides have torch's present spectral norm: the older one, which the authors call, begins its iteration at the other of
the two vectors, and so differs by half a step of it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

JUDGES = ("global_patch", "global_cam", "local_patch", "local_cam")
OF_DISCRIMINATORS = [f"D_{domain}_{judge}" for domain in "AB" for judge in JUDGES]
OF_GENERATORS = [f"gan_{domain}_{judge}" for domain in "AB" for judge in JUDGES]
TERMS = (*OF_DISCRIMINATORS, *OF_GENERATORS, "cycle_A", "cycle_B", "idt_A", "idt_B", "cam_A", "cam_B")
LAYERS = {"global": 7, "local": 5}
NETWORKS = {
    **{"G_AB": "genA2B", "G_BA": "genB2A"},
    **{f"D_{d}.networks.{name}": f"dis{name[0].upper()}{d}" for d in "AB" for name in ("global", "local")},
}


class One:
    """A loader of one picture, by the `next` of Python 2 that their loop asks for."""

    def __init__(self, image: Tensor) -> None:
        self.image = image

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> tuple[Tensor, None]:
        return self.image, None

    next = __next__


class Noted(nn.Module):
    """A loss whose values are kept."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss, self.values = loss, list[float]()

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        value: Tensor = self.loss(output, target)
        self.values.append(value.item())
        return value


class Trainer:
    """Their trainer with the interface of the other authors' models: set_input, optimize_parameters, loss_NAME.

    Args:
        checkout: of their code.
        size: of the pictures, in pixels.
        filters: of the first layer of every network.
        light: whether it is the light model.
        layers: of the global and of the local discriminator; theirs are 7 and 5, which want 96 px.
    """

    def __init__(
        self, checkout: Path, size: int, filters: int, light: bool, layers: Mapping[str, int] = LAYERS
    ) -> None:
        with _without_their_data():
            sys.path.insert(0, str(checkout))
            theirs = importlib.import_module("UGATIT")

        given = {
            **{"result_dir": "", "dataset": "", "iteration": 1, "decay_flag": False, "batch_size": 1},
            **{"print_freq": 10**9, "save_freq": 10**9, "lr": 1e-4, "weight_decay": 1e-4, "ch": filters},
            **{"adv_weight": 1, "cycle_weight": 10, "identity_weight": 10, "cam_weight": 1000, "n_res": 4},
            **{"n_dis": 6, "img_size": size, "img_ch": 3, "device": "cpu", "benchmark_flag": False, "resume": False},
        }
        with contextlib.redirect_stdout(io.StringIO()):
            self.trainer = theirs.UGATIT(argparse.Namespace(light=light, **given))
        make, lowered = theirs.Discriminator, {LAYERS[name]: count for name, count in layers.items()}

        def discriminator(n_layers: int, **more: Any) -> nn.Module:
            network: nn.Module = make(n_layers=lowered[n_layers], **more)
            return network

        with (
            mock.patch.multiple(theirs, ImageFolder=mock.DEFAULT, DataLoader=mock.DEFAULT, transforms=mock.DEFAULT),
            mock.patch.object(torch.nn.utils, "spectral_norm", parametrizations.spectral_norm),
            mock.patch.object(theirs, "Discriminator", discriminator),
        ):
            self.trainer.build_model()
        for name in ("L1_loss", "MSE_loss", "BCE_loss"):
            setattr(self.trainer, name, Noted(getattr(self.trainer, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)

    def set_input(self, batch: Mapping[str, Any]) -> None:
        self.trainer.trainA_loader, self.trainer.trainB_loader = One(batch["A"]), One(batch["B"])

    def optimize_parameters(self) -> None:
        """Take their loop once around."""
        noted = [getattr(self.trainer, name) for name in ("MSE_loss", "L1_loss", "BCE_loss")]
        for loss in noted:
            loss.values.clear()
        with contextlib.redirect_stdout(io.StringIO()):
            self.trainer.train()
        squares, distances, entropies = (loss.values for loss in noted)
        count = 2 * len(OF_DISCRIMINATORS)  # on real and on fake
        values = [*_pairs(squares[:count]), *squares[count:], *distances, *_pairs(entropies)]
        for name, value in zip(TERMS, values, strict=True):
            setattr(self, f"loss_{name}", value)


def _pairs(values: list[float]) -> list[float]:
    return [a + b for a, b in zip(values[::2], values[1::2], strict=True)]


@contextlib.contextmanager
def _without_their_data() -> Iterator[None]:
    """Import their trainer without the modules that read pictures, which want other libraries."""
    stubs = {}
    needed = {"dataset": ("ImageFolder", None), "utils": ("os", os), "torchvision": ("transforms", None)}
    for name, (attribute, value) in needed.items():
        stubs[name] = ModuleType(name)
        setattr(stubs[name], attribute, value)
    with mock.patch.dict(sys.modules, stubs):
        yield
