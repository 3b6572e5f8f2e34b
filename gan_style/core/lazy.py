"""Names that a package shows and whose modules are heavy: imported when they are first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def lazily(package: str, places: Mapping[str, str], name: str) -> Any:
    """What the `__getattr__` of a package gives for a name.

    Args:
        package: its dotted name.
        places: name -> module of the package that has it.
        name: that was asked for.

    Raises:
        AttributeError: the package shows no such name.
    """
    if name not in places:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{package}.{places[name]}"), name)
