"""Checks of plain data: dicts with string keys, lists, strings, numbers, booleans and None, of bounded size."""

from __future__ import annotations

from typing import Any

from gan_style.core.errors import UserError
from gan_style.core.paths import printable

INTERPOLATION = "${"
MAX_DEPTH = 32  # of dicts and lists inside one another
MAX_VALUES = 1_000_000  # counted once per occurrence: a file can refer to one list many times
MAX_TEXT_CHARACTERS = 65_536
MAX_FILE_CHARACTERS = 1_000_000  # of a whole config; ours have some thousands
MAX_INTEGER = 2**63
MAX_SHOWN = 60  # of a text in a message


def require_plain(values: Any, name: str, *, interpolations: bool = False) -> None:
    """Raise a UserError unless values are plain data of a sensible size.

    Args:
        values: of a config, or of what a file says about itself.
        name: how a message calls it, such as `config`; the key inside it is added.
        interpolations: whether a text may hold `${`, which OmegaConf would resolve.
    """
    left = MAX_VALUES - 1
    waiting: list[tuple[Any, str, int]] = [(values, name, 0)]
    while waiting:
        value, path, depth = waiting.pop()
        inner: list[tuple[Any, str, int]] = []
        if isinstance(value, str):
            _require_text(value, path, interpolations)
        elif type(value) is dict:
            for key, one in value.items():
                if not isinstance(key, str):
                    raise UserError(f"{path} has a key that is no text: {printable(repr(key)[:MAX_SHOWN])}")
                _require_text(key, f"a key of {path}", interpolations)
                shown = printable(key[:MAX_SHOWN])
                inner.append((one, f"{path}.{shown}" if path else shown, depth + 1))
        elif type(value) is list:
            inner = [(one, path, depth + 1) for one in value]
        elif type(value) is int and abs(value) >= MAX_INTEGER:
            raise UserError(f"{path} is a whole number of more than 64 bits")
        elif value is not None and type(value) not in (bool, int, float):
            raise UserError(f"{path} is a {type(value).__name__}: a config holds texts, numbers and lists")
        left -= len(inner)
        if left < 0 or (inner and depth == MAX_DEPTH):
            most = f"{MAX_VALUES:,} values" if left < 0 else f"{MAX_DEPTH} levels"
            raise UserError(f"{name or 'the config'} holds more than {most}, which no config of ours does")
        waiting += reversed(inner)


def _require_text(text: str, path: str, interpolations: bool) -> None:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise UserError(f"{path} is a text of {len(text):,} characters: give at most {MAX_TEXT_CHARACTERS:,}")
    if not interpolations and INTERPOLATION in text:
        raise UserError(
            f"{path}={printable(text[:MAX_SHOWN])} holds {INTERPOLATION}, and only the command line may refer to other "
            "values: write the value itself"
        )
