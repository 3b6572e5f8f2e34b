"""Inception-v3 with TensorFlow's weights of 2015: the features of every published FID."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.extras import why_no_import
from gan_style.core.memory import raise_if_out
from gan_style.core.weights import fill, hub, read
from gan_style.metrics.extractor import Extractor

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class InceptionExtractor(Extractor):
    """The pool of 2048 features that FID and KID are defined on (Heusel et al. 2017), by torch-fidelity's network.

    Its own resize to 299, as TensorFlow 1 had it (no antialiasing, corners aligned at the left), belongs to the
    reference and is kept. With the exact file it is called `inception`; with any other, `inception_<hash>`, and
    then nothing computed from it is an FID.

    Args:
        weights: a file; None takes torch hub's cache, or downloads into it (96 MB).

    Raises:
        UserError: torch-fidelity is not installed, or the weights cannot be had or do not fit.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise UserError(
                "the extractor inception needs the package torch-fidelity, which "
                f"{why_no_import(error, 'torch_fidelity')}: pip install torch-fidelity, or take another extractor"
            ) from error
        state, sha256 = read(weights or hub(URL, "Inception of 2015"), "Inception of 2015")
        name = "inception" if sha256 == SHA256 else f"inception_{sha256[:8]}"
        super().__init__(name, sha256, size=299, resize="bilinear-tensorflow1")
        # its constructor opens a file without weights_only: it gets one from memory that was read safely before
        safe = io.BytesIO()
        torch.save(state, safe)
        safe.seek(0)
        try:
            self.network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=safe)
        except RuntimeError as error:
            raise_if_out(error)
            raise UserError(
                "these weights are not those of Inception of 2015: names or shapes differ, take another file"
            ) from error
        fill(self.network, state, "Inception of 2015")
        self.freeze()

    def features(self, images: Tensor) -> Tensor:
        return self.network(((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8))[0]

    def _resized(self, images: Tensor) -> Tensor:
        return images  # by the network itself
