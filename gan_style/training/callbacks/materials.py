"""Materials that translations of drawn scenes show, beside those that they should show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gan_style.data.image_sets import OTHERS, SceneImages
from gan_style.metrics.filters import from_grey_levels
from gan_style.metrics.labels import LinearJudge, overlaps


class Materials:
    """Judge of the materials in one direction, fitted to true pictures of other scenes, as that of the benchmark.

    Args:
        truth: true pictures of the inputs.
        names: of the inputs, in the same order.
    """

    def __init__(self, truth: SceneImages, names: Sequence[str]) -> None:
        others = truth.others(OTHERS)
        images, labels = (np.stack([getattr(one, what) for one in others]) for what in ("image", "labels"))
        self._judge = LinearJudge(from_grey_levels(images), torch.from_numpy(labels).long())
        self._labels = {name: torch.from_numpy(truth.scene(i).labels).long() for i, name in enumerate(names)}

    def overlaps(self, images: Tensor, names: Sequence[str]) -> Tensor:
        """Count the pixels of each material in the intersection and in the union with the true ones.

        Args:
            images: translations, [B, 3, H, W] in [-1, 1].
            names: of their inputs.

        Returns: int64 [B, 2, materials].
        """
        labels = torch.stack([self._labels[name] for name in names])
        return torch.stack(overlaps(self._judge(images.detach().cpu()), labels), 1)
