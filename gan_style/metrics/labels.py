"""Material of each pixel by a fixed linear judge, and its agreement with the true materials.

As the FCN score of Isola et al. 2017 (section 4.1) for drawn scenes, without a network: what a translation shows is
read from the blurred colour around a pixel and its deviation, so that strokes do not matter and places cannot be
learned by heart.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.networks.filters import blur

SIGMA = 0.8  # pixels of the blur; wider ones lose narrow trunks and shores, at 32 px most
RIDGE = 1e-9  # of the normal equations, which a material that is nowhere would leave singular


class LinearJudge:
    """Least-squares classifier of pixels by 28 numbers: blurred colour and deviation, and all products of these.

    Args:
        images: [N, 3, H, W] in [-1, 1] of the target domain.
        labels: true material of each pixel, [N, H, W] of whole numbers below `classes`; a class counts by the root of
            its pixels, so that rare ones are not passed over.
        classes: how many there are.

    Raises:
        UserError: labels of other shapes, or of a class that there is not.
    """

    def __init__(self, images: Tensor, labels: Tensor, classes: int = 5) -> None:
        if labels.shape != (len(images), *images.shape[-2:]):
            raise UserError(f"labels {list(labels.shape)} are not those of pictures {list(images.shape)}")
        if labels.min() < 0 or labels.max() >= classes:
            raise UserError(f"a label is from 0 to {classes - 1}, not {int(labels.min())} to {int(labels.max())}")
        self.classes = classes
        roots = labels.flatten().long().bincount(minlength=classes).double().sqrt()
        # the normal equations, picture by picture: all pixels of large ones would take gigabytes
        left = right = torch.zeros((), dtype=torch.float64)
        for image, of_image in zip(images, labels, strict=True):
            rows = pixel_features(image[None]).double().permute(0, 2, 3, 1).flatten(0, 2)
            chosen = of_image.flatten().long()
            weighted = rows / roots[chosen, None]
            left = left + weighted.T @ rows
            right = right + weighted.T @ torch.eye(classes, dtype=torch.float64, device=rows.device)[chosen]
        ridge = RIDGE * torch.eye(rows.shape[1], dtype=torch.float64, device=rows.device)
        self.weights = torch.linalg.solve(left + ridge, right)  # [28, classes]

    def __call__(self, images: Tensor) -> Tensor:
        """Return the material of each pixel of images [B, 3, H, W] in [-1, 1]: [B, H, W], int64."""
        weights = self.weights.to(images.device)
        return torch.einsum("bfhw,fk->bkhw", pixel_features(images).double(), weights).argmax(1)


def pixel_features(images: Tensor) -> Tensor:
    """Compute 28 numbers per pixel, [B, 28, H, W], of images [B, 3, H, W] in [-1, 1].

    Blurred channels, deviations from them, 1, and the products of all pairs of the first six.
    """
    x = (images.float() + 1) / 2
    mean = blur(x, SIGMA)
    six = torch.cat([mean, blur((x - mean).square(), SIGMA).sqrt()], 1)
    i, j = torch.triu_indices(6, 6)
    return torch.cat([torch.ones_like(six[:, :1]), six, six[:, i] * six[:, j]], 1)


def overlaps(found: Tensor, labels: Tensor, classes: int = 5) -> tuple[Tensor, Tensor]:
    """Count the pixels of each class in the intersection and in the union of two label maps [B, H, W]: [B, classes]."""
    kinds = torch.arange(classes, device=found.device)[:, None, None]
    a, b = found[:, None] == kinds, labels[:, None] == kinds
    return (a & b).sum((2, 3)), (a | b).sum((2, 3))


def mean_iou(intersections: Tensor, unions: Tensor) -> Tensor:
    """Return the mean over classes of intersection over union, of counts [..., classes]: [...] in [0, 1].

    Classes that neither of two maps has are left out.
    """
    there = unions > 0
    shares = intersections.double() / unions.clamp_min(1)
    return (shares * there).sum(-1) / there.sum(-1).clamp_min(1)


def pooled_iou(intersections: Tensor, unions: Tensor, rounds: int = 2000) -> dict[str, float]:
    """Return the mean IoU of all pictures together, as of Cityscapes, and its 95% bootstrap interval over pictures.

    Args:
        intersections, unions: of each picture, see `overlaps`, [N, classes].
        rounds: of the bootstrap.

    Returns: value, low, high, in [0, 1].
    """
    count = len(intersections)
    drawn = torch.from_numpy(np.random.default_rng(0).integers(0, count, (rounds, count)))
    pooled = mean_iou(intersections[drawn].sum(1), unions[drawn].sum(1))
    low, high = np.percentile(pooled.numpy(), [2.5, 97.5])
    whole = mean_iou(intersections.sum(0), unions.sum(0))
    return {"value": float(whole), "low": float(low), "high": float(high)}


def label_iou(found: Tensor, labels: Tensor, classes: int = 5) -> Tensor:
    """Return the mean IoU over the classes of each picture, of label maps [B, H, W]: [B] in [0, 1]."""
    return mean_iou(*overlaps(found, labels, classes))
