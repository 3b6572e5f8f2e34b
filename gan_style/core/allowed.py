"""Packages that a `_target_` may name: our own, and those that the user of a command allows.

A file never says which packages are allowed. The command does (`allow=[mylab.]` of a config, `--allow mylab.` of a
verb), or the caller (`gan_style.load(..., allow=("mylab.",))`), or the environment (`GAN_STYLE_ALLOW`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from gan_style.core.errors import UserError
from gan_style.core.paths import printable
from gan_style.core.quoting import one_line

# Only what is *defined* under one of these may be built. An alias such as gan_style.core.config.os.system
# resolves to something defined elsewhere and is refused. Of ours these are the rooms whose objects a config is for: a
# verb, or what opens a file, would take packages to allow as an argument, out of the config. Likewise of Lightning,
# whose cli calls whatever a text names.
ALLOWED = (
    *("gan_style.data.", "gan_style.losses.", "gan_style.metrics.", "gan_style.models.", "gan_style.networks."),
    *("gan_style.training.callbacks.", "gan_style.training.loggers.", "gan_style.training.trainer."),
    *("pytorch_lightning.callbacks.", "pytorch_lightning.loggers."),
    *("torch.nn.", "torch.optim.", "albumentations."),
)
# A checkpoint may come from anywhere, so its config may name nothing but our networks and methods.
ALLOWED_FROM_CHECKPOINT = ("gan_style.networks.", "gan_style.models.", "torch.optim.")

VARIABLE = "GAN_STYLE_ALLOW"  # of the environment: package names separated by commas


def in_config(own: str | Sequence[str] = ()) -> tuple[str, ...]:
    """List the prefixes that a config on the command line may name.

    Args:
        own: packages of the caller's, such as "mylab."; those of the environment are added.

    Raises:
        UserError: one of them is no name of a package.
    """
    return (*ALLOWED, *packages(own), *from_environment())


def in_file(own: str | Sequence[str] = ()) -> tuple[str, ...]:
    """List the prefixes that the config inside a file may name; see `in_config`."""
    return (*ALLOWED_FROM_CHECKPOINT, *packages(own), *from_environment())


def packages(given: str | Sequence[str], where: str = "allow") -> tuple[str, ...]:
    """Read the names of packages: `mylab`, `mylab.` and `mylab.nets` each stand for all that is below.

    Raises:
        UserError: one is no dotted name, or is gan_style itself.
    """
    found = []
    for one in [given] if isinstance(given, str) else given:
        name = str(one).strip().removesuffix(".")
        if not all(part.isidentifier() for part in name.split(".")):
            said = printable(one_line(one))[:120]
            raise UserError(f"{where}: '{said}' is no name of a package: give a dotted one, such as mylab.")
        if name.split(".")[0] == "gan_style":  # a config may name some of it alone, whoever opens it
            raise UserError(f"{where}: gan_style needs no leave: name a package of your own, such as mylab.")
        found.append(f"{name}.")
    return tuple(found)


def from_environment() -> tuple[str, ...]:
    """Read the packages of `GAN_STYLE_ALLOW`.

    Raises:
        UserError: one is no name of a package.
    """
    return packages([one for one in os.environ.get(VARIABLE, "").split(",") if one.strip()], VARIABLE)


def find_here(own: str | Sequence[str] = ()) -> None:
    """Search the working directory, last of all, for the packages that are allowed, and for no other module.

    A command calls it once, with what its user allows. What an earlier command in this process allowed is dropped.

    Args:
        own: packages that the command allows; those of the environment are added.

    Raises:
        UserError: one of them is no name of a package.
    """
    names = {name.split(".")[0] for name in (*packages(own), *from_environment())}
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    if names and not sys.flags.safe_path:
        sys.meta_path.append(_Finder(os.getcwd(), names))


class _Finder(MetaPathFinder):
    """Finds a few modules in one folder."""

    def __init__(self, folder: str, names: set[str]) -> None:
        self.folder = folder
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [self.folder]) if fullname in self.names else None


def is_below(name: str, allowed: Sequence[str]) -> bool:
    """Check whether a dotted name is one of the prefixes or lies below one."""
    return f"{name}.".startswith(tuple(allowed))


def is_of_file(allowed: Sequence[str]) -> bool:
    """Check whether prefixes are for the config inside a file, rather than for that of a command."""
    return not {*ALLOWED} <= {*allowed}


def refusal(where: str, name: str, allowed: Sequence[str]) -> UserError:
    """Make the sentence about a target that is not below an allowed prefix.

    Args:
        where: key and target as they are written.
        name: where the target is defined, or the target as written if that is not known.
        allowed: the prefixes.
    """
    package = name.split(".")[0]
    ours = {one.split(".")[0] for one in ALLOWED}
    own = package.isidentifier() and len(package) <= 60 and package not in ours | sys.stdlib_module_names
    if not is_of_file(allowed):
        advice = f"allow=[{package if own else 'mylab'}.] adds a package of your own"
        return UserError(f"{where} is not allowed: it must be defined under one of {', '.join(allowed)} ({advice})")
    if own:
        return UserError(
            f"{where} is of the package {package}, not of gan_style: if you trust that package and this file, "
            f'add --allow {package}. (in Python: load(..., allow=("{package}.",)))'
        )
    return UserError(
        f"{where} is not allowed in a file, which may name only networks, methods and schedules of gan_style by the "
        "names that they are defined under, and torch.optim"
    )
