"""Losses: tensors in, a scalar out; nothing here weighs or logs itself."""

from gan_style.losses.adversarial import Adversarial
from gan_style.losses.gradient_penalty import r1_penalty, wgan_gp, zero_centred
from gan_style.losses.patchnce import patch_nce
from gan_style.losses.perceptual import PerceptualLoss, covariance, gram_matrix, mean_std, total_variation

# The function `adversarial` has the name of its module and stays there.
__all__ = [
    "Adversarial",
    "PerceptualLoss",
    "covariance",
    "gram_matrix",
    "mean_std",
    "patch_nce",
    "r1_penalty",
    "total_variation",
    "wgan_gp",
    "zero_centred",
]
