"""The page that `train --help` prints: examples, what each group takes, the keys with the comments of their YAML."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gan_style.core.commands import typed_train
from gan_style.core.compose import composed_of
from gan_style.core.config import config_dir as our_configs
from gan_style.core.paths import expanded

WIDTH, COLUMN = 118, 34  # characters of a line, and before a comment
EXAMPLES = (
    ("model=cyclegan data=scenes", "the built-in pictures: runs anywhere, offline"),
    ("data=folders data.root=DIR", "your own: trainA, trainB in DIR, testA and testB to look at"),
    ("run_dir=runs/mine resume=last", "go on with a run as if it had never stopped"),
)
ALSO = (
    "Also: model=cut --help shows the keys of another choice; -m key=1,2,3 trains each combination; --config-dir DIR",
    "finds your own YAML; -q prints errors alone; --cfg job prints the whole config; +key=value adds a key and ~key",
    "removes one; --hydra-help says what Hydra takes.",
)
LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w.]+):(?P<rest>.*)$")
COMMENT = re.compile(r"""^(?:[^#'"]|'[^']*'|"[^"]*"|\S#)*?(?:^|\s)#\s?(?P<text>.*)$""")
Comments = dict[tuple[str, ...], str]


def page(overrides: Sequence[str], config_dir: str | Path | None = None) -> list[str]:
    """Return the lines of the page, for the model and data that the overrides choose.

    Raises:
        UserError: an override that is not known.
    """
    config, choices = composed_of(overrides, config_dir)
    folders = [our_configs(), *([expanded(config_dir)] if config_dir else [])]
    begin = " ".join(typed_train())
    lines = [f"usage: {begin} [key=value ...] [-m] [--config-dir DIR] [-q]", "", "Trains a model. Three examples:", ""]
    lines += [f"  {begin} {words:<32} {said}" for words, said in EXAMPLES]
    lines += ["", "Choices, as group=choice; * is chosen, and the keys below are of it:", ""]
    for group, names in groups(folders).items():
        marked = [f"*{name}" if choices.get(group) == name else name for name in names]
        lines += textwrap.wrap(" ".join(marked), WIDTH, initial_indent=f"  {group:<20} ", subsequent_indent=" " * 23)
    comments = all_comments(folders, choices)
    for title, path, node in sections(config):
        if part := keys(node, path, comments):
            lines += ["", f"{title}:", "", *part]
    return [*lines, "", *ALSO]


def groups(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Return group -> choices, of all folders of configs; `sweep` has a verb of its own."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in folder.rglob("*.yaml"):
            group = path.parent.relative_to(folder).as_posix()
            if group not in (".", "sweep", "callbacks"):
                found.setdefault(group, set()).add(path.stem)
    return {group: sorted(found[group]) for group in sorted(found)}


def sections(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], dict[str, Any]]]:
    """Yield title, path and keys of each part of a config."""
    yield "The run", (), {key: value for key, value in config.items() if not isinstance(value, dict)}
    titles = {"model": "Model", "data": "Data", "trainer": "Trainer", "best": "best.ckpt", "doctor": "Doctor"}
    for key in [*titles, *(key for key, value in config.items() if isinstance(value, dict) and key not in titles)]:
        if isinstance(config.get(key), dict):
            yield titles.get(key, key.capitalize()), (key,), config[key]


def keys(node: Mapping[str, Any], path: tuple[str, ...], comments: Comments) -> list[str]:
    """Return the lines of a part: a line for each key that has a comment, the others side by side before them."""
    plain, said = [], []
    for place, value in leaves(node, path):
        word = f"{'.'.join(place)}={_value(value)}"
        if text := comments.get(place):
            apart = f"\n{'':{COLUMN + 2}}" if len(word) >= COLUMN - 1 else ""
            lines = textwrap.wrap(text, WIDTH - COLUMN - 2) or [""]
            said.append(f"  {word:<{COLUMN}}{apart}" + f"\n{'':{COLUMN + 2}}".join(lines))
        else:
            plain.append(word)
    bare = textwrap.wrap("  ".join(plain), WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return [*(f"  {line}" for line in bare), *"\n".join(said).splitlines()]


def leaves(node: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and value of each key below a node that a person sets: no targets, and lists whole."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        elif not key.startswith("_"):
            yield (*path, key), value


def all_comments(folders: Sequence[Path], choices: Mapping[str, str | None]) -> Comments:
    """Return path -> comment, of the files that were chosen and those that they build on."""
    found: Comments = {}
    for folder in folders:
        found |= of_file(folder / "train.yaml", ())
        for path in (folder / "callbacks").glob("*.yaml"):
            found |= of_file(path, ("callbacks",))
        for group, choice in choices.items():
            if choice and not group.startswith(("hydra", "callbacks", "experiment", "debug")):
                place, _, package = group.partition("@")
                found |= of_choice(folder / place, choice, tuple((package or place.replace("/", ".")).split(".")))
    return found


def of_choice(folder: Path, choice: str, package: tuple[str, ...]) -> Comments:
    """Return the comments of a config, after those of the files beside it that it builds on."""
    path = folder / f"{choice}.yaml"
    if not path.is_file():
        return {}
    found: Comments = {}
    for base in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("defaults", ()):
        if isinstance(base, str) and base not in ("_self_", choice):
            found |= of_choice(folder, base, package)
    return found | of_file(path, package)


def of_file(path: Path, package: tuple[str, ...]) -> Comments:
    """Return path -> the comment behind each key of a YAML file."""
    found: Comments = {}
    place: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        if match := LINE.match(line):
            indent = len(match["indent"])
            place = [one for one in place if one[0] < indent]
            place.append((indent, match["key"]))
            if comment := COMMENT.match(match["rest"]):
                found[(*package, *(key for _, key in place))] = comment["text"]
    return found


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if not isinstance(value, list) else text.replace('"', "")
