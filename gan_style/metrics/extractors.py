"""Extractors by name, and the names of scores of their features."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.weights import digest
from gan_style.metrics.extractor import Extractor, RandomExtractor, pooled
from gan_style.metrics.inception import SHA256 as INCEPTION
from gan_style.metrics.inception import InceptionExtractor
from gan_style.metrics.libraries import FAMILIES, from_library
from gan_style.metrics.squeezenet import SqueezeNetExtractor
from gan_style.metrics.table import EXTRACTOR, Score
from gan_style.networks.vgg import VGG


class VGGExtractor(Extractor):
    """Means over positions of VGG's feature maps, side by side.

    Args:
        weights: as `VGG` takes them: `imagenet`, a file, or `random` (which the name then says).
        arch: `vgg19` or `vgg16`.
        layers: None takes `relu1_1`, `relu2_1`, ... as far as the weights reach.
        size: side that pictures are resized to.
        unit: see `pooled`; without it `_raw` goes into the name.
    """

    def __init__(
        self,
        weights: str = "imagenet",
        *,
        arch: Literal["vgg19", "vgg16"] = "vgg19",
        layers: list[str] | None = None,
        size: int | None = 224,
        unit: bool = True,
    ) -> None:
        network = VGG(weights, arch=arch)
        layers = layers or [name for name in network.layers if name.endswith("_1")]
        deepest = max(layers, key=lambda name: network.layers.index(name) if name in network.layers else -1)
        network.require(layers)
        sha256 = digest(network)  # of what was read: a file may hold more layers than are used
        network.truncate(deepest)
        name = "_".join([arch, *(["random"] if weights == "random" else []), *layers, *([] if unit else ["raw"])])
        super().__init__(name, sha256, size=size)
        self.network, self.layers, self.unit = network, layers, unit
        self.freeze()

    def features(self, images: Tensor) -> Tensor:
        maps = self.network(images, self.layers)
        return pooled([maps[layer] for layer in self.layers], unit=self.unit)


KINDS: dict[str, type[Extractor]] = {
    "inception": InceptionExtractor,
    "squeezenet": SqueezeNetExtractor,
    "vgg": VGGExtractor,
    "random": RandomExtractor,
}


def extractor(kind: str, weights: str | Path | None = None, **options: Any) -> Extractor:
    """Make an extractor by its name: `inception`, `squeezenet`, `vgg`, `random`, or `<library>:<model>`.

    Args:
        kind: its name; libraries are those of `libraries.FAMILIES`, as in `torchvision:resnet50`.
        weights: a local file; None takes the published ones.
        options: of the family, e.g. `size=224` or `seed=0`; a library's model has none.

    Raises:
        UserError: no such name, or weights for `random`, which has none.
    """
    library, _, model = kind.partition(":")
    if model and library in FAMILIES:
        return from_library(library, model, weights)
    if kind not in KINDS:
        known = [*KINDS, *(f"{family}:MODEL" for family in FAMILIES)]
        raise UserError(f"there is no extractor {kind}{did_you_mean(kind, known)}")
    if weights is not None and kind == "random":
        raise UserError("the extractor random takes no weights: give a seed, or choose another extractor")
    given: dict[str, Any] = {} if weights is None else {"weights": str(weights)}
    return KINDS[kind](**given, **options)


def column(row: Score, network: Extractor) -> str:
    """Return the name of a score in results: that of its row, with the extractor's where it takes features of one.

    With the Inception weights of 2015, known by their hash, some have a name of their own: `fid`, `kid`.
    """
    if row.features != EXTRACTOR:
        return row.name
    exact = isinstance(network, InceptionExtractor) and network.sha256 == INCEPTION
    return row.inception if exact and row.inception else f"{row.name}_{network.name}"
