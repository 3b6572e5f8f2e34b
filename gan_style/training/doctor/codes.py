"""Table of the failures that the doctor knows, with cause, remedy and documentation."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Code:
    """Failure that the doctor can find.

    Attributes:
        severity: a critical one makes further training worthless.
        symptom: the observation, as the beginning of a sentence.
        cause: the most likely one.
        change: the remedy, in words of the command; `{rate}`, `{rate_D}`, `{clip}`, `{hold}` are keys of the model.
        patience: checks in a row that must show it, since one may show it by chance.
    """

    severity: Literal["warn", "critical"]
    symptom: str
    cause: str
    change: str
    patience: int


CODES = {
    "not-finite": Code(
        "critical",
        "a number is NaN or infinite",
        "a step was too large, or a layer overflowed",
        "lower {rate}{clip}",
        1,
    ),
    "exploding-gradients": Code(
        "critical",
        "the gradient is a hundred times what it was at first",
        "the steps are too large, so that each makes the next one larger",
        "lower {rate}{clip}",
        2,
    ),
    "collapse": Code(
        "critical",
        "different inputs come out as nearly the same picture",
        "one picture pleases the discriminator, and little holds the output to its input",
        "raise {hold}",
        3,
    ),
    "inversion": Code(
        "critical",
        "what is light in the input is dark in the output",
        "a negative keeps the content as well as a positive does, and the cycle turns it back",
        "raise {same}, or start again with another seed=",
        3,
    ),
    "saturation": Code(
        "critical",
        "most values of the output stand at their limits",
        "the generator's last layer has left the range in which it has a gradient",
        "lower {rate}{clip}",
        3,
    ),
    "strong-discriminator": Code(
        "warn",
        "the discriminator tells every patch with certainty",
        "it learns faster than the generator, or knows the few training pictures by heart",
        "lower {rate_D}, set model.lambda_r1=1, or add pictures",
        5,
    ),
    "no-change": Code(
        "warn",
        "the output is the input",
        "what holds the output to its input outweighs what changes it",
        "lower {hold}{or_same}",
        3,
    ),
    "checkerboard": Code(
        "warn",
        "a grid at the stride of the generator lies over the output",
        "transposed convolutions cover the pixels unevenly",
        "model.generator.upsample=blur (or resize)",
        20,
    ),
    "blur": Code(
        "warn",
        "the output has far less fine detail than the pictures of its domain",
        "the loss of the cycle or of the content pays for means, or the discriminator looks at nothing that small",
        "lower {hold}, or take a discriminator that sees strokes, model/discriminator=patches",
        10,
    ),
    "frozen-term": Code(
        "warn",
        "a loss term moves nothing: its gradient is 0",
        "it was detached from the generator, or is flat where training stands",
        "look at the term's code, or set its weight to 0 if it is meant to rest",
        2,
    ),
    "hidden-cycle": Code(
        "warn",
        "the way back reads what cannot be seen in the picture",
        "the cycle loss asks for the input back, whatever the picture shows",
        "lower {hold}{or_noise}",
        2,
    ),
    "ignored-noise": Code(
        "warn",
        "the generator ignores its noise: other seeds paint the same picture",
        "nothing asks for what the input does not determine, or a loss pays for its mean",
        "let a judge of texture ask for strokes (model/discriminator=patches, or more weight for it), or leave the "
        "noise out (noise=false of this generator)",
        2,
    ),
}

# Of losses between output and input, by method.
CONTENT_WEIGHTS = ("lambda_cycle", "lambda_nce", "lambda_enco", "lambda_path", "lambda_geo", "lambda_content")
IDENTITY_WEIGHTS = ("lambda_idt", "lambda_self")  # of losses between a picture of the target and its translation


@dataclass(frozen=True)
class Finding:
    """Failure that was found in one direction, player or term.

    Attributes:
        code: of `CODES`.
        where: a direction, a player, a discriminator or a term; may be empty.
        iteration: when it was found.
        seen: the measured numbers.
        change: the remedy in this run, with the keys of its model.
    """

    code: str
    where: str
    iteration: int
    seen: str
    change: str

    @property
    def docs(self) -> str:
        return f"docs/troubleshooting.md#{self.code}"

    def row(self) -> dict[str, object]:
        """Return the row for `findings.jsonl`."""
        about = CODES[self.code]
        return {
            "iteration": self.iteration,
            "code": self.code,
            "severity": about.severity,
            "where": self.where,
            "symptom": about.symptom,
            "seen": self.seen,
            "cause": about.cause,
            "change": self.change,
            "docs": self.docs,
        }

    def __str__(self) -> str:
        about = CODES[self.code]
        where = f" in {self.where}" if self.where else ""
        return (
            f"{self.code}{where} at iteration {self.iteration}: {about.symptom} ({self.seen}); {about.cause}; "
            f"to change it, {self.change} ({self.docs})"
        )


def change_for(code: str, model: type) -> str:
    """Return the remedy of a failure, with the keys that this model has.

    Args:
        code: of `CODES`.
        model: its class, whose constructor has the keys.
    """
    keys = _parameters(model)
    hold = next((f"model.{key}" for key in CONTENT_WEIGHTS if key in keys), "the weight of the content")
    same = next((f"model.{key}" for key in IDENTITY_WEIGHTS if key in keys), "")
    return CODES[code].change.format(
        rate=rate_key(model),
        rate_D="model.optimizer_D.lr",
        clip=" or set model.clip_grad_norm=1" if "clip_grad_norm" in keys else "",
        hold=hold,
        same=same or hold,
        or_same=f" and {same}" if same else "",
        or_noise=", or set model.cycle_noise=0.05" if "cycle_noise" in keys else "",
    )


def rate_key(model: type) -> str:
    """Return the key of the learning rate."""
    return "model.lr" if "lr" in _parameters(model) else "model.optimizer_G.lr"


def _parameters(model: type) -> Sequence[str]:
    """List the parameters of the constructor, and of its bases' constructors where it passes keyword arguments on."""
    found: list[str] = []
    for one in model.__mro__:
        if "__init__" not in vars(one):
            continue
        here = inspect.signature(vars(one)["__init__"]).parameters
        found += here
        if all(p.kind is not p.VAR_KEYWORD for p in here.values()):
            break
    return found
