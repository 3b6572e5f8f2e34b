"""`gan-style new NAME`: a package of one's own whose method, generator, loss, metric and data set work."""

from __future__ import annotations

import importlib.util
import keyword
import os
import shutil
import sys
import tempfile
from pathlib import Path

from gan_style.core.config import config_dir
from gan_style.core.errors import UserError
from gan_style.core.paths import printable

TEMPLATE = Path(__file__).parent / "template"  # each file with .txt behind its name
NAME = "mylab"  # of the package in the template, wherever it stands in a file or in a file's name
HIDDEN = {"gitignore": ".gitignore"}  # what would be obeyed where it lies


def new(name: str, folder: Path) -> Path:
    """Write a package into a folder of its own below `folder`, whole or not at all.

    Returns: the folder of the package.

    Raises:
        UserError: the name cannot be that of a package, is taken, or its folder holds something.
    """
    _check(name)
    target = folder / name
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target} is there already: choose another name, or move it away")
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
    try:
        for source in sorted(TEMPLATE.rglob("*.txt")):
            relative = source.relative_to(TEMPLATE).with_suffix("").as_posix().replace(NAME, name)
            path = unfinished / HIDDEN.get(relative, relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source.read_text(encoding="utf-8").replace(NAME, name))
        unfinished.chmod(0o777 & ~_umask())
        os.replace(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _check(name: str) -> None:
    """Raise a UserError where a name cannot be that of a package beside gan_style."""
    said = printable(name)[:60]
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        near = name.replace("-", "_").replace(" ", "_")
        like = near if near.isidentifier() and near.isascii() and not keyword.iskeyword(near) else NAME
        raise UserError(f"'{said}' cannot be the name of a Python package: take letters, digits and _, such as {like}")
    if name == "gan_style" or name in sys.stdlib_module_names or _is_installed(name):
        raise UserError(f"{said} is a package that is there already: choose another name")
    if taken := sorted(path.relative_to(config_dir()).as_posix() for path in config_dir().rglob(f"{name}.yaml")):
        raise UserError(f"{said} is the name of a config of gan_style, {taken[0]}: choose another name")


def _is_installed(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None  # a mere folder of that name has none


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
