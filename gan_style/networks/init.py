"""Initial weights of a network, as the official CycleGAN code draws them."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import init
from torch.nn.utils import parametrize

from gan_style.networks.blocks import Upsample

NORM_STD = 0.02

INITS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "normal": lambda weight, gain: init.normal_(weight, 0.0, gain),
    "xavier": lambda weight, gain: init.xavier_normal_(weight, gain),
    "kaiming": lambda weight, _: init.kaiming_normal_(weight, a=0.0, mode="fan_in"),
    "orthogonal": lambda weight, gain: init.orthogonal_(weight, gain),
}


def initialize(module: nn.Module, kind: str = "normal", gain: float = 0.02) -> None:
    """Draw all convolution and linear weights and zero their biases; norms get weights N(1, 0.02), biases 0.

    Args:
        module: changed in place.
        kind: ``normal`` N(0, gain) (Zhu et al. 2017, section 7.1), ``xavier``, ``kaiming`` or ``orthogonal``.
        gain: standard deviation of ``normal``, factor of ``xavier`` and ``orthogonal``; ``kaiming`` has none.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in INITS:
        raise ValueError(f"Unknown init {kind!r}; choose one of {', '.join(INITS)}.")
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            INITS[kind](bare_weight(layer), gain)
            if layer.bias is not None:
                init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d) and layer.affine:
            init.normal_(layer.weight, 1.0, NORM_STD)
            init.zeros_(layer.bias)
    for layer in module.modules():
        if isinstance(layer, Upsample):
            layer.tie_subpixels()


def bare_weight(layer: nn.Module) -> Tensor:
    """Return the parameter behind the weight, also where a spectral norm computes the weight from it."""
    name = "parametrizations.weight.original" if parametrize.is_parametrized(layer, "weight") else "weight"
    return layer.get_parameter(name)
