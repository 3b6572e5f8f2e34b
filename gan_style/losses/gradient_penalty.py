"""Penalties on the gradient of the discriminator with respect to its input.

A patch discriminator gives a logit at each of n places. The penalty is that of their sum over sqrt(n), so that a weight
means the same for maps of any size: the square of the gradient of the sum itself grows with the number of places, that
of the mean falls with it. For a single logit all are the papers' own.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gan_style.core.precision import at_least_float32
from gan_style.losses.adversarial import Logits, maps_of

Discriminator = Callable[[Tensor], Logits]


def r1_penalty(discriminator: Discriminator, real: Tensor) -> Tensor:
    """Compute the zero-centred penalty on real pictures, ``|grad D(x)|^2 / 2`` (Mescheder et al. 2018, eq. 9).

    Of fakes it is R2 (eq. 10).

    Args:
        discriminator: gives logits, or several maps of them.
        real: [B, C, H, W].

    Returns:
        Mean over the batch, a scalar in [0, inf); the caller multiplies with gamma.
    """
    return 0.5 * _squares(discriminator, real).mean()


def wgan_gp(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """Compute the one-centred penalty between real and fake, ``(|grad D(x)| - 1)^2`` (Gulrajani et al. 2017, eq. 3).

    Args:
        discriminator: gives logits, or several maps of them.
        real: [B, C, H, W].
        fake: the same shape; each pair is interpolated by a uniform random weight of its own.

    Returns:
        Mean over the batch, a scalar in [0, inf); the caller multiplies with lambda, 10 in the paper.
    """
    gradient = _input_gradient(discriminator, _between(real, fake))
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def zero_centred(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """Compute the zero-centred penalty between real and fake, ``|grad D(x)|^2`` (Thanh-Tung et al. 2019).

    For arguments and result see `wgan_gp`.
    """
    return _squares(discriminator, _between(real, fake)).mean()


def _between(real: Tensor, fake: Tensor) -> Tensor:
    weight = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
    return torch.lerp(real.detach(), fake.detach().to(real.dtype), weight)


def _squares(discriminator: Discriminator, x: Tensor) -> Tensor:
    """Return the squared norm of each image's gradient, [B]."""
    return _input_gradient(discriminator, x).square().flatten(1).sum(dim=1)


def _input_gradient(discriminator: Discriminator, x: Tensor) -> Tensor:
    """Compute the gradient of the sum of each map over the root of its places, [B, C, H, W], itself differentiable.

    Autocast is off, because squares of small gradients vanish in half precision.
    """
    device = x.device.type
    x = x.detach().float() if torch.is_autocast_enabled(device) else x.detach()
    x.requires_grad_()
    with torch.autocast(device, enabled=False):
        total = torch.stack([one.sum() / math.sqrt(one[0].numel()) for one in maps_of(discriminator(x))]).sum()
        (gradient,) = torch.autograd.grad(total, x, create_graph=True)
    return at_least_float32(gradient)
