"""The verbs `gan-style evaluate` and `gan-style compare`."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gan_style.core.checks import require_whole
from gan_style.core.devices import device_of
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, why, write_whole
from gan_style.core.terminal import say
from gan_style.data.images import list_images
from gan_style.evaluation.distances import Result, other_protocol, read_results, refuse_other_protocol
from gan_style.evaluation.images import PictureScores
from gan_style.evaluation.judge import Judge
from gan_style.evaluation.sets import ScoredSet, open_set
from gan_style.evaluation.table import terminal
from gan_style.metrics.cache import FeatureCache, default_folder
from gan_style.metrics.extractors import extractor as extractor_of


def compare(parsed: Namespace) -> None:
    """Score a folder of made pictures against a folder of real ones, whatever made them."""
    out = _out(parsed.out)
    require_whole("--size", parsed.size, 1)
    folders = {"testB": parsed.real, "trainB": parsed.train, "testA": parsed.source}
    files = {part: list_images(expanded(folder)) for part, folder in folders.items() if folder}
    data = ScoredSet(parsed.real, files)

    def score(judge: Judge) -> dict[str, Result]:
        result = judge.folder(expanded(parsed.fake), "A2B", parsed.size)
        numbers = {key: result["protocol"][key]["A2B"] for key in ("N_real", "N_fake")}  # there is one direction
        return {parsed.fake: result | {"protocol": result["protocol"] | numbers}}

    for path in parsed.against:
        if not _is_file_of_scores(path):
            raise UserError(
                f"--against {path} is no file of scores: name one that ends in .json, or use gan-style evaluate"
            )
    earlier = _earlier(parsed.against, [parsed.fake])
    finish(_scored(parsed, data, score) | earlier, parsed, out)


def evaluate(parsed: Namespace) -> None:
    """Score checkpoints on the test pictures of a set, in each direction that they translate."""
    out = _out(parsed.out)
    if parsed.limit is not None:
        require_whole("--limit", parsed.limit, 1)
    paths = [parsed.checkpoint, *(path for path in parsed.against if not _is_file_of_scores(path))]

    def score(judge: Judge) -> dict[str, Result]:
        return {path: judge.checkpoint(Path(path)) for path in paths}

    earlier = _earlier(parsed.against, paths)
    finish(_scored(parsed, open_set(parsed.data, parsed.limit), score) | earlier, parsed, out)


def judge_of(options: Any, data: ScoredSet, done: Callable[[], Any] = lambda: None) -> Judge:
    """What scores against a set by the options of a command: extractor, weights, vgg, dino, draws, no_cache, device
    and allow.

    Raises:
        UserError: weights that cannot be had, or a device that is not there.
    """
    require_whole("--draws", options.draws, 0)
    device = device_of(options.device)
    if device.type == "cuda":
        # TF32 keeps 10 bits of what a convolution multiplies: scores would be another device's
        torch.backends.cudnn.allow_tf32 = False
    network = extractor_of(options.extractor, options.weights).to(device)
    squeezenet = options.weights if options.extractor == "squeezenet" else None
    pairs = PictureScores(network, squeezenet=squeezenet, vgg=options.vgg, dino=options.dino, device=device)
    cache = None if options.no_cache else FeatureCache(default_folder())
    return Judge(data, network, pairs, options.draws, cache, done, device, options.allow)


def finish(results: Mapping[str, Result], parsed: Namespace, out: Path | None) -> None:
    """Print the table, and write the JSON where one is asked for.

    Raises:
        UserError: results of different protocols.
    """
    refuse_other_protocol(results, parsed.force)
    for line in terminal(results).splitlines():
        say(line)
    for note in notes(results):
        say(f"warning: {note}")
    if other := other_protocol(results):
        say(f"warning: {other}")
    if out is not None:
        write_json(out, results)
        say(out)


def notes(results: Mapping[str, Result]) -> list[str]:
    """What is to be said beside the scores, each once."""
    return list(dict.fromkeys(note for result in results.values() for note in result.get("notes", ())))


def write_json(path: Path, results: Mapping[str, Result]) -> None:
    """One result as it is, several by their names."""
    content = next(iter(results.values())) if len(results) == 1 else {"results": results}
    write(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write(path: Path, text: str) -> None:
    """Write a file whole, or leave what was there; its folder is made.

    Raises:
        UserError: the disk refuses it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({why(error)}): check the disk and its rights") from error


def _is_file_of_scores(path: str) -> bool:
    return path.lower().endswith(".json")


def _earlier(against: Sequence[str], taken: Sequence[str]) -> dict[str, Result]:
    """The results of files, read before anything is computed; a name that is taken has its file's before it."""
    found: dict[str, Result] = {}
    for path in filter(_is_file_of_scores, against):
        for name, result in read_results(expanded(path)).items():
            found[f"{path}: {name}" if name in found or name in taken else name] = result
    return found


def _scored(parsed: Namespace, data: ScoredSet, score: Callable[[Judge], dict[str, Result]]) -> dict[str, Result]:
    # without an end: how many pictures are looked at depends on what is kept of them
    columns = SpinnerColumn(), TextColumn("{task.completed:.0f} {task.description}"), TimeElapsedColumn()
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("pictures", total=None)
        return score(judge_of(parsed, data, lambda: bar.advance(task)))


def _out(given: str | None) -> Path | None:
    if given is None:
        return None
    path = expanded(given)
    if path.suffix.lower() != ".json":
        raise UserError(f"--out {given} should end in .json")
    return path
