"""What is done with a block: run it as it stands but small, or look at all of it that needs no run."""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from gan_style.cli import main as cli
from gan_style.cli import train as training
from gan_style.core import compose
from gan_style.testing import SMALL_MODEL, chosen, keys_of
from gan_style.training.run import checked
from tests.documents.blocks import Block, Command

ROOT = Path(__file__).parents[2]
# What makes a training small, as far as its config has the key and the command does not give it.
SMALL = SMALL_MODEL | {
    "trainer": "cpu",
    "trainer.max_steps": "2",
    "trainer.val_every": "2",
    "trainer.log_every": "1",
    "data.val_count": "2",
    "data.count": "8",
    "data.image_size": "32",
    "data.load_size": "36",
}
# What makes a verb quick; an option that the command gives already is left alone.
QUICK = {
    "stylize": {"--size": "32"},
    "sheet": {"--size": "32", "--cell": "32"},
    "evaluate": {"--draws": "2", "--limit": "4", "--device": "cpu"},
    "compare": {"--draws": "2", "--size": "32", "--device": "cpu"},
    "inspect": {"--image-size": "32"},
}
GATYS = {"--weights": "random", "--set": "model.steps=2"}
TRAINS = ("plan", "audit")  # verbs that take the overrides of `train`
SLOW = ("plan", "audit", "sweep", "table", "experiments")  # seconds or more, and programs of their own
SLOW_EXPORTS = (".onnx", ".pt2")
EXAMPLE = ("model=cyclegan", "data=tiny")  # in place of "..."


class NotACommandError(Exception):
    """Nobody knows what it is, so nobody looks whether it is right."""


def kind(command: Command) -> tuple[str, list[str]]:
    """What a line calls, and the words for it: a verb of gan-style, `train`, `experiments`, `make`, `pip`, or `""`."""
    words = [word.removeprefix(".venv/bin/") for word in command.words]
    if words[0] == "gan-style":
        return words[1], words[2:]
    if "train.py" in words:  # also behind a launcher
        return "train", words[words.index("train.py") + 1 :]
    if words[0] == "python" and words[1].startswith("experiments/"):
        return "experiments", words[1:]
    if words[:2] == ["uv", "pip"]:
        return "pip", words[2:]
    return (words[0], words[1:]) if words[0] in ("make", "pip", "cd") else ("", words)


def is_slow(block: Block, command: Command) -> bool:
    name, words = kind(command)
    return block.slow or name in SLOW or (name == "export" and words[1].endswith(SLOW_EXPORTS))


def filled(words: list[str]) -> list[str]:
    """The overrides of a training, with what "..." stands for."""
    return [*EXAMPLE, *(word for word in words if word != "...")] if "..." in words else words


# Run


def run_shell(command: Command) -> None:
    """Run a command in this process and this folder, on small settings.

    Raises:
        NotACommandError: it is none that could be run here.
        AssertionError: its exit status is not 0.
    """
    name, words = kind(command)
    if name in TRAINS:
        words = filled(words)
        words += smaller(cli._parsed([name, *words]).overrides)
    if name == "cd":
        os.chdir(words[0])
        sys.path.insert(0, os.getcwd())  # as `python -m` has it
        status = 0
    elif name == "train":
        words = filled(words)
        if Path("conf").is_dir() and "--config-dir" not in words:  # files of the document beside the checkout's
            words = ["--config-dir", "conf", *words]
        status = run_training(words if "--help" in words else words + smaller(words))
    elif name == "experiments":
        module = importlib.import_module(words[0].removesuffix(".py").replace("/", "."))
        status = module.main(words[1:])
    elif name in ("make", "pip", ""):
        raise NotACommandError(f"{command}: mark it <!-- not run (...): REASON -->, or <!-- not code: WHAT -->")
    else:
        extra = QUICK.get(name, {}) | (GATYS if "gatys" in words else {})
        more = [word for option, value in extra.items() if option not in words for word in (option, value)]
        status = cli.main([name, *words, *more])
    assert status == 0, f"{command}: exit status {status}"


def run_training(words: list[str]) -> int:
    """`python train.py WORDS`, in this process: its exit status."""
    training._failures.clear()
    training._started.clear()
    with mock.patch.object(sys, "argv", ["train.py", *words]), mock.patch.dict(os.environ):
        try:
            training.main()
        except SystemExit as error:
            return int(error.code or 0)
    return 0


def run_python(block: Block, path: Path, namespace: dict[str, Any]) -> None:
    """Run a block of Python; its lines are those of the document."""
    source = "\n" * block.line + block.source
    exec(compile(source, str(path), "exec", dont_inherit=True), namespace)


# Look at what is not run


def check_shell(command: Command) -> bool:
    """Parse or compose a command; whether there was anything to look at.

    Raises:
        SystemExit, UserError, AssertionError: it is wrong.
    """
    name, words = kind(command)
    if name == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        words = [word for word in words if "=" not in word]  # a variable
        assert set(words) <= {*targets}, f"{command}: the Makefile has {targets}"
    elif name == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        asked = [name for found in re.findall(r"gan-style\[([\w,]+)\]", " ".join(words)) for name in found.split(",")]
        ours = words[-2:] == ["-e", "."] or any(word.startswith("gan-style") for word in words)
        assert words[0] == "install", command
        assert ours, f"{command}: what does it install?"
        assert set(asked) <= {*extras}, f"{command}: the extras are {[*extras]}"
    elif name == "experiments":
        check_script(ROOT / words[0], words[1:])
    elif name == "train":
        checked(composed(filled(words)))
    elif name:
        parsed = cli._parsed([name, *words])
        if name in TRAINS:
            checked(composed(filled(parsed.overrides)))
    return bool(name)


class _Parsed(Exception):  # noqa: N818 (an event)
    pass


@contextmanager
def _parsing_only() -> Iterator[None]:
    """Inside, a program ends when it has read its command line."""

    def then_end(method: Any) -> Any:
        def parse(*arguments: Any, **options: Any) -> None:
            method(*arguments, **options)
            raise _Parsed

        return parse

    names = ("parse_known_args", "parse_intermixed_args")
    patches = [
        mock.patch.object(argparse.ArgumentParser, n, then_end(getattr(argparse.ArgumentParser, n))) for n in names
    ]
    with patches[0], patches[1]:
        yield


def check_script(script: Path, words: list[str]) -> None:
    """Have a script read its command line."""
    with mock.patch.object(sys, "argv", [str(script), *words]), _parsing_only():
        try:
            runpy.run_path(str(script), run_name="__main__")
        except _Parsed:
            return
    raise AssertionError(f"{script} reads no command line")


def check_python(block: Block, path: Path) -> None:
    """A block that is not run: it compiles, and what it imports is there."""
    tree = ast.parse(block.source, str(path))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), str(path), "exec"), {})


# Configs


def composed(words: list[str]) -> dict[str, Any]:
    """The plain config of a command."""
    words, folder = [word for word in words if word not in ("-m", "--multirun")], None
    if "--config-dir" in words:
        at = words.index("--config-dir")
        words, folder = words[:at] + words[at + 2 :], words[at + 1]
    return compose.composed(words, folder)


def smaller(words: list[str]) -> list[str]:
    """The words of SMALL that fit a command. Whatever length a document gives, two iterations are run."""
    given = keys_of(words) - {"trainer.max_steps"}
    if "data.image_size" in given:
        given.add("data.load_size")  # ours is for our own size
    small = chosen(SMALL, composed(words), given)
    if any(word.startswith("resume=") for word in words):
        small = [word.replace("max_steps=2", "max_steps=3") for word in small]
    return small
