"""Generators of official code inside the files of other programs, wherever they lie in dicts, lists and wrappers.

All tensors of a file are named by the way to them, `state_dict.netG_A.model.1.weight`. A generator is where the names
and shapes behind a prefix are those of one, whatever leads there is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_style.checkpoints.layouts import MARKS, RESNET, UNET, State, is_generator, layout_of, roots_of
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.paths import printable

WRAPPERS = ("module", "_orig_mod")  # parts of names, by DataParallel and its kin, and by torch.compile
MAX_DEPTH, MAX_ENTRIES, MAX_GENERATORS, MAX_NAMED = 20, 1_000_000, 64, 8
# Of batch norms, of instance norms before PyTorch 0.4, and of instance norms with track_running_stats.
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def _pair(first: str, second: str) -> re.Pattern[str]:
    """Match names such as genA2B, G_AB and generator_A_to_B."""
    letter = rf"(?:(?:^|[._\d])[{first}{first.lower()}]|(?<=[a-z]){first})"
    return re.compile(rf"{letter}_?(?:2|to|To)?_?[{second}{second.lower()}](?:\.|$)")


# How a generator's name tells its direction: by both letters or, as the official code's netG_A, by that of the source.
BY_PAIR = {Direction.A2B: _pair("A", "B"), Direction.B2A: _pair("B", "A")}
BY_SOURCE = {direction: re.compile(rf"[._]{direction.source}(?:\.|$)") for direction in Direction}


def tensors_in(content: Any, path: Path) -> State:
    """Return all tensors of a file by the way to them, without the names of wrappers.

    Args:
        content: of the file.
        path: of the file, for the message.

    Raises:
        UserError: far more entries than a file of networks has.
    """
    found: State = {}
    entries = 0

    def visit(value: Any, way: tuple[str, ...]) -> None:
        nonlocal entries
        entries += 1
        if entries > MAX_ENTRIES:
            raise UserError(f"{path} has more than {MAX_ENTRIES:,} entries in its dicts, as no file of networks")
        if isinstance(value, Tensor):
            found[".".join(part for part in ".".join(way).split(".") if part not in WRAPPERS)] = value
        elif isinstance(value, Mapping | list | tuple) and len(way) < MAX_DEPTH:
            for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
                visit(inner, (*way, str(key)))

    visit(content, ())
    return found


def generators_in(tensors: State) -> dict[str, State]:
    """Return the state dicts of all generators, by the way to them, which is "" where nothing leads there."""
    prefixes = {
        key.removesuffix(mark): None for key in tensors for mark in MARKS if key.endswith(f".{mark}") or key == mark
    }
    found = {}
    for prefix in list(prefixes)[:MAX_GENERATORS]:
        state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if is_generator(state):
            roots = roots_of(state)
            found[prefix[:-1]] = {key: value for key, value in state.items() if re.match(roots, key)}
    return {name: state for name, state in found.items() if not any(_part_of(name, one, found[one]) for one in found)}


def _part_of(name: str, whole: str, state: State) -> bool:
    """Check whether a generator is a part of another one, such as a residual block whose names begin alike."""
    before = f"{whole}." if whole else ""
    return name != whole and name.startswith(before) and any(f"{before}{key}".startswith(f"{name}.") for key in state)


def chosen(generators: Mapping[str, State], direction: Direction) -> tuple[str, list[str]]:
    """Choose the generator of a direction among those of a file. Returns: its name, and a note if there are others.

    Raises:
        UserError: the names do not tell; the message continues the name of the file.
    """
    names = list(generators)
    if len(names) == 1:
        return names[0], []
    told = [name for name in names if BY_PAIR[direction].search(name)]
    told = told or [name for name in names if BY_SOURCE[direction].search(name)]
    if len(told) != 1:
        raise UserError(
            f"holds several generators ({listed(names)}), and their names do not tell which one translates "
            f"{direction}: save that one by itself, with torch.save"
        )
    note = f"of its generators {listed(names)}, {printable(told[0])} is read, which by its name translates {direction}"
    return told[0], [note]


def left_out(tensors: State, way: str, generators: Mapping[str, State]) -> list[str]:
    """Name the parts of a file that hold tensors and no generator: other networks, optimisers. Single numbers are none.

    Args:
        tensors: of the file.
        way: to the generator that is read, beside which a part is named.
        generators: all that are there.
    """
    used = {f"{name}.{key}" if name else key for name, state in generators.items() for key in state}
    others: dict[str, None] = {}
    for key in (key for key, value in tensors.items() if key not in used and value.dim() > 0):
        parts = key.split(".")
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(parts, way.split("."), strict=False))))
        others[".".join(parts[: shared + 1])] = None
    return list(others)


def listed(names: Iterable[str]) -> str:
    """Join names, of which only the first few are shown."""
    every = [printable(str(name)) or "the file itself" for name in names]
    more = [f"{len(every) - MAX_NAMED} more"] if len(every) > MAX_NAMED else []
    return ", ".join([*every[:MAX_NAMED], *more])


def cleaned(state: State) -> tuple[State, list[str]]:
    """Return the tensors of a generator in float32 and without what its norms do not use, and notes about both.

    Raises:
        UserError: a tensor that is not of plain, finite numbers; the message continues the name of the file.
    """
    odd = next((key for key, value in state.items() if not _is_whole(value)), None)
    if odd:
        raise UserError(f"holds a tensor that is not dense ({odd}): take another file")
    broken = next((key for key, value in state.items() if not bool(value.isfinite().all())), None)
    if broken:
        raise UserError(f"holds NaN or infinite values in {broken}: take another file")
    notes = []
    others = {value.dtype for value in state.values() if value.is_floating_point()} - {torch.float32}
    if others:
        kinds = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in others))
        notes.append(f"its weights in {kinds} are converted to float32")
        state = {key: value.float() if value.dtype in others else value for key, value in state.items()}
    buffers = [key for key in state if key.rpartition(".")[2] in BUFFERS]
    unscaled = next((key for key in buffers if f"{key.rpartition('.')[0]}.weight" not in state), None)
    if layout_of(state) or f"{RESNET.rpartition('.')[0]}.bias" in state or f"{UNET.rpartition('.')[0]}.bias" in state:
        norms = len({key.rpartition(".")[0] for key in buffers})
        if norms:
            notes.append(
                f"running statistics of {norms} instance norms are left out: each picture is normalised by its own, as "
                "in the official code"
            )
        state = {key: value for key, value in state.items() if key not in buffers}
    elif unscaled:
        raise UserError(
            f"has running statistics of norms without a scale ({unscaled}) behind convolutions without a bias, as no "
            "network of the official code has"
        )
    return state, notes


def _is_whole(value: Tensor) -> bool:
    """Check for real numbers that are all in memory: not sparse, quantised, expanded or without data."""
    if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()
