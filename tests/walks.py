"""How far a thing walks: which functions of the package it is handed to. `python -m tests.walks` prints it.

Four things are followed while the package runs: the parsed command of `gan-style translate`, the config of a training,
a style of `gan-style translate`, and one image on its way from a file to a tensor. A function is on the walk if one of
its arguments is the thing, by a name or among `*args` and `**kwargs`, or if it is a closure over it. Works on other
versions of the package, too (PYTHONPATH).

    python -m tests.walks CYCLEGAN/checkpoints/best.ckpt ADAIN/checkpoints/best.ckpt
"""

from __future__ import annotations

import argparse
import contextlib
import io
import runpy
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from inspect import CO_VARARGS, CO_VARKEYWORDS, Parameter
from pathlib import Path
from types import FrameType, MethodType
from typing import Any

import numpy as np
from PIL import Image

Walk = set[tuple[str, str]]  # file, function


@contextlib.contextmanager
def followed(is_thing: Callable[[Any], bool]) -> Iterator[Walk]:
    """Collect the functions of gan_style that are called with an argument for which `is_thing` holds."""
    package = str(Path(import_module("gan_style").__file__ or "").parent)
    walk: Walk = set()

    def look(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        comprehension = code.co_name.startswith("<") and code.co_name != "<lambda>"
        if event != "call" or not code.co_filename.startswith(package) or comprehension:
            return
        named = code.co_argcount + code.co_kwonlyargcount
        others = bool(code.co_flags & CO_VARARGS), bool(code.co_flags & CO_VARKEYWORDS)
        given = [frame.f_locals.get(name) for name in (*code.co_varnames[:named], *code.co_freevars)]
        rest = [frame.f_locals.get(name) for name in code.co_varnames[named : named + sum(others)]]
        given += [one for more in rest for one in (more.values() if isinstance(more, dict) else more or ())]
        if any(map(is_thing, given)):
            walk.add((code.co_filename[len(package) + 1 :], code.co_qualname))

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def is_config(value: Any) -> bool:
    """Whether it is the config of a training, checked or not, or the part of it that one object is built from.

    A list of such is one, too, and so are a method and a partial function that are bound to one, and a table of its
    keys in full, such as "model._target_".
    """
    if type(value).__name__ in ("Checked", "Node") and type(value).__module__.startswith("gan_style"):
        return True
    if isinstance(value, (list, tuple, set)):
        return any(map(is_config, value))
    if isinstance(value, partial):
        return any(map(is_config, (*value.args, *value.keywords.values())))
    if isinstance(value, MethodType):
        return is_config(value.__self__)
    if not isinstance(value, Mapping) or (isinstance(value, dict) and Parameter in map(type, value.values())):
        return False  # parameters by name are a signature, such as that of a config
    return {"model", "data", "trainer"} <= set(value) or any(str(key).split(".")[-1] == "_target_" for key in value)


def holds_config(value: Any) -> bool:
    """Whether it is a config, or a dict that has one among its values, such as the content of a checkpoint."""
    return is_config(value) or (isinstance(value, dict) and any(map(is_config, value.values())))


def is_style(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(is_style, value))
    return type(value).__name__ == "Style" or (isinstance(value, str) and value.endswith("style.png=0.5"))


def verb(*words: str) -> None:
    """Run `gan-style` in this process, of whatever version."""
    module = import_module("gan_style.cli")
    main = getattr(module, "main", None) or import_module("gan_style.cli.main").main
    main = main if callable(main) else main.main
    with contextlib.redirect_stdout(io.StringIO()):
        assert not main(list(words)), words


def train(*words: str) -> None:
    sys.argv = ["train.py", *words]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        runpy.run_path("train.py", run_name="__main__")


def walk_of_config(folder: Path, is_thing: Callable[[Any], bool] = is_config) -> Walk:
    """The walk of the config of a training that writes into a folder."""
    with followed(is_thing) as walk:
        train("model=cyclegan", "data=tiny", "debug=smoke", f"run_dir={folder}/run")
    return walk


def walks_of_translate(checkpoint: Path, styled: Path, folder: Path) -> Iterator[tuple[str, Walk]]:
    """The three walks of `gan-style translate` by name.

    Args:
        checkpoint: of any image translator.
        styled: of a method that takes any image as a style.
        folder: to write in.
    """
    photo, style = folder / "photo.png", folder / "style.png"
    for path, seed in ((photo, 0), (style, 1)):
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    translate = "translate", str(checkpoint), str(photo), str(folder / "out.png")
    with followed(lambda value: isinstance(value, argparse.Namespace)) as walk:
        verb(*translate)
    yield "a command of translate", walk
    with followed(is_style) as walk:
        verb("translate", str(styled), str(photo), str(folder / "styled.png"), "--style", f"{style}=0.5")
    yield "a style", walk
    with followed(lambda value: isinstance(value, (str, Path)) and str(value) == str(photo)) as by_name:
        verb(*translate)
    with followed(lambda value: isinstance(value, (bytes, Image.Image))) as by_content:
        verb(*translate)
    yield "one image", by_name | by_content


def main(checkpoint: str, styled: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = dict(walks_of_translate(Path(checkpoint).resolve(), Path(styled).resolve(), Path(folder)))
        found["the config of train"] = walk_of_config(Path(folder) / "one")
        found["the config of train, also within a dict"] = walk_of_config(Path(folder) / "two", holds_config)
        for name, walk in found.items():
            print(f"{name}: {len(walk)} functions in {len({file for file, _ in walk})} files")
            for file, function in sorted(walk):
                print(f"    {file} {function}")


if __name__ == "__main__":
    main(*sys.argv[1:])
