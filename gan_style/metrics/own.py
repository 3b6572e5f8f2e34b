"""Scores of one's own: rows that a function of another package gives."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gan_style.core import checks
from gan_style.core.checks import shown
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.metrics.table import EXTRACTOR, PATCHES, Score, row_of

INPUTS = ("fakes", "sources", "truth")  # of single pictures, as far as training and evaluation both have them


def as_nodes(metrics: Any) -> list[dict[str, Any]]:
    """Read a config's `metrics` as nodes with a `_target_`: an import path stands for a node without arguments.

    Raises:
        UserError: it is no list of such.
    """
    listed = metrics if isinstance(metrics, list) else [] if metrics is None else [None]
    given = [{"_target_": one} if isinstance(one, str) else one for one in listed]
    nodes = [dict(node) for node in given if isinstance(node, Mapping) and isinstance(node.get("_target_"), str)]
    if len(nodes) < len(listed):
        raise UserError(
            f"metrics={shown(metrics)} is not valid: give a list of import paths, such as "
            "metrics=[mylab.sharpness.sharpness]"
        )
    return nodes


def own_scores(metrics: Any, allowed: Sequence[str]) -> list[Score]:
    """Build the scores that a config's `metrics` names.

    Args:
        metrics: import paths of functions that return a `Score`, or nodes with `_target_` and arguments.
        allowed: prefixes under which they must be defined.

    Raises:
        UserError: one that is not allowed, or gives no row that can be used.
    """
    found: list[Score] = []
    for node in as_nodes(metrics):
        row, where = build(node, allowed), f"metrics: {node['_target_']}"
        if not isinstance(row, Score):
            raise UserError(f"{where} gives a {type(row).__name__}: it should return a gan_style.metrics.Score")
        _check(row, where)
        if row.name in [other.name for other in found]:
            raise UserError(f"{where} is called {row.name}, as another of the run's metrics: give it another name")
        found.append(replace(row, source=json.dumps(node, sort_keys=True)))
    return found


def _check(row: Score, where: str) -> None:
    """Raise a UserError if a row cannot be computed, or could be taken for one of the table."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", row.name):
        raise UserError(f"{where} is called {row.name!r}: a name has lower-case letters, digits and _")
    if row_of(row.name) is not None:
        raise UserError(f"{where} is called {row.name}, which is read as a score of gan_style: give it another name")
    if row.better not in ("highest", "lowest"):
        raise UserError(f"{where} has better={row.better!r}: give highest or lowest")
    if not callable(row.function):
        raise UserError(f"{where} has no function: give what computes it")
    if row.of_sets == bool(row.inputs):
        raise UserError(f"{where} should have features (a score of two sets) or inputs (of single pictures), and one")
    if row.of_sets and not callable(row.features) and row.features not in (EXTRACTOR, PATCHES):
        raise UserError(f"{where} has features={row.features!r}: give {EXTRACTOR}, {PATCHES} or a function of pictures")
    if row.inputs and ("fakes" not in row.inputs or {*row.inputs} - {*INPUTS}):
        raise UserError(f"{where} has inputs={row.inputs}: give fakes, alone or with {' or '.join(INPUTS[1:])}")


def features_of(row: Score, images: Tensor) -> Tensor:
    """Compute the features of a row of one's own, of images [B, 3, H, W]: [B, ...] in float64, on the CPU.

    Raises:
        UserError: it is not one row for each picture.
    """
    assert callable(row.features)
    with torch.no_grad():
        found = row.features(images)
    if not isinstance(found, Tensor) or found.dim() < 2 or len(found) != len(images):
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(
            f"the metric {row.name} gives features {shape} of {len(images)} pictures: it should give a tensor "
            f"[{len(images)}, D], a row for each picture"
        )
    return found.detach().double().cpu()


def require_finite(row: Score, features: Tensor) -> Tensor:
    """Return features of a row of one's own.

    Raises:
        UserError: they are not all finite.
    """
    sentence = f"the metric {row.name} gives features that are NaN or infinite: no distance can be taken of them"
    checks.require_finite(features, sentence)
    return features


def values_of(row: Score, *images: Tensor) -> Tensor:
    """Compute the values of a row of one's own for a batch of single pictures: [B].

    Raises:
        UserError: it is not one number for each picture.
    """
    with torch.no_grad():
        found = row.compute()(*images)
    if not isinstance(found, Tensor) or found.shape != (len(images[0]),):
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(
            f"the metric {row.name} gives {shape} of {len(images[0])} pictures: it should give a tensor "
            f"[{len(images[0])}], a number for each picture"
        )
    return found
