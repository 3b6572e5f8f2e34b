"""Two sets of pictures compared: every score with its interval, its floor and the protocol it was taken by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_style.data.images import read_image, to_tensor
from gan_style.data.transforms import EvalTransform
from gan_style.errors import UserError
from gan_style.metrics.edges import edge_agreement
from gan_style.metrics.extractor import Extractor
from gan_style.metrics.extractors import frechet_name, kernel_name
from gan_style.metrics.frechet import few_pictures, frechet_distance
from gan_style.metrics.intervals import scored
from gan_style.metrics.kernel import cmmd, kid
from gan_style.metrics.manifold import manifold
from gan_style.metrics.sliced import LaplacianPatches, sliced_wasserstein
from gan_style.metrics.truth import bootstrap

BATCH = 8  # pictures that are looked at together
NEIGHBOURS = 5
RESIZE = "area where a side shrinks, cubic where it grows (OpenCV)"

Pictures = Iterable[Tensor]
Scores = dict[str, dict[str, float]]


def pictures_of(paths: Sequence[Path], size: int) -> Iterable[Tensor]:
    """Each file as [3, size, size] in [-1, 1]."""
    fit = EvalTransform(size)
    return (to_tensor(fit(read_image(path))) for path in paths)


class Features:
    """The features of one set: those of an extractor, and patches of pyramids, which need no weights.

    Args:
        pictures: [3, S, S] each, in [-1, 1].
        extractor: of the features.
        done: called after each picture.
    """

    def __init__(self, pictures: Pictures, extractor: Extractor, done: Callable[[], Any] = lambda: None) -> None:
        patches = LaplacianPatches()
        found: list[tuple[Tensor, Tensor]] = []
        batch: list[Tensor] = []

        def flush() -> None:
            if batch:
                images = torch.stack(batch)
                found.append((extractor(images).double(), patches(images)))
                batch.clear()

        for picture in pictures:
            batch.append(picture)
            done()
            if len(batch) == BATCH:
                flush()
        flush()
        if not found:
            raise UserError("a set to compare holds no picture: give one that does")
        self.deep, self.patches = (torch.cat(parts) for parts in zip(*found, strict=True))

    def __len__(self) -> int:
        return len(self.deep)


def compare_sets(
    real: Features,
    fake: Features,
    extractor: Extractor,
    *,
    floor_from: Features | None = None,
    source: Features | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Scores:
    """The distances between two sets.

    Args:
        real, fake: what should be alike.
        extractor: that the features are of.
        floor_from: more real pictures, so that the floor is taken at the same numbers.
        source: the untranslated input: its distance is the ceiling that a translation has to get under.
        draws: of the bootstrap.
        seed: of all draws.

    Returns:
        name -> value, low, high, floor and, with a source, ceiling.
    """
    distances: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
        kernel_name(extractor): (kid, "deep"),
        frechet_name(extractor): (frechet_distance, "deep"),
        f"cmmd_{extractor.name}": (cmmd, "deep"),
        "swd": (sliced_wasserstein, "patches"),
    }
    if min(len(real), len(fake)) > NEIGHBOURS:
        for name in ("precision", "recall", "density", "coverage"):
            distances[f"{name}_{extractor.name}"] = (_manifold(name), "deep")
    scores: Scores = {}
    for name, (distance, kind) in distances.items():
        slow = kind == "patches" or distance is frechet_distance
        scores[name] = scored(
            distance,
            getattr(real, kind),
            getattr(fake, kind),
            floor_from=None if floor_from is None else getattr(floor_from, kind),
            ceiling_from=None if source is None else getattr(source, kind),
            n_boot=draws // 10 if slow else draws,
            splits=5 if slow else 20,
            seed=seed,
        )
        if name.startswith(("precision", "recall", "coverage")):  # shares, whose shifted draws may leave [0, 1]
            scores[name] |= {end: min(max(scores[name][end], 0.0), 1.0) for end in ("low", "high")}
    return scores


def faithfulness(fakes: Sequence[Tensor], sources: Sequence[Tensor]) -> Scores:
    """How much of each input is in its output: agreement of edges, in [-1, 1], 1 for the same."""
    values = torch.stack([edge_agreement(a[None], b[None])[0] for a, b in zip(fakes, sources, strict=True)])
    return {"edge_agreement": {key: value for key, value in bootstrap(values.tolist()).items() if value is not None}}


def protocol(extractor: Extractor, real: int, fake: int, size: int, **more: Any) -> dict[str, Any]:
    """What two results must share to be compared."""
    return {**extractor.stamp(), "N_real": real, "N_fake": fake, "picture_size": size, "picture_resize": RESIZE, **more}


def warnings_of(extractor: Extractor, real: int, fake: int) -> list[str]:
    """What to say beside the scores."""
    few = few_pictures(frechet_name(extractor), real, fake)
    return [few] if few else []


def refuse_other_protocol(results: Mapping[str, Mapping[str, Any]], force: bool) -> None:
    """Refuse to put results of several protocols into one table.

    Raises:
        UserError: names the first difference.
    """
    (first, reference), *others = results.items()
    for name, result in others:
        for key, value in reference["protocol"].items():
            other = result["protocol"].get(key)
            if key not in ("checkpoint", "N_fake") and other != value and not force:
                raise UserError(
                    f"{first} and {name} are of different protocols ({key}: {value} and {other}): score them alike, or "
                    "add --force to see them side by side"
                )


def _manifold(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    def value(real: Tensor, fake: Tensor) -> Tensor:
        return manifold(real, fake, k=NEIGHBOURS)[name]

    return value
