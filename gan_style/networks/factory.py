"""Networks from the factories of a config, and whether they are of the kind that a method calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from gan_style.core.errors import UserError


def make_generator(factory: Callable[..., nn.Module], **channels: int) -> nn.Module:
    """Build a generator that takes a picture and nothing else.

    Raises:
        UserError: its `forward` has further required arguments.
    """
    network = factory(**channels)
    parameters = list(inspect.signature(network.forward).parameters.values())[1:]
    further = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if further:
        raise UserError(
            f"{type(network).__name__} wants {' and '.join(further)} beside a picture: take another model/generator, "
            "such as resnet9, or model=style_conditional"
        )
    return network


def require_argument(factory: Callable[..., nn.Module], argument: str, model: str, choice: str) -> None:
    """Raise a UserError that names the model and an alternative, unless a factory takes an argument."""
    parameters: dict[str, Any] = dict(inspect.signature(factory).parameters)
    if argument not in parameters and all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        name = getattr(getattr(factory, "func", factory), "__name__", factory)
        raise UserError(f"{name} has no {argument}, which model={model} needs: take {choice}")


def require_same_channels(channels_A: int, channels_B: int, why: str) -> None:
    """Raise a UserError that begins with what needs it, unless both domains have as many channels."""
    if channels_A != channels_B:
        raise UserError(f"{why} needs as many channels in A ({channels_A}) as in B ({channels_B}): take model=cyclegan")


def no_features(network: nn.Module, what: str) -> UserError:
    """Return the error of a generator that cannot be compared with itself inside, as CUT and its kin do."""
    return UserError(
        f"model/generator: {type(network).__name__} gives no {what} to compare; "
        "take model/generator=resnet9_antialiased, resnet9 or resnet6"
    )
