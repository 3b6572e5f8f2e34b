"""Scores of single pictures: each is a function of what a model made of an input and what belongs to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.weights import digest
from gan_style.evaluation.distances import CPU, Scores, batches
from gan_style.losses.perceptual import PerceptualLoss
from gan_style.metrics.diversity import diversity, feature_distance
from gan_style.metrics.edges import edge_agreement
from gan_style.metrics.extractor import Extractor
from gan_style.metrics.lpips import LPIPS
from gan_style.metrics.pairs import ContentDistance, StyleDistance, cycle_error
from gan_style.metrics.squeezenet import URL as SQUEEZENET
from gan_style.metrics.structure import StructureDistance
from gan_style.metrics.truth import bootstrap, psnr, ssim
from gan_style.networks.vgg import URLS, VGG

GIVEN = "given_"  # before the name of a distance to the style that each picture was given

Pictures = Mapping[str, Sequence[Tensor]]


@dataclass(frozen=True)
class PictureScore:
    """One number per picture.

    Attributes:
        name: in the table.
        inputs: what it looks at, picture by picture: `fakes`, `sources`, `truth` (what each source should become),
            `back` (what came back of each fake), `targets` (the style that each was given) or `several` (one source
            in several styles, [S, C, H, W]).
        function: of batches of these -> [B].
        network: sha256 of the weights that it needs.
    """

    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Tensor]
    network: str | None = None

    def values(self, pictures: Pictures, device: torch.device = CPU) -> list[float]:
        """The number of each picture; the networks of `function` are on that device."""
        columns = [batches(pictures[name], device=device) for name in self.inputs]
        with torch.inference_mode():
            return [value for parts in zip(*columns, strict=True) for value in self.function(*parts).tolist()]


class PictureScores:
    """Every score of single pictures that the weights at hand allow.

    Args:
        extractor: of the features that diversity is taken in where there is no LPIPS.
        squeezenet: weights for LPIPS; None takes those in torch hub's cache, if they are there.
        vgg: weights for distances of content and style; None takes $GAN_STYLE_VGG, or those in torch hub's cache.
        dino: weights for the distance of structure.
        device: where pictures are looked at; the extractor is on it.

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
        near: list[tuple[str, Any, str | None]] = [("edge_agreement", edge_agreement, None)]
        distance: Callable[[Tensor, Tensor], Tensor] = feature_distance(extractor)
        of = extractor.name
        if squeezenet or in_hub(SQUEEZENET):
            lpips = LPIPS("squeeze", weights=squeezenet).to(device)
            near.append((lpips.name, lpips, lpips.backbone_sha256))
            distance, of = lpips, lpips.name
        self.styles: dict[str, tuple[StyleDistance, str]] = {}
        if vgg == "random":
            raise UserError("distances of content and style by a random VGG say nothing: give --vgg FILE")
        weights = vgg or os.environ.get("GAN_STYLE_VGG") or ("imagenet" if in_hub(URLS["vgg19"]) else "random")
        if weights != "random":  # as the environment may have it for trainings that only have to run
            network = VGG(weights).to(device)
            sha256 = digest(network)
            content = ContentDistance(network)
            near.append((content.name, content, sha256))
            for statistic in ("gram", "mean_std"):
                coder = PerceptualLoss(network, content_layers=[content.layer], statistic=statistic)
                self.styles[f"style_{statistic}_{network.arch}"] = StyleDistance(cast(Any, coder)), sha256
        if dino:
            structure = StructureDistance(dino).to(device)
            near.append((structure.name, structure, structure.sha256))
        self.scores = [
            *(PictureScore(name, ("fakes", "sources"), function, sha256) for name, function, sha256 in near),
            PictureScore("psnr", ("fakes", "truth"), psnr),
            PictureScore("ssim", ("fakes", "truth"), ssim),
            PictureScore("cycle_error", ("sources", "back"), cycle_error),
            PictureScore(f"diversity_{of}", ("several",), lambda styles: diversity(styles, distance)),
        ]

    def of(self, pictures: Pictures, real: Sequence[Tensor], train: Sequence[Tensor]) -> Scores:
        """Each score that these pictures have the inputs for.

        Args:
            pictures: what a model made and what belongs to it, by the names of `PictureScore.inputs`.
            real: of the target domain; style is compared with their mean, and with that which a picture was given.
            train: further real ones, for the floor of what looks at fakes alone; may be none.

        Returns:
            name -> value, low, high, floor (None where real pictures have none) and, where it looks at fakes,
            ceiling: what the inputs score as they are.
        """
        found: Scores = {}
        for score in [*self.scores, *self._style_scores(pictures, real)]:
            if any(not pictures.get(name) for name in score.inputs):
                continue
            found[score.name] = dict(bootstrap(score.values(pictures, self.device)))
            if score.inputs == ("fakes",) and train:
                found[score.name]["floor"] = _mean(score.values({"fakes": train}, self.device))
            if "fakes" in score.inputs and pictures.get("sources"):
                untouched = {**pictures, "fakes": pictures["sources"]}
                found[score.name]["ceiling"] = _mean(score.values(untouched, self.device))
        return found

    def networks(self, names: Sequence[str]) -> dict[str, str]:
        """Score -> hash of its weights, for the protocol."""
        known = {score.name: score.network for score in self.scores} | {k: v for k, (_, v) in self.styles.items()}
        return {name: sha256 for name in names if (sha256 := known.get(name.removeprefix(GIVEN)))}

    def _style_scores(self, pictures: Pictures, real: Sequence[Tensor]) -> list[PictureScore]:
        scores = []
        for name, (distance, _) in self.styles.items():
            code = _mean_code(distance, real, self.device)
            scores.append(PictureScore(name, ("fakes",), lambda x, d=distance, c=code: d.to_code(x, c)))
            scores.append(PictureScore(f"{GIVEN}{name}", ("fakes", "targets"), distance))
        return scores


def in_hub(url: str) -> bool:
    """Whether a published file of weights is in torch hub's cache."""
    return (Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]).is_file()


def _mean_code(distance: StyleDistance, real: Sequence[Tensor], device: torch.device) -> dict[str, Tensor]:
    """The mean of the codes of pictures, of one entry."""
    with torch.inference_mode():
        sums = [
            {k: v.sum(0, keepdim=True) for k, v in distance.code(images).items()}
            for images in batches(real, device=device)
        ]
    return {key: torch.stack([one[key] for one in sums]).sum(0) / len(real) for key in sums[0]}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
