"""Scores from Python: of checkpoints on a set, and of a folder of pictures against another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch

from gan_style.core.checks import require_whole
from gan_style.core.devices import device_of
from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.paths import expanded
from gan_style.data.images import list_images
from gan_style.data.ledger import Ledger
from gan_style.evaluation.distances import Result
from gan_style.evaluation.images import ImageScores
from gan_style.evaluation.judge import Judge
from gan_style.evaluation.sets import ScoredSet, open_set
from gan_style.metrics.cache import FeatureCache, default_folder
from gan_style.metrics.extractors import extractor as extractor_of
from gan_style.report.notebook import scores_cell


class Judging(TypedDict, total=False):
    """Settings of scoring; every key has a default.

    Attributes:
        extractor: of features: "random" (the default, which needs no download), "inception", "squeezenet", "vgg" or
            "LIBRARY:MODEL".
        weights: a file of the extractor, instead of a download.
        vgg: a file of VGG-19, for distances of content and style; `$GAN_STYLE_VGG` where it is left out.
        dino: a file of a DINO network, for the distance of structure.
        draws: of the bootstrap, 200; 0 gives no intervals.
        cache: whether features of real pictures are kept for the next time; True.
        device: "cpu", "cuda", ...; None takes a GPU where there is one.
        allow: packages of the caller's own that checkpoints may name, see `gan_style.load`.
        done: called after each picture.
    """

    extractor: str
    weights: str | None
    vgg: str | None
    dino: str | None
    draws: int
    cache: bool
    device: str | None
    allow: str | Sequence[str]
    done: Callable[[], Any]


class Results(dict[str, Result]):
    """Path of a checkpoint -> what its file of scores holds; a table in a notebook."""

    def _repr_html_(self) -> str:
        return scores_cell(self)


def evaluate(
    checkpoints: str | Path | Sequence[str | Path],
    data: str | Path,
    *,
    limit: int | None = None,
    wrap: str | None = None,
    **judging: Unpack[Judging],
) -> Results:
    """Score checkpoints on the test pictures of a set, in each direction that they translate.

    Args:
        checkpoints: one or more paths.
        data: a named set below data/, a folder, "scenes", or "scenes:TASK" of another drawn task.
        limit: the first so many test pictures, and twice as many of training; None takes all.
        wrap: directions in which pictures go round, as of `translate`; None as each checkpoint was trained.
        **judging: see `Judging`.

    Returns: path of a checkpoint -> what its file of scores holds: `protocol`, `scores` (direction -> name ->
        {"value", "low", "high", ...}) and `notes` (docs/evaluation.md).

    Raises:
        UserError: a set or a checkpoint that cannot be read or scored, or weights that cannot be had.
    """
    if limit is not None:
        require_whole("limit", limit, 1)
    paths = [checkpoints] if isinstance(checkpoints, str | Path) else [*checkpoints]
    judge = judge_of(open_set(str(data), limit), **judging)
    judge.wrap = wrap
    return Results({str(path): judge.checkpoint(Path(path)) for path in paths})


def compare(
    real: str | Path,
    fake: str | Path,
    *,
    source: str | Path | None = None,
    train: str | Path | None = None,
    size: int = 256,
    **judging: Unpack[Judging],
) -> Result:
    """Score a folder of made pictures against a folder of real ones, whatever made them.

    Args:
        real, fake: folders.
        source: a folder of the inputs of the made ones, of the same names; gives the ceiling.
        train: a folder of more real pictures: the floor is then at the same numbers.
        size: side that all are resized to, in pixels.
        **judging: see `Judging`.

    Returns: see `evaluate`; the direction is called A2B.

    Raises:
        UserError: a folder without pictures, or weights that cannot be had.
    """
    require_whole("size", size, 1)
    folders = {"testB": real, "trainB": train, "testA": source}
    ledger = Ledger()
    files = {part: list_images(expanded(folder), ledger) for part, folder in folders.items() if folder}
    judge = judge_of(ScoredSet(str(real), files, ledger=ledger), **judging)
    result = judge.folder(expanded(fake), "A2B", size)
    numbers = {key: result["protocol"][key]["A2B"] for key in ("N_real", "N_fake")}  # there is one direction
    return result | {"protocol": result["protocol"] | numbers}


def judge_of(data: ScoredSet, **judging: Unpack[Judging]) -> Judge:
    """Make the judge that scores against a set.

    Args:
        data: the set.
        **judging: see `Judging`.

    Raises:
        UserError: another setting, weights that cannot be had, or a device that is not there.
    """
    for name in judging:
        if name not in Judging.__annotations__:
            raise UserError(f"{name} is not a setting of scores here{did_you_mean(name, Judging.__annotations__)}")
    draws = judging.get("draws", 200)
    require_whole("draws", draws, 0)
    device = device_of(judging.get("device"))
    if device.type == "cuda":
        # TF32 rounds the factors of a convolution to 10 bits: scores would differ from those of a CPU
        torch.backends.cudnn.allow_tf32 = False
    name, weights = judging.get("extractor", "random"), judging.get("weights")
    network = extractor_of(name, weights).to(device)
    pairs = ImageScores(
        network,
        squeezenet=weights if name == "squeezenet" else None,
        vgg=judging.get("vgg"),
        dino=judging.get("dino"),
        device=device,
    )
    cache = FeatureCache(default_folder()) if judging.get("cache", True) else None
    done, allow = judging.get("done", lambda: None), judging.get("allow", ())
    allow = [allow] if isinstance(allow, str) else allow
    return Judge(data, network, pairs, draws, cache, done, device, allow)
