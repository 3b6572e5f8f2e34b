"""What the verbs that make pictures share: models, styles and files as a command names them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_style.config import ALLOWED, build, compose_model
from gan_style.data.images import SUFFIXES
from gan_style.data.saving import save_image
from gan_style.errors import UserError
from gan_style.inference import LoadedTranslator
from gan_style.paths import expanded, resolved


def gatys(weights: str | None, seed: int, overrides: Sequence[str]) -> LoadedTranslator:
    """The optimisation, ready to be given pictures."""
    words = [*overrides, f"seed={seed}", *([f'model.vgg.weights="{weights}"'] if weights else [])]
    node = compose_model("gatys", words) | {"count": 1, "size": 16}
    model = build(node, ALLOWED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return LoadedTranslator(model.to(device), {})


def refuse_method(parsed: Namespace, models: Iterable[LoadedTranslator], *, beside: bool = False) -> None:
    """Compare --method, --weights and --set with the models that a command loads.

    Args:
        parsed: the command.
        models: of its checkpoints.
        beside: whether gatys may stand beside them.

    Raises:
        UserError: the method needs a checkpoint, or is another one, or a word is of gatys alone and there is none.
    """
    names = [type(translator.model).__name__.lower() for translator in models]
    method = parsed.method
    if method == "adain" and not names:
        raise UserError("--method adain needs a trained model: add --checkpoint CKPT (train.py model=adain)")
    if method and names and method not in names and not (beside and method == "gatys"):
        raise UserError(
            f"--method {method} is not what --checkpoint holds ({', '.join(names)}): leave out one of the two"
        )
    if names and not (beside and method == "gatys"):
        for word, value in (("--weights", parsed.weights), ("--set", parsed.set)):
            if value:
                raise UserError(f"{word} is for gatys without a checkpoint: leave it or --checkpoint out")


def parse_style(word: str) -> tuple[str, float]:
    """`picture.jpg=0.7` -> ("picture.jpg", 0.7); a file whose name holds a `=` is itself.

    Raises:
        UserError: what stands behind the last `=` is not a number, or nothing before it.
    """
    if word and ("=" not in word or expanded(word).exists()):
        return word, 1.0
    name, _, weight = word.rpartition("=")
    if not name:
        raise UserError(f"--style '{word}' names no style: write --style IMAGE or --style IMAGE=0.5")
    try:
        return name, float(weight)
    except ValueError:
        raise UserError(f"--style {word}: the weight {weight!r} is not a number: write {name}=0.5") from None


def check_output(path: Path) -> None:
    """Refuse an output that cannot be written before anything is computed."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the picture to write, such as {path / 'out.png'}")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} cannot be saved: its name must end in one of {', '.join(SUFFIXES)}")


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[str | Path]) -> None:
    """Raise a UserError if an output is one of the inputs, or lies in one that is a folder."""
    read = {resolved(expanded(given)): given for given in inputs if expanded(given).exists()}
    folders = {path for path in read if path.is_dir()}
    files = set(read) - folders
    for output in outputs:
        target = resolved(output)
        inside = next((path for path in (target, *target.parents) if path in folders), None)
        if target in files or inside:
            where = f"lies in {read[inside]}, which is read" if inside else "is read and would be overwritten"
            raise UserError(f"{output} {where}: write somewhere else")


def save(picture: Any, path: Path, profile: bytes | None = None) -> None:
    array = np.asarray(picture)
    save_image(array if array.ndim == 3 else array[..., None], path, profile)
