"""Lazy imports for names of a package whose modules are slow to import."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def lazily(package: str, modules: Mapping[str, str], name: str) -> Any:
    """Import the module that has a name and return the name, for the `__getattr__` of a package.

    Args:
        package: its dotted name.
        modules: name -> module of the package that has it.
        name: the name that was asked for.

    Raises:
        AttributeError: the package has no such name.
    """
    if name not in modules:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
