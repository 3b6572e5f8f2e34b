"""Packages that only some verbs need."""

from __future__ import annotations

import importlib
from typing import Any

from gan_style.core.errors import UserError


def extra(name: str, module: str) -> Any:
    """Import a module of an optional package.

    Raises:
        UserError: it is not installed or cannot be imported; names the extra of gan-style that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise UserError(f"{package} {why_no_import(error, package)}: pip install 'gan-style[{name}]'") from error


def why_no_import(error: ImportError, package: str) -> str:
    """Say, behind the name of a package, whether it is missing or is there and fails as it is imported."""
    if isinstance(error, ModuleNotFoundError) and str(error.name).split(".")[0] == package:
        return "is not installed"
    return f"cannot be imported ({' '.join(str(error).split())[:120]})"
