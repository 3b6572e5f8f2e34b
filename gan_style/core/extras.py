"""Packages that only some verbs need."""

from __future__ import annotations

import importlib
from typing import Any

from gan_style.core.errors import UserError


def extra(name: str, module: str) -> Any:
    """Import a module of an optional package.

    Raises:
        UserError: it is not installed; names the extra of gan-style that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{module.split('.')[0]} is not installed: pip install 'gan-style[{name}]'") from error
