"""From YAML to objects: `_target_` is an import path, its signature is the schema.

A config node with `_target_` names a class or function. Its constructor says which keys exist, of which type, so that
no second list of them has to be kept: `read` compares the two before anything is built.

Hydra composes a command line and resolves its interpolations, once (`plain`). From then on, and in
files, a config is dicts, lists and scalars: `build` makes the objects itself, so a text in a file stays a text.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_style.core.allowed import ALLOWED, in_config, is_below, is_of_file, refusal
from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.hints import converted, missing, require_type
from gan_style.core.memory import raise_if_out
from gan_style.core.moved import moved
from gan_style.core.plain_data import plain_copy
from gan_style.core.quoting import one_line, shortened

SPECIAL = {"_target_", "_partial_"}
# Hydra's other keys for a node. None of them is needed, and each would bypass the check against the signature.
REFUSED_KEYS = ("_args_", "_convert_", "_recursive_", "_defaults_list_")


def config_dir() -> Path:
    """Return the folder of YAML files: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def plain(config: Any) -> Any:
    """Resolve a composed config to dicts, lists and scalars, the only things that are built or enter a checkpoint."""
    if config is None or isinstance(config, dict | list | str | int | float):
        return config
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config


@dataclass(frozen=True)
class Node:
    """A checked node.

    Args:
        target: what it names.
        values: by key, `_target_` among them; inside them, whatever has a target is a node.
        parameters: names that the target takes.
    """

    target: Callable[..., Any]
    values: dict[str, Any]
    parameters: frozenset[str]


def build(node: Any, allowed: Sequence[str] = ALLOWED, /, **extra: Any) -> Any:
    """Make the object that a node names, after those that its keys name.

    Args:
        node: what `read` made of a node, or a plain dict with `_target_`, which is checked first; `_partial_: true`
            gives a factory.
        allowed: prefixes under which the target of a plain dict must be defined.
        **extra: arguments that are not configuration, such as the channels of a domain.

    Raises:
        UserError: an unknown key, a value of the wrong type, a target that is not allowed, a value that is no plain
            data, or an error of the constructor.
    """
    if not isinstance(node, Node):
        node, _ = plain_copy(node, "")
        if not isinstance(node, Mapping) or "_target_" not in node:
            raise no_node(node)
        node = read(node, allowed=allowed)
    partial = bool(node.values.get("_partial_"))
    _require_given(node.target, [*node.values], "", extra, partial)
    factory = _made(node, factory=True)
    if partial:
        return functools.partial(factory, **extra) if extra else factory
    try:
        return factory(**extra)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(one_line(f"{node.values['_target_']}: {error}")) from error


def no_node(value: Any) -> UserError:
    """Return the error about a plain value that is given where a node with `_target_` is wanted."""
    return UserError(f"{shortened(value)} is no node with a _target_: it names nothing that could be built")


def _made(value: Any, *, factory: bool = False) -> Any:
    """Turn a value of a checked node into an object or a factory where it has a target; of a node, into its factory."""
    if isinstance(value, list):
        return [_made(one) for one in value]
    if isinstance(value, dict):
        return {key: _made(one) for key, one in value.items()}
    if not isinstance(value, Node):
        return value
    arguments = {key: _made(one) for key, one in value.values.items() if key not in SPECIAL}
    hints = _parameters(value.target)[1]
    for key, made in arguments.items():
        if made is not value.values[key]:
            require_type(made, hints.get(key, Any), f"{value.values['_target_']}: {key}")
    make = functools.partial(value.target, **arguments)
    if factory or value.values.get("_partial_"):
        return make
    try:
        return make()
    except UserError:
        raise
    except Exception as error:  # any error of a constructor is taken for a mistake in the config
        raise_if_out(error)
        raise UserError(one_line(f"{value.values['_target_']}: {error}")) from error


def check(values: Any, path: str = "", *, allowed: Sequence[str] = ALLOWED) -> Any:
    """Compare a node, and every node inside it, with the signatures of their targets, as `read` does.

    Returns: a plain copy in which numbers have the type that the signature asks for ("5" and 5.0 become 5).
    """
    return _plain(read(values, path, allowed=allowed))


def _plain(read: Any) -> Any:
    """Turn what was read back into dicts and lists."""
    if isinstance(read, list):
        return [_plain(one) for one in read]
    values = read.values if isinstance(read, Node) else read
    return {key: _plain(one) for key, one in values.items()} if isinstance(values, dict) else values


def read(
    values: Any,
    path: str = "",
    *,
    allowed: Sequence[str] | None = ALLOWED,
    target: Callable[..., Any] | None = None,
    inside: bool = False,
) -> Any:
    """Compare values with the signatures of the targets that they name, and turn all that has a target into a `Node`.

    Args:
        values: a plain dict or list; dicts without `_target_` are only walked through.
        path: how the user writes this node, e.g. "model.generator"; used in messages.
        allowed: prefixes under which the targets must be defined; None for those that `allow` among the values adds.
        target: of values that do not name one, as those of a whole config.
        inside: whether they are of a node, whose object nothing is given to in code: all that it needs must be there.

    Returns: numbers have the type that the signature asks for ("5" and 5.0 become 5). Keys that are missing in a node
        that is in no other are found when its object is built.

    Raises:
        UserError: names the full key, what was expected, and the nearest valid key.
    """
    if isinstance(values, list):
        return [read(value, path, allowed=allowed, inside=inside) for value in values]
    if not isinstance(values, Mapping):
        return values
    values = dict(values)
    for key in REFUSED_KEYS:
        if key in values:
            raise UserError(f"{_join(path, key)} is not taken: give the arguments of _target_ by their names")
    if named := target is None and "_target_" in values:
        target = _locate(values["_target_"], path, allowed or ())
        if not isinstance(values.get("_partial_", False), bool):
            raise UserError(
                f"{_join(path, '_partial_')}={shortened(values['_partial_'])} is not valid: give true or false"
            )
    parameters, hints = _parameters(target) if target is not None else ({}, {})
    names = [*parameters]
    for key in values if target is not None else ():
        if named and key in SPECIAL:
            continue
        _require_known(key, names, path)
        parts = values[key] if isinstance(values[key], list) else [values[key]]
        if not any(isinstance(part, Mapping) and "_target_" in part for part in parts):
            _require_no_choice(values[key], _join(path, key))
            values[key] = converted(values[key], hints.get(key, Any), _join(path, key))
        # else an object or a factory, whose own signature is its schema
    if target is not None and inside:
        _require_given(target, [*values], path, (), bool(values.get("_partial_")))
    allowed = in_config(values["allow"]) if allowed is None else allowed
    found = {
        key: read(value, _join(path, key), allowed=allowed, inside=inside or named) for key, value in values.items()
    }
    return found if target is None else Node(target, found, frozenset(names))


def check_signature(
    target: Callable[..., Any], values: Mapping[str, Any], path: str = "", given: Sequence[str] | None = None
) -> dict[str, Any]:
    """Compare values, none of them an object, with the parameters of `target`: unknown keys, missing keys, types."""
    parameters, hints = _parameters(target)
    checked = {}
    for key, value in values.items():
        _require_known(key, parameters, path)
        checked[key] = converted(value, hints.get(key, Any), _join(path, key))
    if given is not None:
        _require_given(target, [*values], path, given)
    return checked


def _require_known(key: str, parameters: Iterable[str], path: str) -> None:
    if key not in parameters:
        raise UserError(f"{_join(path, key)} is not a known key{did_you_mean(key, parameters)}")


def _require_given(
    target: Callable[..., Any], names: Sequence[str], path: str, given: Iterable[str], partial: bool = False
) -> None:
    """Raise a UserError if an argument is named that is given in code, or if one has no value; a factory's may come."""
    for key in given:
        if key in names:
            raise UserError(f"{_join(path, key)} cannot be set: it follows from the rest of the command")
    if partial:
        return
    for key, parameter in _parameters(target)[0].items():
        if parameter.default is parameter.empty and key not in names and key not in given:
            raise missing(_join(path, key))


def _require_no_choice(value: Any, full: str) -> None:
    """Raise a UserError where the name of a config stands behind a dot: `model.generator=resnet9`."""
    if isinstance(value, str) and value.isidentifier():
        group = full.replace(".", "/")
        if (config_dir() / group / f"{value}.yaml").is_file():
            raise UserError(f"{full}={value} is not valid: a config is chosen by {group}={value}, with / for the dot")


def takes(node: Mapping[str, Any], key: str, allowed: Sequence[str] = ALLOWED) -> bool:
    """Check whether the target of a plain node has a parameter of this name."""
    return key in _parameters(target_of(node, allowed))[0]


def with_defaults(node: Mapping[str, Any], allowed: Sequence[str] = ALLOWED) -> dict[str, Any]:
    """Add to a node the defaults of its target for the keys that it leaves out."""
    parameters = _parameters(target_of(node, allowed))[0].values()
    return {p.name: p.default for p in parameters if p.default is not p.empty} | dict(node)


def hints_of(node: Mapping[str, Any], allowed: Sequence[str] = ALLOWED) -> dict[str, Any]:
    """Return the type hints of the parameters of a plain node's target."""
    return dict(_parameters(target_of(node, allowed))[1])


def target_of(node: Mapping[str, Any], allowed: Sequence[str] = ALLOWED) -> Any:
    """Return the class or function that a plain node names, under the prefixes that are allowed."""
    return _locate(node["_target_"], "model", allowed)


def _join(path: str, key: object) -> str:
    return f"{path}.{shortened(key)}" if path else shortened(key)


def _locate(name: Any, path: str, allowed: Sequence[str]) -> Callable[..., Any]:
    where = f"{_join(path, '_target_')}={shortened(name)}"
    name = moved(str(name))
    if not is_below(name, allowed):
        raise refusal(where, name, allowed)  # before its module is imported, which would already run code
    try:
        target = _imported(name)
    except Exception as error:
        raise UserError(f"{where} cannot be imported: {shortened(error)}") from error
    defined = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"
    if not callable(target) or not is_below(defined, allowed):
        raise refusal(where, defined, allowed)
    # A file may name networks and methods, which are classes, by the names that they are defined under, and nothing
    # else: a search for a class in its config, as for VGG, must not miss it under another name.
    own = isinstance(target, type) and defined == name
    if is_of_file(allowed) and is_below(defined, ["gan_style."]) and not own:
        raise refusal(where, defined, allowed)
    if is_below(defined, ["gan_style."]) and "allowed" in _parameters(target)[0]:
        raise UserError(f"{where} is not allowed: what a config allows would be its argument")
    return target


def _imported(name: str) -> Any:
    """Import what an import path names: an attribute of a module, or of a class in it."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:end])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if not module_name.startswith(error.name or "?"):
                raise  # the module exists, and one that it imports does not
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(f"there is no module {parts[0]}")


def _parameters(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """Return the named parameters of a callable; for a class that passes **kwargs to its base, the base's too."""
    parameters: dict[str, inspect.Parameter] = {}
    hints: dict[str, Any] = {}
    sources: list[Any] = [target]
    if isinstance(target, type):
        sources = [vars(c)["__init__"] for c in target.__mro__ if "__init__" in vars(c)]
    for source in sources:
        found = dict(inspect.signature(source).parameters)
        found.pop("self", None)
        passes_on = any(p.kind is p.VAR_KEYWORD for p in found.values())
        named = {k: p for k, p in found.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        parameters = named | parameters
        hints = typing.get_type_hints(source, include_extras=True) | hints
        if not passes_on:
            break
    return parameters, hints
