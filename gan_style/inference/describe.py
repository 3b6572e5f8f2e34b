"""Description of a checkpoint, an export or an official generator, without a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_style.checkpoints import checkpoint, exported, official, safetensors
from gan_style.checkpoints.nested import tensors_in
from gan_style.checkpoints.restore import fitting, naming, restore
from gan_style.core import torch_files
from gan_style.core.direction import Direction
from gan_style.core.paths import expanded
from gan_style.core.sizes import as_given, parsed
from gan_style.data.values import ValueRange
from gan_style.models.translator import Translator

Rows = Iterator[tuple[str, str]]  # name and value


def describe(path: str | Path, *, allow: str | Sequence[str] = ()) -> dict[str, str]:
    """Describe a checkpoint, an export or an official generator.

    Args:
        path: of the file.
        allow: packages of the caller's own that a checkpoint may name, see `gan_style.load`.

    Returns: name -> value, in the order in which `gan-style describe` prints them.

    Raises:
        UserError: it is none of these, is damaged, or names a package that is not allowed.
    """
    return dict(_described(path, allow)[0])


def page(path: str | Path, *, allow: str | Sequence[str] = ()) -> list[str]:
    """Describe as `describe` does, in lines for a person: hashes of the pictures' names are left out.

    Args:
        path, allow: as of `describe`.
    """
    rows, preprocessing = _described(path, allow)
    with naming(path), fitting():
        settings = _for_a_person(preprocessing)
    lines = []
    for name, value in rows:
        first, *more = settings if name == "preprocessing" and settings else [value]
        lines += [f"{name:14}{first}", *(f"{'':14}{line}" for line in more)]
    return lines


def _described(path: str | Path, allow: str | Sequence[str]) -> tuple[list[tuple[str, str]], Mapping[str, Any]]:
    """Return the rows of a file, and the preprocessing that it names."""
    file = expanded(path)
    form = exported.GRAPHS.get(file.suffix.lower())
    if form:
        about = exported.about(file)
        with naming(file), fitting():
            return [*rows_of_graph(about, form)], about["preprocessing"]
    if _is_of_others(file):
        generator, sha256 = official.read(file)
        with naming(file), fitting():
            said = _said_by_export(file)
            return [*rows_of_official(file, generator, sha256, said)], said.get("preprocessing", {})
    content = checkpoint.load(file)
    with naming(file), fitting():
        vgg = content["config"]["model"].get("vgg")
        if vgg:
            vgg["weights"] = "random"  # nothing is computed, so nothing has to be fetched
        return [*rows(content, restore(content, allow))], content["preprocessing"]


def rows(content: Mapping[str, Any], model: Translator) -> Rows:
    """Yield the rows of a checkpoint.

    Args:
        content: of the checkpoint.
        model: of it.
    """
    yield from _networks(content)
    yield "directions", ", ".join(model.directions) or "none: it needs a style"
    yield from _domains(content)
    counts = {name: n for name, n in model.parameter_counts().items() if name not in model.names_of("D")}
    yield "parameters", ", ".join(f"{name} {count:,}" for name, count in counts.items())
    yield from _history(content)
    yield "weights", _weights(content)
    yield from _sources(content)
    yield "training", "can go on (resume=)" if content["optimizers"] else "cannot go on: the file holds weights alone"
    yield "written by", f"gan_style {content.get('version', '?')}, format {content['format']}"


def rows_of_graph(about: Mapping[str, Any], form: str) -> Rows:
    """Yield the rows of a graph that was exported.

    Args:
        about: its metadata.
        form: of the file.
    """
    yield "file", exported.form_of_onnx(about) if form == "ONNX" else form
    yield from _networks(about)
    yield from _direction(about)
    inputs = list(about.get("inputs", ["picture"]))
    code = about.get("general_code")
    shapes = {"style": f"codes [batch, {len(code)}]" if code else "a style picture for each picture"}
    shapes["seed"] = "int64 [1], of the noise"
    yield "inputs", ", ".join(f"{name}: {shapes[name]}" if name in shapes else str(name) for name in inputs)
    yield "sizes", "any batch, height and width; float32 in [-1, 1], as is the output"
    yield from _domains(about)
    yield from _history(about)
    yield "weights", _weights({"callbacks": {}, **about})
    yield from _sources(about)
    yield "training", "cannot go on: the file holds a graph alone"
    yield "written by", f"gan_style {about['gan_style']}, format {about.get('format', '?')}"


def rows_of_official(path: Path, generator: official.Generator, sha256: str, about: Mapping[str, Any]) -> Rows:
    """Yield the rows of a generator in the layout of the official code, whoever wrote it.

    Args:
        path: of the file.
        generator: content of the file.
        sha256: of the file.
        about: what `gan-style export` said in it; empty where another program wrote it.
    """
    yield "file", f"a generator in the layout of official code, sha256 {sha256}"
    yield "generator", official.said(generator.node)
    yield "channels", f"{generator.in_channels} to {generator.out_channels}"
    yield "parameters", f"{sum(value.numel() for value in generator.state.values()):,}"
    if generator.notes:
        yield "notes", "; ".join(generator.notes)
    yield (
        "inputs",
        "float32 in [-1, 1], of any size; of what size and domains it was trained on, its tensors do not tell",
    )
    if about:
        yield from _direction(about)
        yield from _domains(about)
        yield from _history(about)
        yield "weights", _weights({"callbacks": {}, **about})
        yield "written by", f"gan_style {about['gan_style']}"
    yield "to use it", f"gan-style import {path} OUT.ckpt --direction {about.get('direction', 'A2B')}"


def _said_by_export(path: Path) -> Mapping[str, Any]:
    """Return what `gan-style export` said in a file of torch.save; nothing where another program wrote it."""
    with open(path, "rb") as file:
        about = exported.of_zip(path) if file.read(2) == torch_files.ZIP else {}
    return about if "gan_style" in about else {}


def _is_of_others(path: Path) -> bool:
    """Check whether a file of torch.save holds tensors and is no checkpoint of ours."""
    if not path.is_file() or path.suffix.lower() == safetensors.SUFFIX:
        return False
    content = torch_files.read(path, "a checkpoint of gan_style")
    return (
        isinstance(content, Mapping) and not isinstance(content.get("format"), int) and bool(tensors_in(content, path))
    )


def _networks(about: Mapping[str, Any]) -> Rows:
    node = about["config"]["model"]
    yield "model", str(node["_target_"])
    for part, value in checkpoint.parts(node).items():
        if part != "discriminator":
            options = ", ".join(f"{k}={v}" for k, v in value.items() if not k.startswith("_"))
            yield part, f"{str(value['_target_']).rpartition('.')[2]} ({options})"


def _direction(about: Mapping[str, Any]) -> Rows:
    direction, domains = Direction(about["direction"]), about["domains"]
    yield "direction", f"{direction}, {domains[direction.source]['name']} to {domains[direction.target]['name']}"


def _domains(about: Mapping[str, Any]) -> Rows:
    for letter, domain in about["domains"].items():
        values = ValueRange.described(domain)
        yield (
            f"domain {letter}",
            f"{domain['name']}: {values.channels} channels, {values.dtype}, {values.low:g} to {values.high:g}",
        )
    if about.get("styles"):
        yield "styles", ", ".join(about["styles"])


def _history(about: Mapping[str, Any]) -> Rows:
    preprocessing = about["preprocessing"]
    yield "preprocessing", ", ".join(f"{k} {_setting(k, v)}" for k, v in preprocessing.items()) or "unknown"
    yield "iteration", f"{about['iteration']:,}"
    best = about["best"] or {}
    reached = f": {best['score']:.6g} at iteration {best['iteration']}" if best.get("score") is not None else ""
    yield "best", f"{best.get('rule', 'no rule')}{reached}"


def _sources(about: Mapping[str, Any]) -> Rows:
    for direction, source in about.get("imported", {}).items():
        yield f"{direction} from", f"{source['file']}, sha256 {source['sha256']}"
        if source.get("notes"):
            yield f"{direction} notes", "; ".join(source["notes"])
    if began := about.get("init_from"):
        networks = ", ".join(began["networks"])
        yield "began from", f"{networks} of {began['file']} of iteration {began['iteration']}, sha256 {began['sha256']}"


def _weights(content: Mapping[str, Any]) -> str:
    averaged = content["callbacks"].get("EMA")
    if averaged:
        return f"raw, and averaged (EMA) of {', '.join(averaged)}, which translate"
    return {"averaged": "averaged (EMA)"}.get(content.get("weights", ""), "raw")


def _for_a_person(preprocessing: Mapping[str, Any]) -> list[str]:
    """Return a line for each setting, and for the pictures their numbers alone."""
    said = {"image_size": "size", "load_size": "resized to", "range": "values", "task": "drawn task"}
    lines = []
    for key, value in preprocessing.items():
        if key == "pictures":
            numbers = [f"{one['count']:,} {_part(part)}" for part, one in value.items()]
            lines.append(f"pictures {', '.join(numbers)}")
        elif value is not None:
            name = "goes round in" if key == "wrap" else said.get(key, key)
            lines.append(f"{name} {_setting(key, value)}")
    return lines


def _part(part: str) -> str:
    kind, _, domain = part.rpartition("_")
    return f"of {domain} for validation" if kind else f"of {domain}"


def _setting(key: str, value: Any) -> str:
    size = parsed(value) if key in ("image_size", "load_size") else None
    return _short(value) if size is None else as_given(size)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{k} {_short(v)}" for k, v in value.items())
    return " to ".join(f"{v:g}" for v in value) if isinstance(value, (list, tuple)) else str(value)
