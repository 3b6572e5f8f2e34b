"""Arguments that verbs which make pictures share: models, styles and files."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Sequence
from typing import Any

from gan_style.core.commands import typed_train
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.inference.translator import LoadedTranslator

SHIPPED = "microast"  # the model that is taken where a command names none


def wants_gatys(parsed: Namespace) -> bool:
    """Check whether a command asks for gatys: by name, or by a setting that is of gatys alone."""
    own = parsed.weights or parsed.set or getattr(parsed, "every", 0)
    return bool(parsed.method == "gatys" or (own and not parsed.method and not parsed.checkpoint))


def refuse_method(parsed: Namespace, models: Iterable[LoadedTranslator], *, beside: bool = False) -> None:
    """Compare --method, --weights and --set with the models that a command loads.

    Args:
        parsed: the command.
        models: of its checkpoints.
        beside: whether gatys may stand beside them.

    Raises:
        UserError: the method needs a checkpoint, or is another one, or an option is of gatys alone and there is none.
    """
    names = [type(translator.model).__name__.lower() for translator in models]
    method = parsed.method
    if method == "adain" and not names:
        raise UserError(
            f"--method adain needs a trained model: add --checkpoint CKPT ({' '.join(typed_train())} model=adain)"
        )
    if method and names and method not in names and not (beside and method == "gatys"):
        raise UserError(
            f"--method {method} is not what --checkpoint holds ({', '.join(names)}): leave out one of the two"
        )
    if (names or method) and method != "gatys":
        other = "--checkpoint" if names else "--method"
        for option, value in (("--weights", parsed.weights), ("--set", parsed.set)):
            if value:
                raise UserError(f"{option} is for gatys without a checkpoint: leave it or {other} out")


def parse_style(text: str) -> tuple[str, float]:
    """Parse `picture.jpg=0.7` to ("picture.jpg", 0.7); a file whose name holds a `=` is itself.

    Raises:
        UserError: there is no number after the last `=`, or no name before it.
    """
    if text and ("=" not in text or expanded(text).exists()):
        return text, 1.0
    name, _, weight = text.rpartition("=")
    if not name:
        raise UserError(f"--style '{text}' names no style: write --style IMAGE or --style IMAGE=0.5")
    try:
        return name, float(weight)
    except ValueError:
        raise UserError(f"--style {text}: the weight {weight!r} is not a number: write {name}=0.5") from None


MAX_SEED = 2**63 - 1


def style_options(
    styles: Sequence[tuple[str, float]],
    alpha: float,
    preserve_color: bool,
    masks: Sequence[str],
    size: int | None,
    wrap: str | None,
) -> dict[str, Any]:
    """Return the arguments of `LoadedTranslator.translate` that these options of a command set."""
    return {
        "style": styles or None,
        "alpha": alpha,
        "preserve_color": preserve_color,
        "mask": masks or None,
        "size": size,
        "wrap": wrap,
    }
