"""Search spaces of sweeps: keys of the command line, each with a range or choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gan_style.core.config import check_signature
from gan_style.core.errors import UserError, did_you_mean


@dataclass
class Range:
    """Range of numbers from low to high, both included: `{type: float, low: 1, high: 30, log: true}`.

    Args:
        type: int draws whole numbers only.
        low, high: bounds.
        log: draw uniformly in the logarithm.
        step: distance between two values; not with log.
    """

    type: Literal["float", "int"]
    low: float
    high: float
    log: bool = False
    step: float | None = None

    def suggest(self, trial: Any, key: str) -> float | int:
        """Let an Optuna trial draw."""
        if self.type == "int":
            whole = (int(self.low), int(self.high))
            return int(trial.suggest_int(key, *whole, step=int(self.step or 1), log=self.log))
        return float(trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log))

    def first(self) -> float | int:
        return int(self.low) if self.type == "int" else self.low

    def matching(self, value: Any) -> list[float | int]:
        """Return the value as it is drawn, or none where it is outside of the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self.low <= value <= self.high:
            return []
        steps = (value - self.low) / (self.step or 1)
        if self.step and abs(steps - round(steps)) > 1e-8:
            return []
        return [int(value)] if self.type == "int" else [float(value)]


@dataclass
class Choice:
    """Choice from a list, written as on the command line: `{type: choice, values: [resnet6, unet128]}`."""

    type: Literal["choice"]
    values: list[Any]

    def suggest(self, trial: Any, key: str) -> Any:
        """Let an Optuna trial draw."""
        return trial.suggest_categorical(key, self.values)

    def first(self) -> Any:
        return self.values[0]

    def matching(self, value: Any) -> list[Any]:
        """Return the choice that means this value, none if none does; `null` may be text, as on the command line."""
        return [choice for choice in self.values if choice == value or (value is None and choice == "null")][:1]


Dimension = Range | Choice
_MISSING = object()
Space = dict[str, Dimension]


def read_space(node: Mapping[str, Any] | None, of: str) -> Space:
    """Check a space.

    Args:
        node: the `space:` of a sweep file.
        of: the sweep's name, for messages.

    Raises:
        UserError: an empty space, an unknown key, or an empty range.
    """
    if not node:
        raise UserError(f"sweep={of} has an empty space: name a key and its values, e.g. model.lambda_cycle")
    return {str(key): _dimension(value, f"space.{key}") for key, value in node.items()}


def _dimension(node: Any, path: str) -> Dimension:
    if not isinstance(node, Mapping):
        raise UserError(f"{path}={node} is not valid: it must be such as {{type: float, low: 1, high: 30}}")
    kinds = ("float", "int", "choice")
    if node.get("type") not in kinds:
        given = str(node.get("type", ""))
        raise UserError(f"{path}.type={given} is not known{did_you_mean(given, kinds)}")
    if node["type"] == "choice":
        choice = Choice(**check_signature(Choice, node, path, ()))
        if not choice.values:
            raise UserError(f"{path}.values is empty: name at least one value")
        for value in choice.values:
            if value is not None and not isinstance(value, bool | int | float | str):
                raise UserError(f"{path}.values holds {value}: put quotes around it, as on the command line")
        if len({str(value) for value in choice.values}) < len(choice.values):
            raise UserError(f"{path}.values names a value twice")
        return choice
    numbers = Range(**check_signature(Range, node, path, ()))
    _check_bounds(numbers, path)
    return numbers


def _check_bounds(numbers: Range, path: str) -> None:
    if numbers.low > numbers.high:
        raise UserError(f"{path}.low={numbers.low:g} is above its high={numbers.high:g}: exchange them")
    if numbers.log and numbers.low <= 0:
        raise UserError(f"{path}.low={numbers.low:g} has no logarithm: raise it above 0, or set log: false")
    if numbers.step is not None and (numbers.log or numbers.step <= 0):
        raise UserError(f"{path}.step={numbers.step:g} must be above 0, and is not for log: true")
    if numbers.type == "int" and any(v != int(v) for v in (numbers.low, numbers.high, numbers.step or 1)):
        raise UserError(f"{path} is of whole numbers: low, high and step must be whole")


def point_of(space: Space, config: Mapping[str, Any], chosen: Mapping[str, str | None]) -> dict[str, Any] | None:
    """Return the point of a space at which a config stands, None if it is outside.

    Args:
        space: of keys of the config, such as model.lambda_cycle, and of groups, such as model/generator.
        config: a whole one.
        chosen: the file of each group.
    """
    point = {}
    for key, dimension in space.items():
        value: Any = chosen.get(key) if "/" in key else config
        for name in () if "/" in key else key.split("."):
            value = value.get(name, _MISSING) if isinstance(value, Mapping) else _MISSING
        found = dimension.matching(value)
        if not found:
            return None
        point[key] = found[0]
    return point


def grid(space: Space, of: str) -> dict[str, list[Any]]:
    """Return all values of each key, for `sampler=grid`.

    Raises:
        UserError: a key is a range, which has infinitely many values.
    """
    for key, dimension in space.items():
        if not isinstance(dimension, Choice):
            raise UserError(f"sampler=grid needs choices, and space.{key} of sweep={of} is a range: use sampler=tpe")
    return {key: dimension.values for key, dimension in space.items() if isinstance(dimension, Choice)}
