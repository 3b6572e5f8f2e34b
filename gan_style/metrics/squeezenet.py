"""SqueezeNet 1.1 (Iandola et al. 2016): small enough to carry, with ImageNet's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import squeezenet1_1

from gan_style.core.weights import fill, hub, read
from gan_style.metrics.extractor import Extractor, pooled

URL = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
SHA256 = "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b"
TAPS = (1, 4, 7, 9, 10, 11, 12)  # where LPIPS reads it (Zhang et al. 2018)
# converted from the authors' Caffe model by way of Keras: another preprocessing, and nothing in the file says so
CAFFE_SHA256 = {"09c5fdcc2ec7e97cf98ca801b79a07ba4ceb03fde10135c0aa0ed9399d53db92"}
Colours = Literal["auto", "imagenet", "caffe"]


class SqueezeNet(nn.Module):
    """Feature maps of pictures in [-1, 1] at seven depths, each [B, C, h, w].

    Args:
        weights: a file with `features.0.weight`, ...; None takes torchvision's from torch hub's cache, or
            downloads them.
        colours: what the weights expect: `imagenet` (RGB in [0, 1], mean and deviation of ImageNet) or `caffe` (BGR
            in [0, 255] less the mean of ImageNet); `auto` is caffe for files known to be so.

    Raises:
        UserError: the weights cannot be had or do not fit.
    """

    colours: Tensor
    offset: Tensor

    def __init__(self, weights: str | Path | None = None, *, colours: Colours = "auto") -> None:
        super().__init__()
        state, self.sha256 = read(weights or hub(URL, "SqueezeNet 1.1"), "SqueezeNet 1.1")
        self.layers = squeezenet1_1(weights=None).features
        prefix = "features."
        fill(self.layers, {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, "SqueezeNet")
        caffe = colours == "caffe" or (colours == "auto" and self.sha256 in CAFFE_SHA256)
        self.name = "squeezenet_caffe" if caffe else "squeezenet"
        if caffe:  # (x + 1) * 127.5 - mean, channels turned round
            matrix, offset = torch.eye(3).flip(0) * 127.5, 127.5 - torch.tensor([103.939, 116.779, 123.68])
        else:
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            matrix, offset = torch.diag(0.5 / std), (0.5 - mean) / std
        self.register_buffer("colours", matrix.reshape(3, 3, 1, 1))
        self.register_buffer("offset", offset)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        found = []
        x = nn.functional.conv2d(images, self.colours, self.offset)
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in TAPS:
                found.append(x.clone())  # the next layer may work in place
        return found


class SqueezeNetExtractor(Extractor):
    """Means over positions of SqueezeNet's feature maps, side by side (D = 2240 with all seven).

    Args:
        weights, colours: see `SqueezeNet`.
        taps: which of the seven depths, 0 to 6.
        size: side that pictures are resized to.
        unit: see `pooled`; without it `_raw` goes into the name.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        colours: Colours = "auto",
        taps: Sequence[int] = range(7),
        size: int | None = 224,
        unit: bool = True,
    ) -> None:
        network = SqueezeNet(weights, colours=colours)
        name = network.name if list(taps) == list(range(7)) else f"{network.name}_{''.join(map(str, taps))}"
        super().__init__(name if unit else f"{name}_raw", network.sha256, size=size)
        self.network, self.taps, self.unit = network, list(taps), unit
        self.freeze()

    def features(self, images: Tensor) -> Tensor:
        maps = self.network(images)
        return pooled([maps[i] for i in self.taps], unit=self.unit)
