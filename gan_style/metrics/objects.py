"""Invented and lost objects: what one label map shows in places where the other has nothing of the kind."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

TREE = 4  # the label of trees in drawn scenes
MIN_SHARE = 0.006  # of the picture, that a blob has to cover: the judge errs by less along outlines
TOLERANCE = 1 / 32  # of the shorter side, by which an outline may be off


def invented_objects(found: Tensor, labels: Tensor, kind: int = TREE) -> Tensor:
    """Count the blobs of a kind that a translation shows and the truth has not, [B].

    A blob is a connected component of what lies farther from anything of the kind in the truth than an outline may be
    off, at least as wide as a brush stroke; what is next to a true object is no invention.

    Args:
        found, labels: materials by the judge, and true ones, [B, H, W].
        kind: of the objects.
    """
    return _blobs(found == kind, labels == kind)


def lost_objects(found: Tensor, labels: Tensor, kind: int = TREE) -> Tensor:
    """Count the blobs of a kind that the truth has and a translation does not show, [B]; see `invented_objects`."""
    return _blobs(labels == kind, found == kind)


def _blobs(shown: Tensor, known: Tensor) -> Tensor:
    """Count the connected components of `shown` away from `known`, [B, H, W] of bool each."""
    height, width = shown.shape[-2:]
    reach = max(1, round(TOLERANCE * min(height, width)))
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    counts = []
    pairs = zip(*(x.to(torch.uint8).cpu().numpy() for x in (shown, known)), strict=True)
    for one, other in pairs:
        left = one & (1 - cv2.dilate(other, near))
        sizes = cv2.connectedComponentsWithStats(left, connectivity=4)[2][1:, cv2.CC_STAT_AREA]
        counts.append(int(np.sum(sizes >= MIN_SHARE * height * width)))
    return torch.tensor(counts, dtype=torch.float32)
