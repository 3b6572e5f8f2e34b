"""VGG-16 and VGG-19 (Simonyan and Zisserman 2015) as frozen features, with layers by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core import torch_files
from gan_style.core.errors import UserError
from gan_style.core.paths import absent, expanded
from gan_style.networks.padding import pad

BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
URLS = {
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "vgg19": "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB in [0, 1]


class VGG(nn.Module):
    """Frozen VGG that gives features of pictures in [-1, 1] after each ReLU: `vgg(x, ["relu1_1", "relu3_1"])`.

    Its weights are never trained; the gradient with respect to the picture is computed. It runs in float32 under
    autocast, because sums of squares of its features overflow half precision.

    Args:
        weights: `imagenet` (torchvision's, downloaded once and kept in its cache), a file, or `random`. A file
            holds torchvision's layout (`features.0.weight`, ..., zero padding) or AdaIN's normalised one (a 1x1
            convolution in front, reflection padding), and may end at any layer.
        arch: `vgg19` or `vgg16`.
        depth: the deepest layer to keep, e.g. `relu4_1`; None keeps all that the weights hold.
        pooling: `max`, or `avg` as Gatys et al. 2016, section 2.

    Raises:
        UserError: no such file, a file of another layout, weights that end before `depth`, or no network.
    """

    colours: Tensor
    offset: Tensor

    def __init__(
        self,
        weights: str = "imagenet",
        *,
        arch: Literal["vgg19", "vgg16"] = "vgg19",
        depth: str | None = None,
        pooling: Literal["max", "avg"] = "max",
    ) -> None:
        super().__init__()
        self.arch, self.pooling = arch, pooling
        self.padding = "zeros"
        names = _names(arch)
        self.convolutions = nn.ModuleDict()
        if weights == "random":
            state = _random(names)
        else:
            state, self.padding = _read(weights, arch, names)
        self.register_buffer("colours", state["colours"])
        self.register_buffer("offset", state["offset"])
        for name in names:
            if f"{name}.weight" in state:
                weight = state[f"{name}.weight"]
                convolution = nn.utils.skip_init(nn.Conv2d, weight.shape[1], weight.shape[0], 3)
                convolution.load_state_dict({"weight": weight, "bias": state[f"{name}.bias"]})
                self.convolutions[name] = convolution
        if depth is not None:
            self.truncate(depth)
        self.requires_grad_(False).eval()

    @property
    def layers(self) -> list[str]:
        """Names of the layers it holds, in order."""
        return [f"relu{name}" for name in self.convolutions]

    @property
    def depth(self) -> str:
        """The deepest layer."""
        return self.layers[-1]

    @property
    def channels(self) -> dict[str, int]:
        """Number of channels of each layer, by its name."""
        return {f"relu{name}": int(c.out_channels) for name, c in self.convolutions.items()}  # type: ignore[arg-type]

    def truncate(self, depth: str) -> None:
        """Remove the layers deeper than the given one."""
        self.require([depth])
        for name in self.layers[self.layers.index(depth) + 1 :]:
            del self.convolutions[name.removeprefix("relu")]

    def require(self, layers: Sequence[str]) -> None:
        """Raise a UserError for a layer that does not exist or that the weights do not reach."""
        for layer in layers:
            if layer not in self.layers:
                known = layer in [f"relu{name}" for name in _names(self.arch)]
                reason = f"these weights end at {self.depth}" if known else f"{self.arch} has no such layer"
                raise UserError(
                    f"the layer {layer} cannot be used, because {reason}: take one of {', '.join(self.layers)}"
                )

    def forward(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the features of [B, 3, H, W] in [-1, 1] (grey [B, 1, H, W] is repeated), each [B, C, h, w].

        Nothing beyond the deepest of `layers` is computed.
        """
        self.require(layers)
        if x.shape[1] not in (1, 3):
            raise UserError(
                f"VGG takes pictures of 3 channels (or 1, which it repeats), not {x.shape[1]}: "
                "choose a method without VGG losses"
            )
        wanted, found = set(layers), {}
        with torch.autocast(x.device.type, enabled=False):
            y = x.to(self.colours.dtype).expand(-1, 3, -1, -1)
            y = F.conv2d(y, self.colours, self.offset)
            for name, convolution in self.convolutions.items():
                if name.endswith("_1") and name != "1_1":
                    y = self._pool(y)
                y = F.relu(self._convolve(convolution, y), inplace=True)
                if f"relu{name}" in wanted:
                    found[f"relu{name}"] = y
                if len(found) == len(wanted):
                    break
        return found

    def _pool(self, y: Tensor) -> Tensor:
        pool = F.max_pool2d if self.pooling == "max" else F.avg_pool2d
        return pool(y, 2, ceil_mode=1 in y.shape[-2:])

    def _convolve(self, convolution: nn.Module, y: Tensor) -> Tensor:
        weight, bias = convolution.weight, convolution.bias
        assert isinstance(weight, Tensor)
        assert isinstance(bias, Tensor)
        if self.padding == "zeros":
            return F.conv2d(y, weight, bias, padding=1)  # without a padded copy
        y = pad(y, (1, 1, 1, 1), "replicate" if 1 in y.shape[-2:] else "reflect")
        return F.conv2d(y, weight, bias)

    def train(self, mode: bool = True) -> VGG:
        """Stay in eval mode: nothing in it depends on the mode."""
        return super().train(False)

    # Checkpoints

    def get_extra_state(self) -> dict[str, str]:
        return {"padding": self.padding, "depth": self.depth}

    def set_extra_state(self, state: Mapping[str, str]) -> None:
        self.padding = state["padding"]


def _names(arch: str) -> list[str]:
    """Return the names 1_1, 1_2, 2_1, ... of the convolutions."""
    return [f"{block + 1}_{i + 1}" for block, count in enumerate(BLOCKS[arch]) for i in range(count)]


def _random(names: Sequence[str]) -> dict[str, Tensor]:
    """Draw weights as He et al. 2015 from a generator with a fixed seed of its own, so that no other draw changes."""
    generator = torch.Generator().manual_seed(0)
    state, channels = _torchvision_colours(), 3
    for name in names:
        width = WIDTHS[int(name[0]) - 1]
        weight = torch.randn(width, channels, 3, 3, generator=generator) * math.sqrt(2 / (9 * channels))
        state |= {f"{name}.weight": weight, f"{name}.bias": torch.zeros(width)}
        channels = width
    return state


def _torchvision_colours() -> dict[str, Tensor]:
    """Return the map from [-1, 1] to ImageNet's normalisation as a 1x1 convolution."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    return {"colours": torch.diag(0.5 / std).reshape(3, 3, 1, 1), "offset": (0.5 - mean) / std}


def _read(weights: str, arch: str, names: Sequence[str]) -> tuple[dict[str, Tensor], str]:
    """Read the layers of a file by the names of `_names`, and its padding."""
    source = _download(arch) if weights == "imagenet" else _open(expanded(weights))
    colours = [source.get(f"0.{part}", torch.empty(0)).shape for part in ("weight", "bias")]
    normalised = colours == [(3, 3, 1, 1), (3,)]
    if normalised:
        # here pictures are in [0, 1]: (x + 1) / 2 goes into the first convolution
        matrix, bias = source["0.weight"], source["0.bias"]
        state = {"colours": matrix / 2, "offset": bias + matrix.sum(dim=(1, 2, 3)) / 2}
    else:
        state = _torchvision_colours()
    prefix = "features." if "features.0.weight" in source else ""
    index, used = int(normalised), int(normalised)
    for name in names:
        index += int(normalised)  # a reflection padding before each convolution
        if f"{prefix}{index}.weight" in source:
            parts = {part: source.get(f"{prefix}{index}.{part}") for part in ("weight", "bias")}
            state |= {f"{name}.{part}": value for part, value in parts.items() if value is not None}
            used += 1
        index += 2 + int(_ends_a_block(name, names))
    kernels = sum(
        1 for key, value in source.items() if key.startswith(prefix) and key.endswith("weight") and value.dim() == 4
    )
    if used != kernels or not _is_vgg(state, names):
        other = "vgg16" if arch == "vgg19" else "vgg19"
        raise UserError(
            f"{weights} does not hold a {arch}: expected torchvision's state dict (features.0.weight, ...) or AdaIN's "
            f"normalised one (0.weight of 3x3x1x1, ...); for the other architecture add model/vgg={other}"
        )
    if not all(bool(value.isfinite().all()) for value in state.values()):
        raise UserError(f"{weights} holds weights that are NaN or infinite: take another file")
    return state, "reflect" if normalised else "zeros"


def _is_vgg(state: Mapping[str, Tensor], names: Sequence[str]) -> bool:
    """Check whether layers of the right shapes follow each other from the first one on, without a gap."""
    held = [name for name in names if f"{name}.weight" in state]
    channels = 3
    for name in held:
        width = WIDTHS[int(name[0]) - 1]
        bias = state.get(f"{name}.bias", torch.empty(0))
        if state[f"{name}.weight"].shape != (width, channels, 3, 3) or bias.shape != (width,):
            return False
        channels = width
    return bool(held) and held == list(names[: len(held)])


def _ends_a_block(name: str, names: Sequence[str]) -> bool:
    here = names.index(name)
    return here + 1 == len(names) or names[here + 1][0] != name[0]


def _open(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"there is no file {absent(path)} with weights of a VGG: check model.vgg.weights")
    content = torch_files.read(path, "weights of a VGG")
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no state dict: expected weights of a VGG by name")
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _download(arch: str) -> dict[str, Tensor]:
    url = URLS[arch]
    try:
        state: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except Exception as error:  # urllib, the disk and the hash check have no common class
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise UserError(
            f"ImageNet's weights are not in {folder} and cannot be downloaded ({' '.join(str(error).split())[:80]}): "
            f"put {url} there, or name a file (model.vgg.weights=FILE, --weights FILE or GAN_STYLE_VGG=FILE in the "
            "environment), or take random ones to see that something runs"
        ) from error
    return state
