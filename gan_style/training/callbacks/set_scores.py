"""Distances between the translated and the real pictures, in every validation: scores without a truth."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.sizes import height_width
from gan_style.core.terminal import say
from gan_style.core.types import CountOrNone
from gan_style.metrics.extractors import column
from gan_style.metrics.extractors import extractor as extractor_of
from gan_style.metrics.frechet import few_images
from gan_style.metrics.intervals import ValueFunction, bootstrap_interval, floor_interval, floor_sizes
from gan_style.metrics.own import features_of
from gan_style.metrics.sliced import MIN_SIDE_PIXELS, LaplacianPatches
from gan_style.metrics.table import EXTRACTOR, NAMED, PATCHES, Score, described
from gan_style.metrics.truth import ColourTransfer
from gan_style.models.processes import gather
from gan_style.models.translator import Translator
from gan_style.training.callbacks.score_file import Scores, made_of, record
from gan_style.training.callbacks.truth_scores import TruthScores, colour_transfer
from gan_style.training.engine.engine import engine_of, method_of
from gan_style.training.engine.hooks import RunCallback

BATCH_SIZE = 8  # training pictures in a pass of the extractor
SPLITS = 20  # of the floor
MIN_POOL_IMAGES = 64  # training pictures that a floor is taken from
OF_TRUTH = ("grid", "domain_detail")  # compared with the same scenes where they are known

Features = dict[str, Tensor]  # "extractor" [N, D], "patches" [N, P], and those of scores of one's own by their names
Rows = dict[str, dict[Hashable, Features]]  # set -> what names a picture in it -> its features, N = 1


class SetScores(RunCallback):
    """Callback that scores translations against the real pictures of their domain, both of the validation.

    Columns `val/A2B/kid_random0`, ..., and their means over directions; the names say the extractor. Beside them in
    `scores.json`: a bootstrap interval over pictures, the floor (training pictures against others at the same
    numbers, or lower ones where there are not as many), and the scores of the input and of a colour transfer. Each
    rank computes features of its own pictures; they are gathered by the pictures' names, so that a repeated picture
    counts once. Features of real pictures, the floor and the baselines are computed once.

    Args:
        metrics: of `kid`, `frechet`, `cmmd`, `swd`, `patch_distance`, `texture`, `grid`, `domain_detail`,
            `domain_fine_detail`, `precision`, `recall`, `density` and `coverage`.
        extractor: `random`, `squeezenet`, `vgg` or `inception`.
        weights: its file; null takes the published ones.
        draws: of the bootstrap; 0 leaves the interval out, and `swd`,
            `patch_distance`, `texture` and `grid`, which are slow, have none.
        own_of_sets: the run's own scores of sets (`metrics=` of the command).

    Raises:
        UserError: a metric or an extractor that is not known.
    """

    def __init__(
        self,
        metrics: Sequence[str] = ("swd", "kid", "texture", "grid", "domain_detail"),
        extractor: str = "random",
        weights: str | None = None,
        draws: CountOrNone = 50,
        *,
        own_of_sets: Sequence[Score] = (),
    ) -> None:
        rows = [*map(_row, metrics), *own_of_sets]
        self.extractor = extractor_of(extractor, weights)
        self.patches = LaplacianPatches()
        self.scores = {column(row, self.extractor): row for row in rows}
        self.draws = draws
        self._usable: list[str] = []
        self._rows: Rows = defaultdict(dict)
        self._transfers: dict[str, ColourTransfer] = {}
        # the same in every validation
        self._fixed: dict[str, Features] = {}
        self._floors: dict[tuple[str, str], float | None] = {}
        self._baselines: dict[str, Scores] = {}

    def offers(self, model: Translator, data: Any) -> dict[str, str]:
        """Return the scores that best.ckpt may be chosen by, and their better ends."""
        prefixes = ["val", *(f"val/{direction}" for direction in model.directions)]
        usable, _ = self.usable(model, data)
        ends = {name: better for name in usable if (better := self.scores[name].better) != "one"}  # has no better end
        return {f"{prefix}/{name}": better for prefix in prefixes for name, better in ends.items()}

    def usable(self, model: Translator, data: Any) -> tuple[list[str], list[str]]:
        """Return the scores that these pictures allow, and notes why the others are left out."""
        if not model.directions:
            return [], []
        if not all(values.plain for values in data.values.values()):
            return [], ["no distances between sets in validations: they look at ordinary RGB pictures"]
        pairs = [data.val_set.pair(i) for i in range(len(data.val_set))]
        fewest = min(len({pair[side] for pair in pairs}) for side in (0, 1))
        found, notes = [], []
        for name, row in self.scores.items():
            if name in OF_TRUTH and _knows_truth(data):
                continue  # truth_scores has it
            if fewest < row.least:
                notes.append(f"no {name} in validations: it needs {row.least} pictures of each domain, not {fewest}")
            elif _of_patches(row) and not data.look_transform.fixed_size:
                notes.append(f"no {name} in validations: it needs pictures of one size (data.preprocess)")
            elif _of_patches(row) and min(height_width(data.image_size)) < MIN_SIDE_PIXELS:
                notes.append(f"no {name} in validations: it needs pictures of {MIN_SIDE_PIXELS} px")
            else:
                found.append(name)
        return found, notes

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        self._usable, notes = self.usable(method_of(pl_module), data)
        if _knows_truth(data) and not any(isinstance(one, TruthScores) for one in trainer.callbacks):  # type: ignore[attr-defined]
            left = [name for name in self.scores if name in OF_TRUTH]
            notes += [
                f"no {name} in validations: of data with a truth it is a score of callbacks.truth_scores"
                for name in left
            ]
        for name in self._usable:
            if self.scores[name] is NAMED["frechet"]:
                few = few_images(name, len(data.val_set), len(data.val_set))
                notes += [f"warning: {few}"] if few else []
        if trainer.is_global_zero:
            for note in notes:
                say(note, flush=True)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._rows = defaultdict(dict)
        self._device = engine_of(pl_module).device
        self.extractor.to(self._device)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if not self._usable:
            return
        method = method_of(pl_module)
        for direction in method.directions:
            source, target = direction.source, direction.target
            self._look(direction, made_of(method, batch, direction), outputs[f"fake_{target}"])
            if not self._fixed:
                names = batch[f"path_{source}"]
                self._look(source, names, batch[source])
                self._look(target, batch[f"path_{target}"], batch[target])
                if direction not in self._transfers:
                    self._transfers[direction] = colour_transfer(trainer.datamodule, direction)  # type: ignore[attr-defined]
                self._look(f"{direction} coloured", names, self._transfers[direction](batch[source]))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._usable:
            return
        rows: Rows = defaultdict(dict)
        for part in gather(dict(self._rows)):
            for name, found in part.items():
                rows[name] |= found
        sets = self._fixed | {name: _stacked(found) for name, found in rows.items()}
        directions = method_of(pl_module).directions
        if not self._fixed:
            self._fixed = {name: found for name, found in sets.items() if name not in directions}
            self._floors = self._take_floors(trainer.datamodule, sets)  # type: ignore[attr-defined]
            self._baselines = {
                "input": {d: self._scored(sets[d.target], sets[d.source], d.target) for d in directions},
                "colour transfer": {
                    d: self._scored(sets[d.target], sets[f"{d} coloured"], d.target) for d in directions
                },
            }
        scores: Scores = {d: self._scored(sets[d.target], sets[d], d.target) for d in directions}
        protocol = {
            **self._stamp(),
            "N_real": {d: _count(sets[d.target]) for d in directions},
            "N_fake": {d: _count(sets[d]) for d in directions},
            "file_format": "none, 8 bits",
            "interval of distances": f"95% bootstrap over pictures, {self.draws} draws; none for distances of patches",
        }
        record(trainer, engine_of(pl_module), scores, protocol, self._baselines)

    def _stamp(self) -> dict[str, Any]:
        """Return the description of the features, for the protocol."""
        used = {self.scores[name].features for name in self._usable}
        stamp = self.extractor.stamp()
        found = {"extractor": stamp.pop("extractor")} | {f"extractor_{key}": value for key, value in stamp.items()}
        directions = NAMED["swd"].quicker["directions"]
        patches = {"patches": f"{self.patches.name}, {self.patches.sha256}, {directions} directions"}
        own = {self.scores[name].name: self.scores[name].source for name in self._usable if self.scores[name].source}
        return (
            (found if EXTRACTOR in used else {})
            | (patches if PATCHES in used else {})
            | ({"metrics of its own": own} if own else {})
        )

    def _look(self, name: str, keys: Iterable[Hashable], images: Tensor) -> None:
        """Compute the features of those images [B, 3, H, W] that this validation has not seen yet."""
        new = {key: i for i, key in enumerate(keys) if key not in self._rows[name]}
        if new:
            found = self._features(images[list(new.values())])
            for i, key in enumerate(new):
                self._rows[name][key] = {kind: values[i : i + 1].clone() for kind, values in found.items()}

    def _features(self, images: Tensor) -> Features:
        """Compute all features that the scores need; on the CPU, where float64 is always supported."""
        networks: dict[str, Callable[[Tensor], Tensor]] = {EXTRACTOR: self.extractor, PATCHES: self.patches}
        rows = [self.scores[name] for name in self._usable]
        networks |= {row.name: partial(features_of, row) for row in rows if row.look()}
        images = images.to(self._device)
        return {kind: networks[kind](images).cpu() for kind in sorted({_kind(row) for row in rows})}

    def _scored(self, real: Features, fake: Features, domain: str) -> dict[str, dict[str, Any]]:
        """Return each score with its interval and the floor of a domain."""
        found = {}
        for name in self._usable:
            row, kind = self.scores[name], _kind(self.scores[name])
            draws = 0 if _of_patches(row) else self.draws
            ends: list[float | None]
            value, *ends = bootstrap_interval(_faster(row), real[kind], fake[kind], n_boot=draws)
            if not draws:
                ends = [None, None]
            elif row.share:  # shifted draws may leave the range
                ends = [min(max(end, 0.0), 1.0) for end in ends if end is not None]
            entry = {"value": value, "low": ends[0], "high": ends[1], "floor": self._floors.get((domain, name))}
            found[name] = entry | (described(row) if row.source else {})
        return found

    def _take_floors(self, data: Any, sets: Mapping[str, Features]) -> dict[tuple[str, str], float | None]:
        """Score training pictures of a domain against others of it; leave out domains with too few."""
        floors: dict[tuple[str, str], float | None] = {}
        count = _count(sets["A"]) + _count(sets["B"])
        for domain, images in zip("AB", data.sample_images(max(MIN_POOL_IMAGES, count)), strict=True):
            if len(images) < 4:
                continue
            pool = [self._features(batch) for batch in images.split(BATCH_SIZE)]
            for name in self._usable:
                row, kind = self.scores[name], _kind(self.scores[name])
                features = torch.cat([part[kind] for part in pool])
                sizes = (_count(sets[domain]), count - _count(sets[domain]))
                if min(floor_sizes(len(features), *sizes)) >= row.least:
                    splits = SPLITS // 10 if _of_patches(row) else SPLITS
                    floors[domain, name] = floor_interval(_faster(row), features, *sizes, splits=splits)[0]
        return floors


def _row(name: str) -> Score:
    """Return the row of the table for the name that a config has for a score."""
    known = [row for row in NAMED.values() if row.of_sets]
    for row in known:
        if name == row.inception != row.name:
            raise UserError(
                f"callbacks.set_scores.metrics={name} is the name of a result: ask for {row.name}, which is called "
                f"{name} with callbacks.set_scores.extractor=inception alone"
            )
    if name not in (names := [row.name for row in known]):
        raise UserError(f"callbacks.set_scores.metrics={name} is no distance{did_you_mean(name, names)}")
    return NAMED[name]


def _knows_truth(data: Any) -> bool:
    return data.splits.truth_A is not None or data.splits.truth_B is not None


def _of_patches(row: Score) -> bool:
    """Return whether a score of ours compares patches, of pictures of one size; it is slow then."""
    return row.slow and row.features != EXTRACTOR and not row.source


def _kind(row: Score) -> str:
    """Return the features that a score compares, as a key of `Features`."""
    return row.name if row.look() else str(row.features)


def _faster(row: Score) -> ValueFunction:
    """Return the function of a score with the faster arguments of validations."""
    function = partial(row.compute(), **row.quicker)

    def value(real: Tensor, fake: Tensor) -> Tensor | float:
        # A run does not end for a score: functions such as a Frechet distance raise where features are NaN.
        finite = bool(real.isfinite().all()) and bool(fake.isfinite().all())
        return function(real, fake) if finite else math.nan

    return value if row.source else function


def _stacked(rows: Mapping[Hashable, Features]) -> Features:
    """Stack features in an order that does not depend on the rank that computed them."""
    ordered = [rows[name] for name in sorted(rows, key=str)]
    return {kind: torch.cat([row[kind] for row in ordered]) for kind in ordered[0]}


def _count(features: Features) -> int:
    return len(next(iter(features.values())))
