"""Text of a stranger's file as plain data, within bounds: nothing is built, looked up or filled in."""

from __future__ import annotations

import json
from typing import Any

import yaml

from gan_style.core.plain_data import MAX_DEPTH, MAX_FILE_CHARACTERS

_LARGEST = 10**15  # of whole numbers that are kept as numbers; larger ones have too many digits to be shown
_MOST_OF_KEYS = 10_000_000  # characters, of all full keys together; ours have some thousands
_LISTS = (list, tuple, set)
MAX_NUMBER_CHARACTERS = 400
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def from_yaml(text: str) -> dict[str, Any]:
    """Parse a config to its settings by full key, such as "model.generator.norm"; interpolations stay text.

    Raises:
        ValueError: it is no YAML, or holds what no config of ours has: tags, aliases, many levels.
    """
    if len(text) > MAX_FILE_CHARACTERS:
        raise ValueError(f"it has more than {MAX_FILE_CHARACTERS:,} characters")
    try:
        # An alias is a few bytes and can stand for as much as one likes, so it is refused before anything is built.
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ValueError(f"it has more than {MAX_DEPTH} levels")
            if isinstance(event, yaml.ScalarEvent) and _endless(event.value):
                raise ValueError("it has a number that no config has")
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it has an alias, which no config needs")
        whole = yaml.load(text, _Loader)
        settings, left, size = {}, [*reversed(whole.items())] if isinstance(whole, dict) else [], 0
        while left:
            key, value = left.pop()
            key = str(plain_value(key))
            if isinstance(value, _LISTS) and any(isinstance(one, (dict, *_LISTS)) for one in value):
                value = dict(enumerate(value))
            if not (isinstance(value, dict) and value):
                settings[key] = plain_value(value)
                continue
            size += len(key) * len(value)  # each key inside begins with this one
            if size > _MOST_OF_KEYS:
                raise ValueError(f"its keys have more than {_MOST_OF_KEYS:,} characters")
            left += [(f"{key}.{plain_value(inner)}", one) for inner, one in reversed(value.items())]
        return settings
    except (yaml.YAMLError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split()) or "it is no config") from error


def _endless(text: str) -> bool:
    """Tell whether a text may be a whole number of base 60, such as 1:30:00, that takes time by its length squared."""
    return len(text) > MAX_NUMBER_CHARACTERS and not any(letter.isalpha() for letter in text)


def from_json(text: str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: it is no JSON, or has too many levels.
    """
    try:
        return plain_value(json.loads(text))
    except RecursionError:
        raise ValueError(f"it has more than {MAX_DEPTH} levels") from None


def plain_value(value: Any, level: int = 0) -> Any:
    """Convert to mappings of text, lists, numbers that have a float, and text that every file can hold.

    Raises:
        ValueError: it has too many levels.
    """
    if level > MAX_DEPTH:
        raise ValueError(f"it has more than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {str(plain_value(key, level + 1)): plain_value(item, level + 1) for key, item in value.items()}
    if isinstance(value, _LISTS):
        return [plain_value(item, level + 1) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < _LARGEST else "a number of many digits"
    return str(value).encode("utf-8", "replace").decode()
