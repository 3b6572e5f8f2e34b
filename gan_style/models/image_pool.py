"""A short memory of past fakes for the discriminator (Shrivastava et al. 2017, section 2.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Pool of past fakes; once it is full, half of the fakes are exchanged for older ones.

    It is not a buffer of the network: averaged or exported weights must not carry it. Its pictures and
    the state of its own generator are saved by `Translator`, because a resumed run differs without them.

    Args:
        size: how many pictures it keeps; 0 gives every fake back as it came.
        seed: of the generator that decides, always on the CPU so that no decision waits for a device.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        self.images: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(seed)

    def swap(self, fakes: Tensor) -> Tensor:
        """Detach `fakes` [B, C, H, W] and exchange some of them for older ones."""
        if self.size == 0:
            return fakes.detach()
        return torch.stack([self._swap_one(image) for image in fakes.detach()])

    def _swap_one(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if torch.randint(2, (), generator=self.generator) == 0:
            return image
        slot = int(torch.randint(self.size, (), generator=self.generator))
        old, self.images[slot] = self.images[slot], image.clone()
        return old.to(image.device, image.dtype)

    def state_dict(self) -> dict[str, Any]:
        return {"images": [image.cpu() for image in self.images], "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.images = list(state["images"])[: self.size]  # of a larger pool the rest would be kept and never shown
        self.generator.set_state(state["generator"])


class PreviousImages(ImagePool):
    """Memory of one batch: it gives the one before, a draw of its own from the same domain."""

    def __init__(self) -> None:
        super().__init__(size=1)

    def swap(self, images: Tensor) -> Tensor:
        """Remember images [B, C, H, W] and return the ones before; mirrored ones where those have another shape."""
        before, self.images = self.images, [images.detach().clone()]
        if not before or before[0].shape != images.shape:
            return images.flip(-1)
        return before[0].to(images.device, images.dtype)
