"""The verbs `gan-style evaluate` and `gan-style compare`."""

from __future__ import annotations

import contextlib
import json
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from gan_style.core.checks import require_whole
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, why, write_whole
from gan_style.core.progress import progress_bars
from gan_style.core.terminal import answer, say
from gan_style.evaluation import scoring
from gan_style.evaluation.distances import Result, other_protocol, read_results, refuse_other_protocol
from gan_style.evaluation.result_table import terminal


def compare(parsed: Namespace) -> None:
    """Score a folder of made pictures against a folder of real ones, whatever made them."""
    out = _out(parsed.out)
    require_whole("--size", parsed.size, 1)
    require_whole("--draws", parsed.draws, 0)
    for path in parsed.against:
        if not _is_file_of_scores(path):
            raise UserError(
                f"--against {path} is no file of scores: name one that ends in .json, or use gan-style evaluate"
            )
    earlier = _earlier(parsed.against, [parsed.fake])
    with _counting() as done:
        result = scoring.compare(
            parsed.real,
            parsed.fake,
            source=parsed.source,
            train=parsed.train,
            size=parsed.size,
            **judging(parsed, done),
        )
    finish({parsed.fake: result, **earlier}, parsed.force, out)


def evaluate(parsed: Namespace) -> None:
    """Score checkpoints on the test pictures of a set, in each direction that they translate."""
    out = _out(parsed.out)
    require_whole("--draws", parsed.draws, 0)
    if parsed.limit is not None:
        require_whole("--limit", parsed.limit, 1)
    paths = [parsed.checkpoint, *(path for path in parsed.against if not _is_file_of_scores(path))]
    earlier = _earlier(parsed.against, paths)
    with _counting() as done:
        results = scoring.evaluate(paths, parsed.data, limit=parsed.limit, wrap=parsed.wrap, **judging(parsed, done))
    finish(results | earlier, parsed.force, out)


def judging(options: Any, done: Callable[[], Any]) -> scoring.Judging:
    """Return how pictures are scored: extractor, weights, vgg, dino, draws, no_cache, device and allow.

    Args:
        options: of the command, as attributes.
        done: called after each picture.
    """
    names = ("extractor", "weights", "vgg", "dino", "draws", "device", "allow")
    return scoring.Judging(
        **{name: getattr(options, name) for name in names},  # type: ignore[typeddict-item]
        cache=not options.no_cache,
        done=done,
    )


def finish(results: Mapping[str, Result], force: bool, out: Path | None) -> None:
    """Print the table, and write the JSON where one is asked for.

    Raises:
        UserError: results of different protocols.
    """
    refuse_other_protocol(results, force)
    for line in terminal(results).splitlines():
        answer(line)
    for note in notes(results):
        say(f"warning: {note}")
    if other := other_protocol(results):
        say(f"warning: {other}")
    if out is not None:
        write_json(out, results)
        say(out)


def notes(results: Mapping[str, Result]) -> list[str]:
    """Return the notes of all results, each once."""
    return list(dict.fromkeys(note for result in results.values() for note in result.get("notes", ())))


def write_json(path: Path, results: Mapping[str, Result]) -> None:
    """Write a single result as it is, several by their names."""
    content = next(iter(results.values())) if len(results) == 1 else {"results": results}
    write(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write(path: Path, text: str) -> None:
    """Write a file whole, or leave the old one; its folder is made.

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
    """Read the results of files before anything is computed; where a name is taken, prefix that of the file."""
    found: dict[str, Result] = {}
    for path in filter(_is_file_of_scores, against):
        for name, result in read_results(expanded(path)).items():
            found[f"{path}: {name}" if name in found or name in taken else name] = result
    return found


@contextlib.contextmanager
def _counting() -> Iterator[Callable[[], Any]]:
    """Show a count of pictures on the terminal; its end is not known, as it depends on the cache."""
    columns = SpinnerColumn(), TextColumn("{task.completed:.0f} {task.description}"), TimeElapsedColumn()
    bar = progress_bars(*columns)
    task = bar.add_task("pictures", total=None)

    def done() -> None:
        bar.start()  # not earlier: it leaves an empty line, which would precede the message about a mistake
        bar.advance(task)

    try:
        yield done
    finally:
        if bar.live.is_started:
            bar.stop()


def _out(given: str | None) -> Path | None:
    if given is None:
        return None
    path = expanded(given)
    if path.suffix.lower() != ".json":
        raise UserError(f"--out {given} should end in .json")
    return path
