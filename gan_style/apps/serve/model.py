"""The model that is served: a checkpoint, a `.safetensors`, or a graph that `gan-style export` wrote."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from gan_style.checkpoints import exported
from gan_style.checkpoints.restore import naming
from gan_style.core.errors import UserError
from gan_style.core.extras import extra
from gan_style.core.paths import expanded
from gan_style.data.values import Array, ValueRange
from gan_style.inference.load import load
from gan_style.inference.trial import SIDE, trial_size

Graph = Callable[[Array], Any]  # float32 [B, C, H, W] in [-1, 1] to the same
SEED = "seed"  # the second input of graphs that draw noise


class Served(Protocol):
    """Contract of a model that is served.

    Attributes:
        directions: that it translates, the first by default.
        about: facts for `/health`, as JSON.
        tried: height and width in pixels of a picture that it takes, on which it is tried.
    """

    directions: tuple[str, ...]
    about: dict[str, Any]
    tried: tuple[int, int]

    def taken(self, direction: str) -> ValueRange:
        """Return type, range and channels of the pictures that it takes."""

    def written(self, direction: str) -> ValueRange:
        """Return those of the pictures that it gives."""

    def run(self, pictures: Sequence[Array], direction: str) -> list[Array]:
        """Translate pictures [H, W, C] of one size in one pass."""


def served(
    path: str,
    *,
    direction: str | None = None,
    styles: Sequence[tuple[str, float]] = (),
    alpha: float = 1.0,
    wrap: str | None = None,
    seed: int = 0,
    device: str | None = None,
    allow: Sequence[str] = (),
) -> Served:
    """Load a model for a server, and try it on a small picture.

    Args:
        path: of a checkpoint or an export.
        direction: the only one that is served; None serves all.
        styles: pictures or names, each with its weight, that every picture is given.
        alpha: strength of the styles.
        wrap: directions in which pictures go round, as of `LoadedTranslator.translate_all`.
        seed: of the noise of generators that draw it.
        device: None takes a GPU where there is one.
        allow: packages of the user's own that a checkpoint may name.

    Raises:
        UserError: it cannot be loaded, or makes no picture of a picture alone.
    """
    file = expanded(path)
    if file.suffix.lower() in exported.GRAPHS:
        if styles or alpha != 1.0:
            raise UserError(f"{path} is a graph, whose styles are inputs: serve the checkpoint that it was exported of")
        if wrap not in (None, "off"):
            raise UserError(f"{path} is a graph, which knows no wrap: serve its checkpoint, or leave wrap out")
        model: Served = OfGraph(file, direction, seed, device)
    else:
        model = OfCheckpoint(path, direction, styles, alpha, wrap, seed, device, allow)
    with naming(path):
        for way in model.directions:
            values = model.taken(way)
            model.run([np.full((*model.tried, values.channels), values.low, values.dtype)], way)
    return model


class OfCheckpoint:
    """A trained model, as `gan-style translate` uses it."""

    def __init__(
        self,
        path: str,
        direction: str | None,
        styles: Sequence[tuple[str, float]],
        alpha: float,
        wrap: str | None,
        seed: int,
        device: str | None,
        allow: Sequence[str],
    ) -> None:
        self._translator = load(path, device=device, allow=allow)
        self._options: dict[str, Any] = {
            "style": [*styles] or None,
            "alpha": alpha,
            "wrap": wrap,
            "seed": seed or None,
        }
        with naming(path):
            around, self.tried = self._translator.around(wrap), trial_size(self._translator, wrap)
            known = [str(one) for one in self._translator.model.directions]
            if direction is not None:
                known = [str(self._translator.direction_of(direction))]
            if styles:
                source, target = self._translator.ends(direction, self._options["style"])
                known = [f"{source}2{target}"]
            elif not known:
                raise UserError(f"{path} needs a style: give --style IMAGE, which every picture is then given")
        self._fixed = direction if styles else None
        self.directions = tuple(known)
        self.about = {
            "model": type(self._translator.model).__name__,
            "domains": self._translator.domains,
            "device": str(self._translator.device),
            **({"wrap": around} if around else {}),
        }

    def _way(self, direction: str) -> str | None:
        return self._fixed if self._options["style"] else direction

    def taken(self, direction: str) -> ValueRange:
        return self._translator.taken(self._way(direction), self._options["style"]) or ValueRange()

    def written(self, direction: str) -> ValueRange:
        return self._translator.written(self._way(direction), self._options["style"])

    def run(self, pictures: Sequence[Array], direction: str) -> list[Array]:
        return self._translator.translate_all(pictures, self._way(direction), **self._options)


class OfGraph:
    """An ONNX, by onnxruntime, or a program of torch.export."""

    tried = (SIDE, SIDE)

    def __init__(self, path: Path, direction: str | None, seed: int, device: str | None) -> None:
        about = exported.about(path)
        inputs = about.get("inputs", ["picture"])
        if set(inputs) - {"picture", SEED}:
            raise UserError(f"{path} wants {' and '.join(inputs)}: serve its checkpoint, with --style")
        own = str(about["direction"])
        if direction not in (None, own):
            raise UserError(f"{path} translates {own}, not {direction}: leave --direction out")
        self.directions: tuple[str, ...] = (own,)
        self._values = {letter: ValueRange.described(domain) for letter, domain in about["domains"].items()}
        names = {letter: str(domain["name"]) for letter, domain in about["domains"].items()}
        method = str(about["config"]["model"]["_target_"]).rpartition(".")[2]
        run = _onnx if path.suffix.lower() == ".onnx" else _program
        self._graph, place = run(path, {SEED: np.array([seed])} if SEED in inputs else {}, device)
        self.about = {"model": method, "domains": names, "device": place}

    def taken(self, direction: str) -> ValueRange:
        return self._values[direction[0]]

    def written(self, direction: str) -> ValueRange:
        return self._values[direction[-1]]

    def run(self, pictures: Sequence[Array], direction: str) -> list[Array]:
        taken, written = self.taken(direction), self.written(direction)
        given = torch.stack([taken.as_tensor(picture) for picture in pictures])
        batch = taken.normalise(given) if given.dtype == torch.uint8 else given
        output = torch.as_tensor(self._graph(batch.numpy()))
        if not bool(torch.isfinite(output).all()):
            raise UserError("the result holds values that are NaN or infinite: take another checkpoint")
        return [written.restore(one) for one in output]


def _onnx(path: Path, more: dict[str, Array], device: str | None) -> tuple[Graph, str]:
    runtime = extra("export", "onnxruntime")
    there = runtime.get_available_providers()
    wanted = ["CPUExecutionProvider"] if device == "cpu" else there
    if device not in (None, "cpu") and there[0] == "CPUExecutionProvider":
        raise UserError(f"--device {device}: this onnxruntime has the CPU alone; install onnxruntime-gpu, or take cpu")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(path.read_bytes(), options, providers=wanted)
    except Exception as error:  # of onnxruntime: no common class
        raise UserError(f"{path} cannot be loaded by onnxruntime: export it again") from error
    return lambda batch: session.run(["output"], {"picture": batch, **more})[0], session.get_providers()[0]


def _program(path: Path, more: dict[str, Array], device: str | None) -> tuple[Graph, str]:
    if device not in (None, "cpu"):
        raise UserError(f"--device {device}: a .pt2 runs where it was exported, on a CPU; serve its checkpoint")
    try:
        with warnings.catch_warnings(), open(path, "rb") as file:
            warnings.simplefilter("ignore")
            module = torch.export.load(file).module()
    except Exception as error:  # a broken file can raise nearly anything
        raise UserError(f"{path} cannot be loaded by torch.export: export it again") from error
    inputs = [torch.from_numpy(value) for value in more.values()]

    def run(batch: Array) -> torch.Tensor:
        with torch.no_grad():
            output: torch.Tensor = module(torch.from_numpy(batch), *inputs)
        return output

    return run, "cpu"
