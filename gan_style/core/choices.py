"""Finding of the key that a value belongs to: `trainer=16-mixed` is meant for `trainer.precision`."""

from __future__ import annotations

import contextlib
import os
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gan_style.core.config import hints_of
from gan_style.core.paths import absent

# What other programs call it.
SYNONYMS = {
    "cuda": "trainer=gpu",
    **dict.fromkeys(("16", "fp16", "float16", "half"), "trainer.precision=16-mixed"),
    **dict.fromkeys(("bf16", "bfloat16"), "trainer.precision=bf16-mixed"),
    **dict.fromkeys(("32", "fp32", "float32"), "trainer.precision=32-true"),
}
NODES = ("trainer/auto", "model/cyclegan", "data/folders")  # whose settings are looked through


def belonging(group: str, value: str, folders: Sequence[Path]) -> list[str]:
    """List the settings that take a value which a group of configs does not have.

    Args:
        group: of the command, such as `trainer`.
        value: given for it.
        folders: of configs; the first one is ours.

    Returns: such as `trainer.precision=16-mixed`, as on the command line.
    """
    if group == "data" and (os.path.isdir(value) or {"/", "\\"} & {*value}):
        return [f"data=folders data.root={absent(value) if not os.path.isdir(value) else value}"]
    return list(dict.fromkeys((*_groups(value, folders), *_settings(value, folders[0]), *_synonyms(value))))


def having(group: str, key: str, folders: Sequence[Path]) -> list[str]:
    """List the configs of a group that have a key, by name in alphabetical order; files that cannot be read have none.

    Args:
        group: such as `model/generator`.
        key: without the group, such as `noise`.
        folders: of configs.
    """
    found = set()
    for path in (path for folder in folders for path in (folder / group).glob("*.yaml")):
        with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            if isinstance(content, Mapping) and key in content and key != "defaults":
                found.add(path.stem)
    return sorted(found)


def _groups(value: str, folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            group = path.parent.relative_to(folder).as_posix()
            if path.stem == value and group not in (".", "sweep"):
                yield f"{group}={value}"


def _settings(value: str, folder: Path) -> Iterator[str]:
    for name in NODES:
        node = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
        for key, hint in hints_of(node).items():
            if value in _literals(hint):
                yield f"{name.partition('/')[0]}.{key}={value}"


def _synonyms(value: str) -> Iterator[str]:
    if value.lower() in SYNONYMS:
        yield SYNONYMS[value.lower()]


def _literals(hint: Any) -> set[Any]:
    """Return the values that a type hint lists."""
    if typing.get_origin(hint) is typing.Literal:
        return set(typing.get_args(hint))
    return {value for part in typing.get_args(hint) for value in _literals(part)}
