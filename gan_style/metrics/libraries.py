"""Any classifier of torchvision or timm, and any image tower of open_clip, with weights from a local file."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.extras import why_no_import
from gan_style.core.weights import fill, read
from gan_style.metrics.extractor import ModuleExtractor

PACKAGES = {"torchvision": "torchvision", "timm": "timm", "open_clip": "open-clip-torch"}


def from_library(library: str, model: str, weights: str | Path | None) -> ModuleExtractor:
    """Return the features before a model's last layer, or those of an image tower, called `<library>_<model>`.

    Args:
        library: `torchvision`, `timm` or `open_clip`.
        model: its name there, such as `resnet50`, `vit_small_patch8_224.dino` or `ViT-L-14-336-quickgelu`.
        weights: a state dict of the whole model, as the library saves it.

    Raises:
        UserError: the package is not installed, it has no such model, or the weights do not fit.
    """
    if weights is None:
        raise UserError(f"the extractor {library}:{model} needs the file of its weights: add --weights FILE")
    try:
        package = importlib.import_module(library)
    except ImportError as error:
        raise UserError(
            f"the extractor {library}:{model} needs the package {PACKAGES[library]}, which "
            f"{why_no_import(error, library)}: pip install {PACKAGES[library]}, or take another extractor"
        ) from error
    names, make = FAMILIES[library](package)
    if model not in names:
        raise UserError(f"{library} has no model {model}{did_you_mean(model, names)}"[:300])
    state, sha256 = read(weights, f"{library}'s {model}")
    with _quiet():
        whole, take, size, mean, std = make(model)
    fill(whole, state, f"{library}'s {model}")
    low, high = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def prepare(images: Tensor) -> Tensor:
        return ((images + 1) / 2 - low.to(images)) / high.to(images)

    name = f"{library}_{model}".replace("/", "_")
    return ModuleExtractor(take(whole), name, size=size, prepare=prepare, sha256=sha256)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings about weights that were drawn at random: those of the file replace them at once."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


# The whole model, a function that returns the part of it which gives features, the side of its input in pixels, and the
# mean and standard deviation of its input's channels.
Made = tuple[nn.Module, Callable[[nn.Module], nn.Module], int, Any, Any]
Family = tuple[list[str], Callable[[str], Made]]


def _torchvision(package: ModuleType) -> Family:
    models = package.models

    def make(name: str) -> Made:
        whole = models.get_model(name, weights=None)
        last = [key for key, module in whole.named_modules() if isinstance(module, nn.Linear)]
        if not last:
            raise UserError(f"torchvision's {name} ends in no linear layer: take a classifier, such as resnet50")

        def take(module: nn.Module) -> nn.Module:
            parent, _, child = last[-1].rpartition(".")
            setattr(module.get_submodule(parent), child, nn.Identity())
            return module

        look = next(iter(models.get_model_weights(name))).transforms()
        return whole, take, getattr(whole, "image_size", look.crop_size[0]), look.mean, look.std

    return models.list_models(module=models), make


def _timm(package: ModuleType) -> Family:
    def make(name: str) -> Made:
        whole = package.create_model(name, pretrained=False)
        look = package.data.resolve_model_data_config(whole)

        def take(module: nn.Module) -> nn.Module:
            module.reset_classifier(0)  # type: ignore[operator]
            return module

        return whole, take, look["input_size"][-1], look["mean"], look["std"]

    # a name may carry a tag of its weights behind a dot
    return [*package.list_models(), *package.list_pretrained()], make


def _open_clip(package: ModuleType) -> Family:
    def make(name: str) -> Made:
        whole = package.create_model(name)
        size = whole.visual.image_size
        side = size if isinstance(size, int) else size[0]
        return whole, lambda module: module.visual, side, whole.visual.image_mean, whole.visual.image_std

    return package.list_models(), make


FAMILIES: dict[str, Callable[[ModuleType], Family]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "open_clip": _open_clip,
}
