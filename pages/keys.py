"""Pages of every configuration key, from the YAML files, their comments, and the signatures that check them."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import griffe
import yaml

from gan_style.core.config import _imported, _parameters

SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
GROUPS = {  # group of conf -> title and text of its page; the order is that of the navigation
    "train": ("The command", "What every training has: `python train.py KEY=VALUE`."),
    "model": ("Methods", "`model=NAME`; its keys begin with `model.`, as in `model.lambda_cycle=5`."),
    "model/generator": ("Generators", "`model/generator=NAME`; their keys begin with `model.generator.`."),
    "model/discriminator": (
        "Discriminators",
        "`model/discriminator=NAME`; their keys begin with `model.discriminator.`.",
    ),
    "model/vgg": ("VGG features", "`model/vgg=NAME`; their keys begin with `model.vgg.`."),
    "data": ("Data", "`data=NAME`; their keys begin with `data.`."),
    "trainer": ("Trainers", "`trainer=NAME`; their keys begin with `trainer.`."),
    "callbacks": ("Callbacks", "All stand in a training; `~callbacks.NAME` leaves one out."),
    "logger": ("Loggers", "`logger=NAME`; their keys begin with `logger.`."),
    "experiment": ("Experiments", "`experiment=NAME`: several choices at once."),
    "debug": ("Short runs", "`debug=NAME`: to find out why something does not work."),
    "sweep": ("Searches", "`sweep=NAME` of a search over trainings."),
}


@dataclass
class Row:
    """One key of a page.

    Attributes:
        key: with dots, as the command has it below its group.
        default: as the YAML writes it.
        kind: what values it takes.
        meaning: from the comment in the YAML, else from the docstring.
    """

    key: str
    default: str
    kind: str
    meaning: str


def pages(conf: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the Markdown of a page for each group of a folder of configs."""
    for group, (title, text) in GROUPS.items():
        files = [conf / "train.yaml"] if group == "train" else sorted((conf / group).glob("*.yaml"))
        parts = [f"# {title}: keys\n\n{text}\n"]
        for file in files:
            name = None if group == "train" else file.stem
            parts.append(section(file.read_text(encoding="utf-8"), name, prefix_of(group)))
        yield f"keys_{group.replace('/', '_')}.md", "\n".join(parts)


def prefix_of(group: str) -> str:
    """Return what stands before the keys of a group on the command line."""
    return "" if group in ("train", "experiment", "debug", "sweep") else group.replace("/", ".") + "."


def section(text: str, name: str | None, prefix: str) -> str:
    """Write the part of a page about one file."""
    lines = [f"## `{name}`\n"] if name else []
    lines += [_introduction(text), "", *_composition(text)]
    rows = list(rows_of(text))
    if rows:
        lines += ["| key | default | values | meaning |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{prefix}{row.key}` | {_code(row.default)} | {_cell(row.kind)} | {_cell(row.meaning)} |" for row in rows
        ]
    return "\n".join(lines) + "\n"


def _composition(text: str) -> list[str]:
    """Say which files a file begins with, whose keys it has, too."""
    said = []
    for entry in (yaml.safe_load(text) or {}).get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            said.append(f"Begins as [`{entry}`](#{entry}), with other values of these keys.")
        elif isinstance(entry, dict):
            said += [f"`{key}={value}`." for key, value in entry.items() if value and "override" not in key]
    return [" ".join(said), ""] if said else []


def rows_of(text: str) -> Iterator[Row]:
    """Yield the keys of a file: those that it writes, then those that it leaves to the signature of its target."""
    lines = text.splitlines()
    root = yaml.compose(text)
    if isinstance(root, yaml.MappingNode):
        yield from _rows(root, lines, "")


def _rows(node: yaml.MappingNode, lines: list[str], path: str) -> Iterator[Row]:
    entries = {key.value: (key, value) for key, value in node.value}
    target = _target(entries["_target_"][1].value) if "_target_" in entries else None
    parameters, hints, said = (*_parameters(target), _arguments(target)) if target else ({}, {}, {})
    for name, (key, value) in entries.items():
        if name in ("_target_", "_partial_", "defaults", "hydra") or name.startswith("override "):
            continue
        meaning = _comment(lines, value, key) or said.get(name, "")
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            if meaning or _is_target(value):
                yield Row(f"{path}{name}", _target_text(value), "", meaning)
            yield from _rows(value, lines, f"{path}{name}.")
        else:
            kind = _kind(hints[name]) if name in hints else ""
            yield Row(f"{path}{name}", _source(lines, value), kind, meaning)
    for name, parameter in parameters.items():
        default = parameter.default
        if name not in entries and default is not parameter.empty and not name.startswith("_"):
            shown = "null" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
            yield Row(f"{path}{name}", shown, _kind(hints.get(name, Any)), said.get(name, ""))


def _is_target(node: yaml.MappingNode) -> bool:
    return any(key.value == "_target_" for key, _ in node.value)


def _target_text(node: yaml.MappingNode) -> str:
    return next((str(value.value).rpartition(".")[2] for key, value in node.value if key.value == "_target_"), "")


def _target(name: str) -> Callable[..., Any] | None:
    """Import a target of ours; of other packages their own pages speak."""
    found: Callable[..., Any] | None = _imported(name) if name.startswith("gan_style.") else None
    return found


def _arguments(target: Any) -> dict[str, str]:
    """Return what docstrings say of the parameters: the class's and those of its bases."""
    found: dict[str, str] = {}
    for source in target.__mro__ if isinstance(target, type) else [target]:
        for text in (inspect.getdoc(source) if source is not object else None, _init_doc(source)):
            if not text:
                continue
            for part in griffe.Docstring(text).parse("google", warnings=False):
                if part.kind in (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes):
                    for one in part.value:
                        for name in one.name.split(", "):
                            found.setdefault(name, " ".join(one.description.split()))
    return found


def _init_doc(source: Any) -> str | None:
    own = vars(source).get("__init__") if isinstance(source, type) and source is not object else None
    return inspect.getdoc(own) if own is not None else None


def _kind(hint: Any) -> str:
    """Say what values a type takes: `number > 0`, `instance | batch`, `on or off`."""
    if typing.get_origin(hint) is typing.Annotated:
        base, *limits = typing.get_args(hint)
        signs = [
            f"{sign} {getattr(limit, name)}"
            for limit in limits
            for name, sign in SIGNS.items()
            if getattr(limit, name, None) is not None
        ]
        return " ".join([_kind(base), ", ".join(signs)]).strip()
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(one) for one in typing.get_args(hint)))
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{one}`" for one in typing.get_args(hint))
    if isinstance(hint, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        return _kind(hint.__value__)
    names = {type(None): "null", bool: "true, false", int: "whole number", float: "number", str: "text", Any: ""}
    if hint in names:
        return names[hint]
    if typing.get_origin(hint) in (list, tuple) or getattr(typing.get_origin(hint), "__name__", "") == "Sequence":
        inner = [_kind(one) for one in typing.get_args(hint) if one is not ...]
        return f"list of {inner[0]}" if inner and len(set(inner)) == 1 and inner[0] else "list"
    if getattr(typing.get_origin(hint), "__name__", "") in ("dict", "Mapping"):
        return "mapping"
    if getattr(typing.get_origin(hint), "__name__", "") == "Callable" or hint is Callable:
        return "a `_target_`"
    return str(getattr(hint, "__name__", ""))


def _source(lines: list[str], node: yaml.Node) -> str:
    """Return a value as its file writes it."""
    start, end = node.start_mark, node.end_mark
    if start.line == end.line:
        return lines[start.line][start.column : end.column].strip().strip("\"'")
    inner = [lines[start.line][start.column :], *lines[start.line + 1 : end.line]]
    inner += [lines[end.line][: end.column]] if end.line < len(lines) else []
    stripped = (re.sub(r"\s+#.*", "", line).strip() for line in inner)
    return " ".join(line for line in stripped if line and not line.startswith("#"))


def _comment(lines: list[str], value: yaml.Node, key: yaml.Node) -> str:
    """Return the comment that stands behind a value, or behind the key of a block."""
    block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    mark = key.end_mark if block or value.end_mark.line >= len(lines) else value.end_mark
    match = re.search(r"(?:^|\s)#\s*(.*)", lines[mark.line][mark.column :])
    return match[1] if match else ""


def _introduction(text: str) -> str:
    """Write the comment at the top of a file as text, and what is indented in it, such as an equation, as it stands."""
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        body = line[1:].removeprefix(" ")
        if body.startswith("  ") != inside:
            inside = not inside
            found += ["", "```text"] if inside else ["```", ""]
        found.append(body.removeprefix("  ") if inside else body)
    return "\n".join([*found, "```"] if inside else found)


def _cell(text: str) -> str:
    escaped = text.replace("|", "\\|").replace("<", "&lt;")
    return re.sub(r"``([^`]*)``", r"`\1`", re.sub(r"(?<![`\w*])_(?=\w)|(?<=\w)\*(?=\w)", r"\\\g<0>", escaped))


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""
