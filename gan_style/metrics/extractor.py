"""Feature extractors: the interface, the network of random weights, and a wrapper for any module."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.weights import digest


class Extractor(nn.Module):
    """Pictures float [B, 3, H, W] in [-1, 1] -> features float32 [B, D]; frozen.

    Pictures are rounded to 8 bits first, as if they had been saved: a score in training is then the score of the
    files, and nothing that a generator hides below a step of 8 bits counts.

    Attributes:
        name: goes into the names of scores: `frechet_<name>`.
        sha256: of the file of weights, or of the seed and widths that they are drawn from.
        size: side that pictures are resized to; None leaves them as they are.
        resize: how, for the stamp of the protocol.
    """

    def __init__(self, name: str, sha256: str, *, size: int | None, resize: str = "bilinear-antialias") -> None:
        super().__init__()
        self.name, self.sha256, self.size = name, sha256, size
        self.resize = resize if size is not None else "none"

    def stamp(self) -> dict[str, str | int | None]:
        """Return what two scores must share to be comparable."""
        return {"extractor": self.name, "sha256": self.sha256, "size": self.size, "resize": self.resize}

    def features(self, images: Tensor) -> Tensor:
        """Return features [B, D] of images in [-1, 1] of the right size; each family implements it."""
        raise NotImplementedError

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return features [B, D] of pictures [B, 3, H, W] in [-1, 1]; grey ones are repeated.

        Raises:
            UserError: pictures of another number of channels.
        """
        if images.dim() != 4 or images.shape[1] not in (1, 3):
            raise UserError(
                f"features are taken of pictures [B, 3, H, W], not of {list(images.shape)}: give colour or grey ones"
            )
        with torch.autocast(images.device.type, enabled=False):
            return self.features(self._resized(rounded(images.float().expand(-1, 3, -1, -1)))).float()

    def _resized(self, images: Tensor) -> Tensor:
        if self.size is None or images.shape[-2:] == (self.size, self.size):
            return images
        return F.interpolate(images, (self.size, self.size), mode="bilinear", align_corners=False, antialias=True)

    def train(self, mode: bool = True) -> Extractor:
        """Stay in evaluation mode."""
        return super().train(False)

    def freeze(self) -> None:
        """Turn gradients off and evaluation mode on; the last line of each family's constructor."""
        self.requires_grad_(False).eval()


def rounded(images: Tensor) -> Tensor:
    """Return the values in [-1, 1] that an 8-bit file would give back."""
    return ((images + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


def pooled(maps: list[Tensor], *, unit: bool = False) -> Tensor:
    """Average feature maps [B, C, h, w] over positions, and put the means side by side: [B, sum of C].

    With `unit`, the channels at each position are first scaled to a mean square of 1 (LPIPS' normalisation times
    sqrt(C)): layers with large values do not dominate the others, and x.y / D, in KID's kernel, is at most 1.
    """
    scaled = [F.normalize(f, dim=1) * f.shape[1] ** 0.5 for f in maps] if unit else maps
    return torch.cat([f.mean(dim=(2, 3)) for f in scaled], dim=1)


class RandomExtractor(Extractor):
    """Three convolutions that were never trained: means and deviations of their channels (D = 224).

    Needs no file and tells sets of different colours and textures apart, but means nothing beyond that: its name
    says `random` wherever a score goes. The hash is that of the seed and the widths, because the last digit of
    drawn numbers can differ between processors.

    Args:
        seed: of the weights (He et al. 2015).
        size: side that pictures are resized to.
    """

    WIDTHS = (3, 16, 32, 64)

    def __init__(self, seed: int = 0, *, size: int | None = 64) -> None:
        source = f"gan_style random extractor, widths {self.WIDTHS}, seed {seed}"
        super().__init__(f"random{seed}", hashlib.sha256(source.encode()).hexdigest(), size=size)
        generator = torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList()
        for before, after in zip(self.WIDTHS, self.WIDTHS[1:], strict=False):
            layer = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layer.weight.data = torch.randn(after, before, 3, 3, generator=generator) * (2 / (9 * before)) ** 0.5
            self.layers.append(layer)
        self.freeze()

    def features(self, images: Tensor) -> Tensor:
        found, x = [], images
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)  # a ReLU leaves dead channels, as nothing was trained
            found += [x.mean(dim=(2, 3)), x.std(dim=(2, 3), correction=0)]
        return torch.cat(found, dim=1)


class ModuleExtractor(Extractor):
    """Any module of pictures in [-1, 1], such as one of timm or open_clip.

    Feature maps [B, C, h, w] are averaged over positions; anything else is flattened to [B, D].

    Args:
        module: takes [B, 3, H, W] in [-1, 1].
        name: for the names of scores; one that is taken by another family is refused.
        size: side that pictures are resized to.
        prepare: maps [-1, 1] to the range that the module expects.
        sha256: of the file of its weights; None takes it over the module's state.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        *,
        size: int | None = None,
        prepare: Callable[[Tensor], Tensor] | None = None,
        sha256: str | None = None,
    ) -> None:
        if name.startswith(("inception", "squeezenet", "vgg", "random")):
            raise UserError(f"an extractor of one's own cannot be called {name}: that name says which weights it has")
        super().__init__(name, sha256 or digest(module), size=size)
        self.module, self.prepare = module, prepare
        self.freeze()

    def features(self, images: Tensor) -> Tensor:
        output = self.module(images if self.prepare is None else self.prepare(images))
        return pooled([output]) if output.dim() == 4 else output.flatten(1)
