"""Maps of single places drawn over the picture that they are of."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

SHARE_OF_COLOUR = 0.5  # of the map in the overlay; the rest is the picture in grey
GREY = (0.299, 0.587, 0.114)  # luminance of RGB (ITU-R BT.601)


def overlaid(images: Tensor, heat: Tensor) -> Tensor:
    """Draw maps over pictures, from blue for 0 to red for 1.

    Args:
        images: [B, C, H, W] in [-1, 1]; shown in grey, so that every colour is the map's, without an alpha.
        heat: [B, 1, H, W] in [0, 1].

    Returns: [B, 3, H, W] in [-1, 1].
    """
    images, heat = images.detach().float().cpu(), heat.detach().float().cpu()
    images = images[:, :3] if images.shape[1] == 4 else images
    weights = torch.tensor(GREY) if images.shape[1] == 3 else torch.full((images.shape[1],), 1 / images.shape[1])
    grey = torch.einsum("c,bchw->bhw", weights, images)[:, None]
    levels = (heat[:, 0] * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    bgr = np.stack([cv2.applyColorMap(one, cv2.COLORMAP_TURBO) for one in levels])
    colours = torch.from_numpy(bgr[..., ::-1].copy()).movedim(-1, 1) / 127.5 - 1
    return torch.lerp(grey.expand(-1, 3, -1, -1), colours, SHARE_OF_COLOUR)
