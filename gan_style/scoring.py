"""The verbs `gan-style evaluate` and `gan-style compare`."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor

from gan_style import checkpoint
from gan_style.data.images import list_images
from gan_style.data.layout import find_layout, find_set
from gan_style.errors import UserError
from gan_style.evaluation import (
    Features,
    compare_sets,
    faithfulness,
    pictures_of,
    protocol,
    refuse_other_protocol,
    warnings_of,
)
from gan_style.inference import LoadedTranslator
from gan_style.loading import load
from gan_style.metrics.extractor import Extractor
from gan_style.metrics.extractors import extractor as extractor_of
from gan_style.paths import expanded


def compare(parsed: Namespace) -> None:
    """Score a folder of made pictures against a folder of real ones, whatever made them."""
    out = _out(parsed.out)
    network = extractor_of(parsed.extractor, parsed.weights)
    folders = {"real": parsed.real, "fake": parsed.fake, "train": parsed.train, "source": parsed.source}
    files = {name: list_images(expanded(folder)) for name, folder in folders.items() if folder}
    with Progress(transient=True) as bar:
        task = bar.add_task("looking", total=sum(map(len, files.values())))
        sets = {
            name: Features(pictures_of(paths, parsed.size), network, lambda: bar.advance(task))
            for name, paths in files.items()
        }
        bar.update(task, description="comparing", total=None)
        real, fake = sets["real"], sets["fake"]
        scores = compare_sets(
            real, fake, network, floor_from=sets.get("train"), source=sets.get("source"), draws=parsed.draws
        )
    if "source" in files:
        by_stem = {path.stem: path for path in files["source"]}
        pairs = [(path, by_stem[path.stem]) for path in files["fake"] if path.stem in by_stem]
        if pairs:
            made, given = ([*pictures_of([pair[i] for pair in pairs], parsed.size)] for i in (0, 1))
            scores |= faithfulness(made, given)
    formats = sorted({path.suffix.lower() for path in files["fake"]})
    stamp = protocol(network, len(real), len(fake), parsed.size, file_format=" ".join(formats))
    finish({parsed.fake: {"protocol": stamp, "scores": {"A2B": scores}}}, network, out)


def evaluate(parsed: Namespace) -> None:
    """Score checkpoints on the test pictures of a set, in each direction that they translate."""
    out = _out(parsed.out)
    network = extractor_of(parsed.extractor, parsed.weights)
    parts = find_layout(find_set(parsed.data)).parts
    if "testA" not in parts:
        raise UserError(f"{parsed.data} has no test pictures: a score on training pictures says nothing")
    results = {}
    for path in (parsed.checkpoint, *parsed.against):
        results[path] = score_checkpoint(Path(path), parts, network, parsed.draws)
    refuse_other_protocol(results, parsed.force)
    finish(results, network, out)


def score_checkpoint(path: Path, parts: Mapping[str, list[Path]], network: Extractor, draws: int) -> dict[str, Any]:
    """What a result file holds of one checkpoint."""
    translator, content = load(path), checkpoint.load(expanded(path))
    if not translator.model.directions:
        raise UserError(f"{path} translates between no domains, so there is nothing to compare: see gan-style sheet")
    if not all(values.plain for values in (translator.values or {}).values()):
        raise UserError(f"{path} is of pictures that are no 8-bit colours, which these metrics look at")
    size = int(content["preprocessing"]["image_size"])
    scores, counts = {}, {}
    for direction in translator.model.directions:
        a, b = direction[0], direction[-1]
        sources = [*pictures_of(parts[f"test{a}"], size)]
        fakes = translated(translator, sources, direction)
        real, train = (Features(pictures_of(parts[f"{part}{b}"], size), network) for part in ("test", "train"))
        fake, source = Features(fakes, network), Features(sources, network)
        scores[direction] = compare_sets(real, fake, network, floor_from=train, source=source, draws=draws)
        scores[direction] |= faithfulness(fakes, sources)
        counts[direction] = (len(real), len(fake))
    real_counts, fake_counts = ({d: n[i] for d, n in counts.items()} for i in (0, 1))
    stamp = protocol(network, 0, 0, size) | {
        "N_real": real_counts,
        "N_fake": fake_counts,
        "file_format": "none, 8 bits",
        "checkpoint": {"iteration": content["iteration"], "rule": content["best"].get("rule"), "weights": "EMA"},
    }
    return {"protocol": stamp, "scores": scores}


def translated(translator: LoadedTranslator, sources: list[Tensor], direction: str) -> list[Tensor]:
    """Each picture through the model."""
    with torch.inference_mode():
        return [translator.translate(picture, direction).cpu() for picture in sources]


def finish(results: Mapping[str, Mapping[str, Any]], network: Extractor, out: Path | None) -> None:
    """Print the table, and write the JSON where one is asked for."""
    for name, result in results.items():
        print(name)
        for direction, scores in result["scores"].items():
            print(f"  {direction:32} {'value':>10} {'95% interval':>23} {'floor':>10} {'input':>10}")
            for score, one in scores.items():
                interval = f"{one['low']:.4g} to {one['high']:.4g}"
                rest = " ".join(f"{one[key]:10.4g}" if key in one else f"{'':10}" for key in ("floor", "ceiling"))
                print(f"    {score:30} {one['value']:10.4g} {interval:>23} {rest}")
    stamp = next(iter(results.values()))["protocol"]
    fewest = (min(n.values()) if isinstance(n := stamp[key], dict) else n for key in ("N_real", "N_fake"))
    for warning in warnings_of(network, *fewest):
        print(f"warning: {warning}")
    if out is not None:
        content = next(iter(results.values())) if len(results) == 1 else {"results": results}
        _write(out, json.dumps(content, indent=2, allow_nan=False) + "\n")
        print(out)


def _out(given: str | None) -> Path | None:
    if given is None:
        return None
    path = expanded(given)
    if path.suffix.lower() != ".json":
        raise UserError(f"--out {given} should end in .json")
    return path


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): check the disk and its rights") from error
