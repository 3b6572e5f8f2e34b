"""Scores of single pictures: functions of a translation, its input and what else belongs to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.weights import digest
from gan_style.evaluation.distances import CPU, Scores, batches
from gan_style.losses.perceptual import PerceptualLoss
from gan_style.metrics.diversity import diversity, feature_distance
from gan_style.metrics.extractor import Extractor
from gan_style.metrics.lpips import LPIPS
from gan_style.metrics.own import values_of
from gan_style.metrics.pairs import ContentDistance, StyleDistance
from gan_style.metrics.squeezenet import URL as SQUEEZENET
from gan_style.metrics.structure import StructureDistance
from gan_style.metrics.table import GIVEN, NAMED, TABLE, Score, described
from gan_style.metrics.truth import bootstrap
from gan_style.networks.vgg import URLS, VGG

Images = Mapping[str, Sequence[Tensor]]


@dataclass(frozen=True)
class ImageScore:
    """A row of the table with its weights: one number per picture.

    Attributes:
        name: of its column.
        inputs: names of what it compares, picture by picture, see `metrics.table.Score`.
        function: of batches of these -> [B].
        network: sha256 of the weights that it needs.
    """

    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Tensor]
    network: str | None = None

    def values(self, images: Images, device: torch.device = CPU) -> list[float]:
        """Score each picture; the networks of `function` are on that device."""
        columns = [batches(images[name], device=device) for name in self.inputs]
        with torch.inference_mode():
            return [value for parts in zip(*columns, strict=True) for value in self.function(*parts).tolist()]


class ImageScores:
    """Every score of single pictures that the weights at hand allow.

    Args:
        extractor: of the features that diversity is taken in where there is no LPIPS.
        squeezenet: weights for LPIPS; None takes those in torch hub's cache, if they are there.
        vgg: weights for distances of content and style; None takes $GAN_STYLE_VGG, or those in torch hub's cache.
        dino: weights for the distance of structure.
        device: computes the scores; the extractor is on it.

    Raises:
        UserError: weights that cannot be read.
    """

    def __init__(
        self,
        extractor: Extractor,
        *,
        squeezenet: str | None = None,
        vgg: str | None = None,
        dino: str | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.device = device
        # row of the table -> name of the column, function, and hash of its weights
        made: dict[str, tuple[str, Callable[..., Tensor], str | None]] = {
            row.name: (row.name, row.compute(), None) for row in TABLE if row.inputs and row.function
        }
        distance: Callable[[Tensor, Tensor], Tensor] = feature_distance(extractor)
        of = extractor.name
        if squeezenet or in_hub(SQUEEZENET):
            lpips = LPIPS("squeeze", weights=squeezenet).to(device)
            made["lpips"] = lpips.name, lpips, lpips.backbone_sha256
            distance, of = lpips, lpips.name
        self.styles: dict[str, tuple[StyleDistance, str]] = {}
        if vgg == "random":
            raise UserError("distances of content and style by a random VGG say nothing: give --vgg FILE")
        weights = vgg or os.environ.get("GAN_STYLE_VGG") or ("imagenet" if in_hub(URLS["vgg19"]) else "random")
        if weights != "random":  # as the environment may have it for trainings that only have to run
            network = VGG(weights).to(device)
            sha256 = digest(network)
            content = ContentDistance(network)
            made["content"] = content.name, content, sha256
            for statistic in ("gram", "mean_std"):
                coder = PerceptualLoss(network, content_layers=[content.layer], statistic=statistic)
                self.styles[f"style_{statistic}_{network.arch}"] = StyleDistance(cast(Any, coder)), sha256
        if dino:
            structure = StructureDistance(dino).to(device)
            made["structure"] = structure.name, structure, structure.sha256
        made["diversity"] = f"diversity_{of}", lambda styles: diversity(styles, distance), None
        found = [(row, *made[row.name]) for row in TABLE if row.name in made]
        self.scores = [ImageScore(name, row.inputs, function, sha256) for row, name, function, sha256 in found]

    def of(self, images: Images, real: Sequence[Tensor], train: Sequence[Tensor], own: Sequence[Score] = ()) -> Scores:
        """Compute each score that these pictures have the inputs for.

        Args:
            images: translations and what belongs to each, by the names of `ImageScore.inputs`.
            real: of the target domain; style is compared with their mean, and with that which a picture was given.
            train: further real ones, for the floor of what looks at fakes alone; may be none.
            own: further scores of single pictures, beside those of the table.

        Returns:
            name -> value, low, high, floor (None where real pictures have none) and, where it looks at fakes,
            ceiling: the score of the untranslated inputs.
        """
        found: Scores = {}
        rows = {row.name: row for row in own if row.inputs}
        ours = [ImageScore(name, row.inputs, partial(values_of, row)) for name, row in rows.items()]
        for score in [*self.scores, *self._style_scores(images, real), *ours]:
            if any(not images.get(name) for name in score.inputs):
                continue
            found[score.name] = dict(bootstrap(score.values(images, self.device)))
            if score.inputs == ("fakes",) and train:
                found[score.name]["floor"] = _mean(score.values({"fakes": train}, self.device))
            if "fakes" in score.inputs and images.get("sources"):
                untouched = {**images, "fakes": images["sources"]}
                found[score.name]["ceiling"] = _mean(score.values(untouched, self.device))
            found[score.name] |= described(rows[score.name]) if score.name in rows else {}
        return found

    def networks(self, names: Sequence[str]) -> dict[str, str]:
        """Return score -> hash of its weights, for the protocol."""
        known = {score.name: score.network for score in self.scores} | {k: v for k, (_, v) in self.styles.items()}
        return {name: sha256 for name in names if (sha256 := known.get(name.removeprefix(GIVEN)))}

    def _style_scores(self, images: Images, real: Sequence[Tensor]) -> list[ImageScore]:
        scores = []
        for name, (distance, _) in self.styles.items():
            code = _mean_code(distance, real, self.device)
            inputs = NAMED[name.rpartition("_")[0]].inputs
            scores.append(ImageScore(name, inputs, lambda x, d=distance, c=code: d.to_code(x, c)))
            scores.append(ImageScore(f"{GIVEN}{name}", ("fakes", "targets"), distance))
        return scores


def in_hub(url: str) -> bool:
    """Check whether a published file of weights is in torch hub's cache."""
    return (Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]).is_file()


def _mean_code(distance: StyleDistance, real: Sequence[Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return the mean of the style codes of pictures, as a code of one entry."""
    with torch.inference_mode():
        sums = [
            {k: v.sum(0, keepdim=True) for k, v in distance.code(images).items()}
            for images in batches(real, device=device)
        ]
    return {key: torch.stack([one[key] for one in sums]).sum(0) / len(real) for key in sums[0]}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
