"""How far a parsed command and a config are carried: `python -m tests.walks [FOLDER OF A CHECKOUT]` prints the counts.

A small model is trained and translates one picture, each in a process of its own. Noted is every function of the
package that is handed the parsed command (argparse's namespace) or a whole config. Two checkouts, such as this one and
one of an earlier commit, are counted by the same program.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TRAIN = (
    "train.py data=tiny model.generator.filters=4 model.generator.blocks=1 model.discriminator.filters=4 "
    "trainer.max_steps=2 run_dir=run"
)
TRANSLATE = "gan_style translate run/checkpoints/last.ckpt photo.png out.png"


def is_command(value: Any) -> bool:
    return isinstance(value, argparse.Namespace)


def is_config(value: Any) -> bool:
    return isinstance(value, Mapping) and all(key in value for key in ("model", "data", "trainer", "callbacks"))


def noting(package: str, wanted: Callable[[Any], bool], found: set[tuple[str, str]]) -> Callable[..., None]:
    """A profile function that notes the file and the name of each function that gets what is wanted."""

    def profile(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(package) or code.co_name == "<module>":
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(wanted(frame.f_locals.get(name)) for name in names):
            found.add((code.co_filename.removeprefix(package), code.co_qualname))

    return profile


def walked(kind: str, words: list[str], package: str) -> list[tuple[str, str]]:
    """Run a command in this process: the functions that its namespace or its config comes to."""
    found: set[tuple[str, str]] = set()
    name, *rest = words
    sys.argv = [name, *rest]
    sys.setprofile(noting(package, is_command if kind == "command" else is_config, found))
    try:
        if name == "gan_style":
            main = (
                __import__("importlib")
                .import_module("gan_style.cli.main" if Path(package, "cli", "main.py").is_file() else "gan_style.cli")
                .main
            )
            main(rest)
        else:
            __import__("gan_style.train")
            sys.modules["gan_style.train"].main()
    except SystemExit:
        pass
    finally:
        sys.setprofile(None)
    return sorted(found)


def count(checkout: Path) -> dict[str, list[tuple[str, str]]]:
    """The walks of a checkout: of the command of `translate`, and of the config of `train`."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        from PIL import Image

        Image.new("RGB", (32, 32)).save(Path(folder) / "photo.png")
        for kind, command in (("config", TRAIN), ("command", TRANSLATE)):
            script = [sys.executable, str(Path(__file__).resolve()), "--one", kind, str(checkout), *command.split()]
            environment = {**os.environ, "PYTHONPATH": str(checkout)}
            done = subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            found[kind] = [(file, name) for file, name in json.loads(done.stdout.splitlines()[-1])]
    return found


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        kind, checkout, *words = sys.argv[2:]
        print(json.dumps(walked(kind, words, f"{Path(checkout).resolve()}/gan_style/")))
        return
    for kind, steps in count(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT).items():
        files = {file for file, _ in steps}
        rooms = {os.path.dirname(file) for file in files}
        print(f"{kind}: {len(steps)} functions in {len(files)} files of {len(rooms)} rooms")
        for file, name in steps:
            print(f"    {file}  {name}")


if __name__ == "__main__":
    main()
