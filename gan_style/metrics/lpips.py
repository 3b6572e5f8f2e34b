"""LPIPS (Zhang et al. 2018): distance of two pictures as people see it, by the reference's linear weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import torchmetrics.functional.image.lpips as reference
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.weights import read
from gan_style.metrics.squeezenet import SHA256, SqueezeNet
from gan_style.networks.vgg import VGG

VGG_LAYERS = ["relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"]
PUBLISHED = {"squeeze": SHA256, "vgg": "397923af"}  # torchvision's; of VGG-16 the start, which is in its file's name


class LPIPS(nn.Module):
    """Distances of pairs of pictures in [-1, 1], [B, 3, H, W] twice -> [B]; 0 for equal ones.

    Each layer's features are brought to unit length per position, and the squared differences weighted per channel and
    averaged over positions (Zhang et al. 2018, eq. 1). Gradients flow, so that it can also be trained with.

    The linear weights were fitted to torchvision's backbones; over another one the number is an LPIPS of its own,
    and `name` says so: `lpips_squeeze` only with torchvision's SqueezeNet, `lpips_squeeze_<hash>` otherwise, and so
    for `lpips_vgg`.

    Args:
        net: `squeeze` or `vgg` (VGG-16).
        weights: file of the backbone; None takes torchvision's from torch hub's cache, or downloads them. For `vgg`
            also `random`, which the name then says.
        linear: file of the reference's linear weights, version 0.1; None takes the copy that torchmetrics carries.

    Raises:
        UserError: weights that cannot be had or do not fit.
    """

    def __init__(
        self,
        net: Literal["squeeze", "vgg"] = "squeeze",
        *,
        weights: str | Path | None = None,
        linear: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.net: nn.Module
        if net == "squeeze":
            self.net = SqueezeNet(weights)
            self.backbone_sha256 = self.net.sha256
            widths = [64, 128, 256, 384, 384, 512, 512]
        elif net == "vgg":
            source = "imagenet" if weights is None else str(weights)
            self.net = VGG(source, arch="vgg16", depth=VGG_LAYERS[-1])
            published = {"imagenet": PUBLISHED["vgg"], "random": "random"}
            self.backbone_sha256 = published.get(source) or read(source, "VGG-16")[1]
            widths = [64, 128, 256, 512, 512]
        else:
            raise UserError(f"there is no LPIPS over {net}: choose squeeze or vgg")
        exact = self.backbone_sha256.startswith(PUBLISHED[net])
        self.name = f"lpips_{net}" if exact else f"lpips_{net}_{self.backbone_sha256[:8]}"
        bundled = Path(reference.__file__).parent / "lpips_models" / f"{net}.pth"
        state, self.sha256 = read(linear or bundled, f"LPIPS over {net}")
        for i, width in enumerate(widths):
            weight = state.get(f"lin{i}.model.1.weight", torch.empty(0))
            if weight.shape != (1, width, 1, 1):
                raise UserError(
                    f"the linear weights are not those of LPIPS over {net}: lin{i}.model.1.weight has the shape "
                    f"{list(weight.shape)}, expected [1, {width}, 1, 1]"
                )
            self.register_buffer(f"linear{i}", weight)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Return the LPIPS of each pair: [B]."""
        if images.shape != others.shape:
            raise UserError(f"LPIPS compares pictures of one shape, not {list(images.shape)} and {list(others.shape)}")
        with torch.autocast(images.device.type, enabled=False):
            return torch.stack(
                [
                    (getattr(self, f"linear{i}") * (_unit(x) - _unit(y)).square()).sum(1).mean(dim=(1, 2))
                    for i, (x, y) in enumerate(zip(self._maps(images), self._maps(others), strict=True))
                ]
            ).sum(0)

    def _maps(self, images: Tensor) -> list[Tensor]:
        images = images.float().expand(-1, 3, -1, -1)
        if isinstance(self.net, VGG):
            found = self.net(images, VGG_LAYERS)
            return [found[layer] for layer in VGG_LAYERS]
        maps: list[Tensor] = self.net(images)
        return maps

    def train(self, mode: bool = True) -> LPIPS:
        """Stay in evaluation mode."""
        return super().train(False)


def _unit(maps: Tensor) -> Tensor:
    """Scale to unit length over channels; the small number is that of the reference's code."""
    return maps / (maps.square().sum(1, keepdim=True) + 1e-20).sqrt().add(1e-10)
