"""Copies of plain data: dicts with string keys, lists, strings, numbers, booleans and None, of bounded size."""

from __future__ import annotations

from typing import Any

from gan_style.core.errors import UserError
from gan_style.core.moved import key_of_today, moved
from gan_style.core.paths import printable

INTERPOLATION = "${"
MAX_DEPTH = 32  # of dicts and lists inside one another
MAX_VALUES = 1_000_000  # counted once per occurrence: a file can refer to one list many times
MAX_TEXT_CHARACTERS = 65_536
MAX_FILE_CHARACTERS = 1_000_000  # of a whole config; ours have some thousands
MAX_INTEGER = 2**63
MAX_SHOWN = 60  # of a text in a message


def plain_copy(values: Any, name: str, *, interpolations: bool = False) -> tuple[Any, list[str]]:
    """Copy values that are plain data of a sensible size, with today's names of what has moved or was renamed.

    Where a key is there by both names, as in an experiment of one's own that gives the old one, the old one wins.

    Args:
        values: of a config, or of what a file says about itself; anything else is refused before it is used.
        name: how a message calls it, such as `config`; the key inside it is added.
        interpolations: whether a text may hold `${`, which OmegaConf would resolve.

    Returns: the copy, and a note about each old key.

    Raises:
        UserError: names the value that no plain data hold, or says that there is too much of it.
    """
    left, whole, notes = MAX_VALUES - 1, [values], list[str]()
    waiting: list[tuple[Any, Any, str, str, int]] = [(whole, 0, name, "", 0)]
    while waiting:
        place, at, path, around, depth = waiting.pop()  # around: the keys it is in, each with a dot behind
        value, inner = place[at], list[tuple[Any, Any, str, str, int]]()
        inside = f"{around}{str(at)[:MAX_SHOWN]}." if depth else ""
        if type(value) in (dict, list) and len(value) > left:  # before it is copied
            raise UserError(
                f"{name or 'the config'} holds more than {MAX_VALUES:,} values, which no config of ours does"
            )
        if isinstance(value, str):
            _require_text(value, path, interpolations)
            place[at] = moved(value) if at == "_target_" else value
        elif type(value) is dict:
            place[at] = copy = {}
            for key, one in value.items():
                if not isinstance(key, str):
                    raise UserError(f"{path} has a key that is no text: {printable(repr(key)[:MAX_SHOWN])}")
                _require_text(key, f"a key of {path}", interpolations)
                shown = printable(key[:MAX_SHOWN])
                today, note = key_of_today(inside, key)
                notes += note
                if note or today not in copy:
                    copy[today] = one
                inner.append((copy, today, f"{path}.{shown}" if path else shown, inside, depth + 1))
        elif type(value) is list:
            place[at] = [*value]
            inner = [(place[at], i, path, inside, depth + 1) for i in range(len(value))]
        elif type(value) is int and abs(value) >= MAX_INTEGER:
            raise UserError(f"{path} is a whole number of more than 64 bits")
        elif value is not None and type(value) not in (bool, int, float):
            raise UserError(f"{path} is a {type(value).__name__}: a config holds texts, numbers and lists")
        left -= len(inner)
        if left < 0 or (inner and depth == MAX_DEPTH):
            most = f"{MAX_VALUES:,} values" if left < 0 else f"{MAX_DEPTH} levels"
            raise UserError(f"{name or 'the config'} holds more than {most}, which no config of ours does")
        waiting += reversed(inner)
    return whole[0], notes


def _require_text(text: str, path: str, interpolations: bool) -> None:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise UserError(f"{path} is a text of {len(text):,} characters: give at most {MAX_TEXT_CHARACTERS:,}")
    if not interpolations and INTERPOLATION in text:
        raise UserError(
            f"{path}={printable(text[:MAX_SHOWN])} holds {INTERPOLATION}, and only the command line may refer to other "
            "values: write the value itself"
        )
