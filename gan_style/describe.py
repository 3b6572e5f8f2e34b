"""The verb `gan-style describe`: what a checkpoint says of itself, without a picture."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from gan_style import checkpoint
from gan_style.data.values import ValueRange
from gan_style.loading import fitting, naming, restore
from gan_style.models.translator import Translator
from gan_style.paths import expanded, printable
from gan_style.terminal import say


def describe(parsed: Namespace) -> None:
    """Print it as lines of a name and a value."""
    content = checkpoint.load(expanded(parsed.checkpoint))
    with naming(parsed.checkpoint), fitting():
        vgg = content["config"]["model"].get("vgg")
        if vgg:
            vgg["weights"] = "random"  # nothing is computed, so nothing has to be fetched
        found = list(rows(content, restore(content)))
    for name, value in found:
        say(f"{name:14}{printable(value)}")


def rows(content: Mapping[str, Any], model: Translator) -> Iterator[tuple[str, str]]:
    """Name and value of all that a user asks of a checkpoint.

    Args:
        content: of the checkpoint.
        model: of it.
    """
    node = content["config"]["model"]
    yield "model", str(node["_target_"])
    for part, value in node.items():
        if isinstance(value, Mapping) and ".networks." in str(value.get("_target_")) and part != "discriminator":
            options = ", ".join(f"{k}={v}" for k, v in value.items() if not k.startswith("_"))
            yield part, f"{str(value['_target_']).rpartition('.')[2]} ({options})"
    yield "directions", ", ".join(model.directions) or "none: it needs a style"
    for letter, domain in content["domains"].items():
        values = ValueRange.described(domain)
        yield (
            f"domain {letter}",
            f"{domain['name']}: {values.channels} channels, {values.dtype}, {values.low:g} to {values.high:g}",
        )
    if content.get("styles"):
        yield "styles", ", ".join(content["styles"])
    counts = {name: n for name, n in model.parameter_counts().items() if name not in model.discriminators}
    yield "parameters", ", ".join(f"{name} {count:,}" for name, count in counts.items())
    preprocessing = content["preprocessing"]
    yield "preprocessing", ", ".join(f"{k} {_short(v)}" for k, v in preprocessing.items()) or "unknown"
    yield "iteration", f"{content['iteration']:,}"
    best = content["best"] or {}
    reached = f": {best['score']:.6g} at iteration {best['iteration']}" if best.get("score") is not None else ""
    yield "best", f"{best.get('rule', 'no rule')}{reached}"
    yield "weights", _weights(content)
    for direction, source in content.get("imported", {}).items():
        yield f"{direction} from", f"{source['file']}, sha256 {source['sha256']}"
    yield "training", "can go on (resume=)" if content["optimizers"] else "cannot go on: the file holds weights alone"
    yield "written by", f"gan_style {content.get('version', '?')}, format {content['format']}"


def _weights(content: Mapping[str, Any]) -> str:
    averaged = content["callbacks"].get("EMA")
    if averaged:
        return f"raw, and averaged (EMA) of {', '.join(averaged)}, which translate"
    return {"averaged": "averaged (EMA)"}.get(content.get("weights", ""), "raw")


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{k} {_short(v)}" for k, v in value.items())
    return " to ".join(f"{v:g}" for v in value) if isinstance(value, (list, tuple)) else str(value)
