"""Scores of a checkpoint, or of a folder of pictures, against one set: the same whatever made the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache as remembered
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_style.checkpoints import checkpoint
from gan_style.checkpoints.restore import naming
from gan_style.core.allowed import from_environment, is_below, packages
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, printable
from gan_style.core.sizes import Size, parsed
from gan_style.data.images import list_images, survey
from gan_style.data.ledger import Ledger
from gan_style.evaluation.distances import CPU, Features, Result, Scores, compare_sets, file_format, protocol
from gan_style.evaluation.images import ImageScores
from gan_style.evaluation.renditions import own_noise
from gan_style.evaluation.sets import Files, ScoredSet, SizedImages
from gan_style.inference.load import loaded
from gan_style.inference.translator import NOISE, LoadedTranslator
from gan_style.metrics.cache import FeatureCache
from gan_style.metrics.extractor import Extractor, rounded
from gan_style.metrics.extractors import column
from gan_style.metrics.frechet import few_images
from gan_style.metrics.own import as_nodes, own_scores
from gan_style.metrics.probe import ProbeResult, steganography_probe
from gan_style.metrics.table import NAMED, Score, without_infinities

MAX_PROBED_INPUTS = 16  # by the steganography probe, which takes six translations each
MAX_VARIED_INPUTS, CODES_PER_INPUT = 8, 4  # inputs translated by several draws of noise, and how many
NO_CYCLE = "{}: no cycle_honesty, because the cycle returns an input no better than another picture's"


@dataclass
class Made:
    """Translations of the test pictures of one direction, by one model or tool.

    Attributes:
        fakes: translations, compared with real pictures as a set.
        images: inputs of the scores of single pictures, by the names of `ImageScore.inputs`.
        indices: index of the input of each of these.
        probe: of the cycle, if there is one.
    """

    fakes: Sequence[Tensor]
    images: dict[str, Sequence[Tensor]]
    indices: Sequence[int]
    probe: ProbeResult | None = None


def _finite(scores: Scores, direction: str) -> tuple[Scores, list[str]]:
    """Leave out scores that are NaN or infinite, and ends that are; with a note about each."""
    found, notes = {}, []
    for name, score in scores.items():
        entry, number = without_infinities(score)
        if None in (entry["value"], entry["low"], entry["high"]):
            notes.append(f"not scored: the metric {name} gives {number} ({direction})")
            continue
        found[name] = entry
        if number is not None:
            notes.append(f"no floor or no input: the metric {name} gives {number} ({direction}) for real pictures")
    return found, notes


@dataclass
class Judge:
    """Scores against one set; the features of real pictures are computed once per size.

    Attributes:
        data: the set.
        extractor: of features.
        pairs: scores of single pictures.
        draws: of the bootstrap of distances between sets.
        cache: of the features of real pictures; None keeps none.
        done: called after each picture.
        device: of models and features; the extractor and the networks of `pairs` are on it.
        allow: packages of the caller's own that checkpoints may name.
        wrap: directions in which pictures go round, as of `LoadedTranslator.translate_all`.
    """

    data: ScoredSet
    extractor: Extractor
    pairs: ImageScores
    draws: int = 200
    cache: FeatureCache | None = None
    done: Callable[[], Any] = lambda: None
    device: torch.device = CPU
    allow: Sequence[str] = ()
    wrap: str | None = None
    made: dict[Direction, Made] = field(default_factory=dict)  # of what was scored last, by direction

    def __post_init__(self) -> None:
        self._ledger = self.data.ledger.as_json()
        self._real = remembered(self._features)
        self._images = remembered(self.data.images)
        self._digest = remembered(lambda part, size: self._images(part, size).digest())

    def checkpoint(self, path: Path) -> Result:
        """Score a checkpoint in each direction that it translates, as a result file holds it.

        Raises:
            UserError: it cannot be read, or makes pictures that these scores are not for.
        """
        content = checkpoint.load(expanded(path))
        with naming(path):
            translator = loaded(content, self.device, allow=self.allow)
            own, notes = self._own(content["config"])
        if not translator.model.directions:
            raise UserError(
                f"{path} translates between no domains, so there is nothing to compare: see gan-style sheet"
            )
        if not all(values.plain for values in (translator.values or {}).values()):
            raise UserError(f"{path} is of pictures that are no 8-bit colours, which these scores are for")
        size = parsed(content["preprocessing"].get("image_size"))
        if size is None:
            raise UserError(
                f"{path} does not say the size of its pictures: make them with gan-style translate, and score those "
                "with gan-style compare --size N"
            )
        with naming(path):
            around = translator.around(self.wrap)
            self.made = {d: self._translated(translator, d, size) for d in translator.model.directions}
        assert translator.about is not None, "load describes what it loaded"
        weights = "EMA" if translator.about["weights"] == "averaged" else "raw"
        rule = {"iteration": content["iteration"], "rule": content["best"].get("rule"), "weights": weights}
        if around:
            rule["wrap"] = around
        if any(own_noise(translator, direction, 0) for direction in self.made):
            rule["noise"] = "of each picture its own"
        if translator.model.takes_style:
            rule["styles"] = f"training pictures of {' and '.join(d.target for d in self.made)} in turn"
        result = self._result(size, {"file_format": file_format([]), "checkpoint": rule}, own)
        result["notes"] += notes
        task = content["preprocessing"].get("task")
        if self.data.files is None and task not in (None, self.data.task.key):
            result["notes"].append(
                f"trained on the drawn task {printable(str(task))} and scored on {self.data.task.key}: "
                "--data scenes:TASK names another"
            )
        return result

    def _own(self, config: Mapping[str, Any]) -> tuple[list[Score], list[str]]:
        """Build the scores that a run named in its `metrics`, with notes about those that nobody allowed."""
        nodes = as_nodes(config.get("metrics"))
        prefixes = (*packages(self.allow), *from_environment())
        allowed = [node for node in nodes if is_below(str(node["_target_"]), prefixes)]
        left = [str(node["_target_"]) for node in nodes if node not in allowed]
        notes = [
            f"not scored: {printable(name)}, a metric of another package: --allow PACKAGE. adds it" for name in left
        ]
        return own_scores(allowed, prefixes), notes

    def folder(self, folder: Path, direction: str, size: Size) -> Result:
        """Score a folder of pictures, which belong to the inputs of the same names.

        Raises:
            UserError: no pictures there.
        """
        direction = Direction(direction)
        self.data.ledger = Ledger.of_json(self._ledger)  # without what other folders brought
        files = list_images(folder, self.data.ledger)[: self.data.limit]  # in the order of the inputs, limited alike
        survey(files, self.data.ledger)
        fakes = SizedImages(Files(files), size)
        both = self._matching(fakes, direction, size)
        indices = [index for index, _ in both]
        images: dict[str, Sequence[Tensor]] = {
            name: [self._images(part, size)[i] for i in indices] for name, part in self._inputs(direction).items()
        }
        images["fakes"] = [fakes[i] for _, i in both] if both else fakes
        self.made = {direction: Made(fakes, images, indices)}
        result = self._result(size, {"file_format": file_format(files), "checkpoint": "none: a folder"})
        if self.data.has(f"test{direction.source}") and len(indices) < len(files):
            what = f"{len(files) - len(indices)} of {len(files)} pictures have the name of no input, or not alone"
            result["notes"].append(f"{direction}: {what}, so that they are in distances of sets only")
        return result

    def _matching(self, fakes: SizedImages, direction: Direction, size: Size) -> list[tuple[int, int]]:
        """Return the index of each input, and that of the picture with its name."""
        if not self.data.has(f"test{direction.source}"):
            return []
        sources = self._images(f"test{direction.source}", size)
        of_source, of_fake = sources.by_stem(), fakes.by_stem()
        return [(index, of_fake[stem]) for stem, index in of_source.items() if stem in of_fake]

    def _inputs(self, direction: Direction) -> dict[str, str]:
        """Return the parts of the set that belong to the inputs of a direction, by their role."""
        parts = {"sources": f"test{direction.source}", "truth": f"truth{direction.target}"}
        return {name: part for name, part in parts.items() if self.data.has(part)}

    def _translated(self, translator: LoadedTranslator, direction: Direction, size: Size) -> Made:
        images: dict[str, Sequence[Tensor]] = {
            name: list(self._images(part, size)) for name, part in self._inputs(direction).items()
        }
        sources, back = images["sources"], direction.back
        if translator.model.takes_style:
            styles = self._images(f"train{direction.target}", size)
            images["targets"] = [styles[i % len(styles)] for i in range(len(sources))]
            made = [
                self._in_style(translator, direction, x, y) for x, y in zip(sources, images["targets"], strict=True)
            ]
        else:
            made = [
                self._one(translator, x, direction, **own_noise(translator, direction, i))
                for i, x in enumerate(sources)
            ]
        images["fakes"] = [rounded(image) for image in made]
        varied = sources[:MAX_VARIED_INPUTS]
        names = translator.learned(direction) if translator.model.takes_noise else []
        if names:
            images["several"] = [self._several(translator, names[i % len(names)], x) for i, x in enumerate(varied)]
        elif own_noise(translator, direction, 0):
            step = len(sources)
            images["several"] = [
                self._renditions(translator, x, direction, range(i, CODES_PER_INPUT * step, step))
                for i, x in enumerate(varied)
            ]
        if back not in translator.model.directions:
            return Made(images["fakes"], images, range(len(sources)))
        if translator.model.takes_style:  # the way back is told the input's style: nothing of it needs to be hidden
            images["back"] = [self._in_style(translator, back, x, y) for x, y in zip(made, sources, strict=True)]
            return Made(images["fakes"], images, range(len(sources)))
        images["back"] = [self._one(translator, x, back, **own_noise(translator, back, i)) for i, x in enumerate(made)]
        return Made(
            images["fakes"],
            images,
            range(len(sources)),
            self._probed(translator, direction, back, sources[:MAX_PROBED_INPUTS]),
        )

    def _one(self, translator: LoadedTranslator, image: Tensor, direction: str | None = None, **how: Any) -> Tensor:
        self.done()
        result: Tensor = translator.translate(image, direction, wrap=self.wrap, **how)
        return result.cpu()

    def _in_style(self, translator: LoadedTranslator, direction: Direction, image: Tensor, style: Tensor) -> Tensor:
        way = direction if len(translator.model.directions) > 1 else None  # else the style alone says it
        return self._one(translator, image, way, style=[(style, 1.0)])

    def _several(self, translator: LoadedTranslator, name: str, image: Tensor) -> Tensor:
        """Translate one input with several noise codes of one style: [S, C, H, W]."""
        styles = [f"{NOISE}:{name}:{seed}" for seed in range(CODES_PER_INPUT)]
        return torch.stack([rounded(self._one(translator, image, style=style)) for style in styles])

    def _renditions(
        self, translator: LoadedTranslator, image: Tensor, direction: Direction, seeds: Iterable[int]
    ) -> Tensor:
        """Translate one input by several draws of the generator's own noise: [S, C, H, W]."""
        made = [self._one(translator, image, direction, seed=seed) for seed in seeds]
        return torch.stack([rounded(image) for image in made])

    def _probed(
        self, translator: LoadedTranslator, direction: str, back: str, sources: Sequence[Tensor]
    ) -> ProbeResult | None:
        def translation(direction: str) -> Callable[[Tensor], Tensor]:
            return lambda images: torch.stack([self._one(translator, x, direction) for x in images])

        if len(sources) < 2:
            return None
        return steganography_probe(translation(direction), translation(back), torch.stack([*sources]))

    def _features(self, part: str, size: Size) -> Features | None:
        if not self.data.has(part):
            return None
        return Features(self._images(part, size), self.extractor, self.cache, self.done, self.device)

    def _result(self, size: Size, stamp: dict[str, Any], own: Sequence[Score] = ()) -> Result:
        """Return the scores of `made`, with the protocol and notes."""
        scores: dict[str, Scores] = {}
        of: dict[str, dict[str, Any]] = {"N_real": {}, "N_fake": {}, "real": {}}
        networks = {row.name: row.source for row in own}
        notes, probes = self.data.ledger.sentences(), {}
        for direction, made in self.made.items():
            found, counts = self._scores(direction, made, size, own)
            if made.probe is not None:
                probes[direction] = made.probe.as_dict()
                notes += [NO_CYCLE.format(direction)] if made.probe.honesty is None else []
            few = few_images(column(NAMED["frechet"], self.extractor), *counts)
            notes += [few] if few and few not in notes else []
            networks |= self.pairs.networks(list(found))
            scores[direction], left = _finite(found, direction)
            notes += left
            of["N_real"][direction], of["N_fake"][direction] = counts
            of["real"][direction] = self._digest(f"test{direction.target}", size)
        stamped = protocol(self.extractor, size, data=self.data.name, **of, **stamp, networks=networks)
        return {"protocol": stamped, "scores": scores, "notes": notes, **({"probe": probes} if probes else {})}

    def _scores(
        self, direction: Direction, made: Made, size: Size, own: Sequence[Score]
    ) -> tuple[Scores, tuple[int, int]]:
        """Return all scores of one direction, and the numbers of real and fake pictures."""
        real, target = self._real(f"test{direction.target}", size), f"train{direction.target}"
        assert real is not None
        fake = Features(made.fakes, self.extractor, device=self.device)
        found = compare_sets(
            real,
            fake,
            self.extractor,
            floor_from=self._real(target, size),
            source=self._real(f"test{direction.source}", size),
            own=own,
            draws=self.draws,
        )
        train = self._images(target, size)[: len(made.fakes)] if self.data.has(target) else []
        found |= self.pairs.of(made.images, self._images(f"test{direction.target}", size), train, own)
        if made.probe is not None and made.probe.honesty is not None:
            interval = {"low": made.probe.low, "high": made.probe.high}
            found["cycle_honesty"] = {"value": made.probe.honesty, **interval, "floor": None}
        return found, (len(real), len(fake))
