"""Table of the functions that streamed feature maps support: filled by functions.py, used by streamed.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gan_style.core.errors import UserError


class UnknownOperationError(UserError, AttributeError):
    """Operation that a streamed feature map does not support; an AttributeError, too, for `hasattr`."""


def unknown(what: str) -> UnknownOperationError:
    return UnknownOperationError(
        f"the network uses {what}, which exact tiling does not know: take --tile off, or --tile-mode fast, which is "
        "approximate"
    )


FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # torch's functions
METHODS: dict[str, Callable[..., Any]] = {}  # a tensor's methods, by name


def call(function: Any, args: Any, kwargs: Any) -> Any:
    """Call a function of torch on a streamed feature map, for `__torch_function__`."""
    known = FUNCTIONS.get(function)
    if known is None:
        raise unknown(getattr(function, "__name__", str(function)))
    return known(*args, **kwargs)


def method(x: Any, name: str) -> Callable[..., Any]:
    """Return a tensor's method, such as `x.clamp(-1, 1)`, of a streamed feature map."""
    if name not in METHODS:
        raise unknown(f"the method {name}")
    return lambda *args, **kwargs: METHODS[name](x, *args, **kwargs)
