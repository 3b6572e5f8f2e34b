"""Values of a config against the type hints of a signature: converted, or refused by a sentence."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any

import pydantic

from gan_style.core.errors import UserError
from gan_style.core.quoting import shortened


def _adapter(hint: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(hint, config=pydantic.ConfigDict(arbitrary_types_allowed=True))


def require_type(made: Any, hint: Any, full: str) -> None:
    """Raise a UserError if an object that a node made is not what the signature asks for."""
    made_kind = _product(hint)
    if made_kind is not None:
        source = getattr(made, "func", None)
        if source is None or (isinstance(source, type) and not issubclass(source, made_kind)):
            kind = type(made).__name__ if source is None else f"factory of {source.__name__}"
            raise UserError(f"{full} is not valid: its _target_ makes a {kind}, not a factory of {made_kind.__name__}")
    try:
        _adapter(hint).validate_python(made)
    except pydantic.ValidationError:
        kind = type(made).__name__
        raise UserError(f"{full} is not valid: its _target_ makes a {kind}, and another kind is wanted there") from None
    except (pydantic.errors.PydanticUserError, NameError):
        return  # a hint that has no check, such as a protocol


def _product(hint: Any) -> type | None:
    """Return the kind of thing that a factory makes: nn.Module for `Callable[..., ResnetGenerator]`, or None."""
    kinds = [one for one in (hint, *typing.get_args(hint)) if typing.get_origin(one) is Callable]
    made = typing.get_args(kinds[0])[-1] if kinds else None
    return made.__mro__[-2] if isinstance(made, type) and made.__module__ != "builtins" else None


def missing(full: str) -> UserError:
    """Return the error about a key that has no value."""
    return UserError(f"{full} must be given: add {full}=VALUE to the command")


def converted(value: Any, hint: Any, full: str) -> Any:
    """Return a plain value with the type that a hint asks for: "5" and 5.0 become 5 where it is a whole number.

    Raises:
        UserError: it cannot be of that type, or is the `???` of a value that must be given.
    """
    if value == "???":
        raise missing(full)
    try:
        converted = _adapter(hint).validate_python(value)
    except pydantic.ValidationError as error:
        text = shortened(value)
        if isinstance(value, str) and error.errors()[0]["type"] in ("sequence_str", "list_type"):
            raise UserError(f"{full}={text} is not valid: it is a list, {full}=[{text}]") from None
        reason = " or ".join(dict.fromkeys(one["msg"].removeprefix("Input should be ") for one in error.errors()[:4]))
        reason = f"input should be {reason}" if error.errors()[0]["msg"].startswith("Input should be") else reason
        raise UserError(f"{full}={text} is not valid: {shortened(reason[0].lower() + reason[1:])}") from None
    except (pydantic.errors.PydanticUserError, NameError):
        return value  # a hint that has no check, such as a protocol
    if isinstance(value, bool) and not isinstance(converted, bool):
        raise UserError(f"{full}={str(value).lower()} is not valid: input should be a number")
    plain_mapping = isinstance(value, Mapping) and isinstance(converted, dict)
    return converted if plain_mapping or isinstance(converted, bool | int | float | str) else value
