"""WCT: Universal Style Transfer via Feature Transforms, whitening and colouring the features of a VGG.

Li, Fang, Yang, Wang, Lu, Yang 2017, arXiv:1705.08086, section 3.2. The decoder was trained elsewhere, to invert the
features; nothing is learned of styles.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gan_style.core.types import Count
from gan_style.models.styled import Styled
from gan_style.models.translator import StyleCode
from gan_style.networks.blocks import crop, pad_to_multiple
from gan_style.networks.vgg import VGG

WITHOUT_FLOAT64 = ("mps",)  # types of devices
MIN_VARIANCE = 1e-5  # along an eigenvector of a covariance: what varies less is noise, and is neither scaled nor given


class WCT(Styled):
    """A frozen encoder, features with the covariance of a style's, and a decoder; it has no losses to be trained by.

    A code is the mean and the colouring matrix of a style. Features depend on both linearly, so a mix of codes, or with
    the content's own code for `alpha`, is the paper's mix of features (eqs. 4 and 5).

    Args:
        vgg: the encoder. Checkpoints carry it.
        decoder: factory, `(depth=, arch=)` -> network from the encoder's deepest layer.
        channels_A, channels_B: of the pictures, 3 or 1. Any checkpoint says them; the networks are the same for both,
            as the encoder repeats grey ones.
    """

    carries_vgg = True
    generators = ("decoder",)

    def __init__(
        self, vgg: VGG, decoder: Callable[..., nn.Module], *, channels_A: Count = 3, channels_B: Count = 3
    ) -> None:
        super().__init__(optimizer_G=torch.optim.Adam)
        self.depth, self.encoder = vgg.depth, vgg
        self.decoder = decoder(depth=self.depth, arch=vgg.arch)

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        return self.stylize(images, self.general_style())

    def general_style(self) -> StyleCode:
        """Return the code of features that are white; there were no styles in training."""
        width = self.encoder.channels[self.depth]
        like = next(self.decoder.parameters())
        return {"mean": like.new_zeros(1, width), "colouring": torch.eye(width).to(like)[None]}

    def style_code(self, images: Tensor) -> StyleCode:
        features = self._features(images)[0]
        mean, covariance = moments(features)
        return {"mean": mean.to(features), "colouring": power(covariance, 0.5).to(features)}

    def stylize(self, images: Tensor, code: StyleCode) -> Tensor:
        features, size = self._features(images)
        mean, covariance = moments(features)
        transform = in_float64(code["colouring"]) @ power(covariance, -0.5)  # eqs. 2 and 3 in one
        centred = features.flatten(2) - mean[..., None].to(features)
        made = transform.to(features) @ centred + code["mean"][..., None].to(features)
        return crop(self.decoder(made.reshape_as(features)), size).clamp(-1, 1)

    def _features(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Encode pictures, padded to whole features, at least two along each side; also return their size."""
        multiple = self.decoder.multiple
        assert isinstance(multiple, int)
        padded, size = pad_to_multiple(images, multiple, 2 * multiple)
        features: Tensor = self.encoder(padded, [self.depth])[self.depth]
        return features, size


def in_float64(x: Tensor) -> Tensor:
    """Return numbers in float64, on the CPU where their device has none."""
    return (x.cpu() if x.device.type in WITHOUT_FLOAT64 else x).double()


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean [B, C] and the covariance [B, C, C] of features [B, C, h, w] over places, in float64."""
    flat = in_float64(features.flatten(2))
    mean = flat.mean(dim=-1)
    centred = flat - mean[..., None]
    return mean, centred @ centred.mT / (flat.shape[-1] - 1)


def power(covariance: Tensor, exponent: float) -> Tensor:
    """Compute a power E D^exponent E^T of covariances E D E^T [B, C, C] (Li et al. 2017, eqs. 2 and 3).

    Eigenvectors along which features vary by less than `MIN_VARIANCE` are left out.
    """
    variances, vectors = torch.linalg.eigh(covariance)
    kept = variances > MIN_VARIANCE
    scaled = torch.where(kept, variances.clamp_min(MIN_VARIANCE) ** exponent, 0.0)
    return vectors * scaled[:, None] @ vectors.mT
