"""Distances between two sets of pictures: every score with its interval, its floor and its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import PIL
import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.sizes import Size, stored
from gan_style.evaluation.sets import SizedImages
from gan_style.metrics.cache import FeatureCache
from gan_style.metrics.extractor import Extractor
from gan_style.metrics.extractors import column
from gan_style.metrics.intervals import floor_sizes, scored
from gan_style.metrics.own import features_of, require_finite
from gan_style.metrics.sliced import LaplacianPatches
from gan_style.metrics.table import EXTRACTOR, PATCHES, TABLE, Score, described
from gan_style.report.plain import from_json
from gan_style.report.read import as_number

BATCH_SIZE = 8  # pictures in a pass of the extractor
CPU = torch.device("cpu")
MIN_DRAWS = 20  # of a bootstrap interval: fewer make it too narrow
MAX_PAIRS = 300**2  # real times fake pictures; above it scores of all pairs take a tenth of the draws
RESIZE = "area where a side shrinks, cubic where it grows (OpenCV)"
DECODERS = f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}"
LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
MAY_DIFFER = ("checkpoint", "data")  # the set is known by the hash of its pictures
COUNTS = ("N_real", "N_fake")  # compare, which has one direction, writes each as one number

Scores = dict[str, dict[str, Any]]
Result = dict[str, Any]  # protocol, scores, and notes where there is something to say


class Features:
    """Features of one set: those of an extractor, patches of pyramids, and those of scores of one's own.

    Args:
        images: [3, S, S] each, in [-1, 1].
        extractor: of the features.
        cache: keeps features of files; those of pictures that were just made are not kept.
        done: called after each picture.
        device: computes the features, and holds the extractor; they are kept, and compared, on the CPU.
    """

    def __init__(
        self,
        images: Sequence[Tensor],
        extractor: Extractor,
        cache: FeatureCache | None = None,
        done: Callable[[], Any] = lambda: None,
        device: torch.device = CPU,
    ) -> None:
        self.images, self.device = images, device
        self._own: dict[tuple[str, str], Tensor] = {}
        key = kept = None
        if cache is not None and isinstance(images, SizedImages):
            how = {"size": images.size, "resize": RESIZE, "decoders": DECODERS, "torch": str(torch.__version__)}
            how |= {} if device.type == "cpu" else {"device": device.type}  # a GPU rounds differently: kept apart
            key = {"pictures": images.digest(), **extractor.stamp(), "picture": how}
            kept = cache.get(key, len(images))
        look = LaplacianPatches()
        deep, patches = [], []
        for batch in batches(images, done, device):
            patches.append(look(batch).cpu())
            if kept is None:
                deep.append(extractor(batch).cpu())
        if not patches:
            raise UserError("a set to compare holds no picture: give one that does")
        self.patches = torch.cat(patches)
        found = torch.cat(deep) if kept is None else kept
        if cache is not None and key is not None and kept is None:
            cache.put(key, found)
        self.deep = found.double()

    def __len__(self) -> int:
        return len(self.deep)

    def of(self, row: Score) -> Tensor:
        """Return the features that a score of sets compares, one row per picture."""
        if row.look() is None:
            return {EXTRACTOR: self.deep, PATCHES: self.patches}[str(row.features)]
        key = row.name, row.source  # a row is built once for each checkpoint that names it
        if key not in self._own:
            parts = [features_of(row, x) for x in batches(self.images, device=self.device)]
            self._own[key] = require_finite(row, torch.cat(parts))
        return self._own[key]


def batches(
    images: Iterable[Tensor], done: Callable[[], Any] = lambda: None, device: torch.device = CPU
) -> Iterable[Tensor]:
    """Stack images [C, H, W] to batches [B, C, H, W] of at most `BATCH_SIZE`, on a device."""
    held: list[Tensor] = []
    for image in images:
        held.append(image)
        done()
        if len(held) == BATCH_SIZE:
            yield torch.stack(held).to(device)
            held = []
    if held:
        yield torch.stack(held).to(device)


def compare_sets(
    real: Features,
    fake: Features,
    extractor: Extractor,
    *,
    floor_from: Features | None = None,
    source: Features | None = None,
    own: Sequence[Score] = (),
    draws: int = 200,
    seed: int = 0,
) -> Scores:
    """Compute every score of sets, each with its interval and its floor.

    Args:
        real, fake: the two sets.
        extractor: of the features.
        floor_from: more real pictures, so that the floor is taken at the same numbers.
        source: the untranslated input; its distance is the ceiling, which a translation has to stay below.
        own: further scores of sets, beside those of the table.
        draws: of the bootstrap.
        seed: of all draws.

    Returns:
        name -> value, low, high, floor and, with a source, ceiling.

    Raises:
        UserError: fewer than two pictures in a set, or fewer than four to take a floor of.
    """
    pool = real if floor_from is None else floor_from
    fewest = max(2, min(*floor_sizes(len(pool), len(real), len(fake)), len(real), len(fake)))
    scores: Scores = {}
    for row in [row for row in (*TABLE, *own) if row.of_sets and row.least <= fewest]:
        slow = row.slow or (row.all_pairs and len(real) * len(fake) > MAX_PAIRS)
        found: dict[str, Any] = scored(
            row.compute(),
            real.of(row),
            fake.of(row),
            floor_from=None if floor_from is None else floor_from.of(row),
            ceiling_from=None if source is None else source.of(row),
            n_boot=min(draws, max(MIN_DRAWS, draws // 10)) if slow else draws,
            splits=5 if slow else 20,
            seed=seed,
        )
        if row.share:  # shifted draws may leave the range
            found |= {end: min(max(found[end], 0.0), 1.0) for end in ("low", "high")}
        scores[column(row, extractor)] = found | (described(row) if row in own else {})
    return scores


def protocol(extractor: Extractor, size: Size, **more: Any) -> dict[str, Any]:
    """Return the settings that two results must share to be compared."""
    return {**extractor.stamp(), "picture_size": stored(size), "picture_resize": RESIZE, **more}


def file_format(paths: Sequence[Path]) -> str:
    """Name the lossy formats among the files of a set, or say that there are none."""
    suffixes = {path.suffix.lower() for path in paths}
    return " ".join(sorted(suffixes - {*LOSSLESS})) or "lossless, 8 bits"


def refuse_other_protocol(results: Mapping[str, Result], force: bool = False) -> None:
    """Refuse a table of results of several protocols; the checkpoint and the set's name may differ.

    Raises:
        UserError: names the first difference.
    """
    found = None if force else other_protocol(results)
    if found is not None:
        raise UserError(f"{found}: score them alike, or see them side by side with --force (force=true in experiments)")


def other_protocol(results: Mapping[str, Result]) -> str | None:
    """Name the first two results of different protocols, and the difference; None where all have one."""
    for (first, one), (second, other) in combinations(results.items(), 2):
        here, there = one["protocol"], other["protocol"]
        for key in dict.fromkeys([*here, *there]):
            if key in MAY_DIFFER:
                continue
            pair = [_stamped(key, one), _stamped(key, other)]
            if all(isinstance(value, Mapping) for value in pair):  # what both have counts
                pair = [{k: value[k] for k in pair[0] if k in pair[1]} for value in pair]
            if pair[0] != pair[1]:
                return f"{first} and {second} are of different protocols ({key}: {pair[0]} and {pair[1]})"
    return None


def _stamped(key: str, result: Result) -> Any:
    """Return an entry of a protocol; a number of pictures that `compare` wrote once holds for each direction."""
    value = result["protocol"].get(key)
    return dict.fromkeys(result["scores"], value) if key in COUNTS and isinstance(value, int) else value


def read_results(path: Path) -> dict[str, Result]:
    """Read the results of a file, each by its name; a single one by the name of the file.

    Raises:
        UserError: it cannot be read, or is no file of results.
    """
    try:
        content = from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no JSON"
        raise UserError(f"{path} cannot be read as a file of scores ({reason}): check its name") from error
    found = content.get("results", {str(path): content}) if isinstance(content, dict) else {}
    if not (isinstance(found, dict) and found and all(_is_result(one) for one in found.values())):
        raise UserError(
            f"{path} is not a file of scores: expected a protocol and scores by direction, as gan-style evaluate --out "
            "writes them"
        )
    return found


def _is_result(one: Any) -> bool:
    if not (isinstance(one, dict) and isinstance(one.get("protocol"), dict) and isinstance(one.get("scores"), dict)):
        return False
    rows = [row for scores in one["scores"].values() if isinstance(scores, dict) for row in scores.values()]
    notes = one.get("notes", [])
    return (
        bool(rows)
        and all(isinstance(scores, dict) for scores in one["scores"].values())
        and all(isinstance(row, dict) and _is_row(row) for row in rows)
        and isinstance(notes, list)
        and all(isinstance(note, str) for note in notes)
    )


def _is_row(row: Mapping[str, Any]) -> bool:
    ends = [row[key] for key in ("floor", "ceiling") if row.get(key) is not None]
    return all(as_number(value) is not None for value in [*(row.get(key) for key in ("value", "low", "high")), *ends])
