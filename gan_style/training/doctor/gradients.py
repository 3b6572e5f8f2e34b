"""Gradients: which loss terms move the generators, and the norm of a player's gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn


def slopes(
    terms: Mapping[str, Tensor], images: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
) -> dict[str, Tensor]:
    """Compute the slope of each term: the largest derivative by the first tensors that it depends on.

    These are pictures that no other picture is computed from (`rec_A`, `idt_B`), else the fakes, else the weights. In
    this order it mostly costs less than a backward pass through the generators. The graph is kept.

    Args:
        terms: scalars of one forward pass.
        images: the pictures they were computed from.
        parameters: of the generators.

    Returns: a scalar for each term; 0 where it has no gradient.
    """
    made = {name: image for name, image in images.items() if image.requires_grad}
    last = [image for name, image in made.items() if not name.startswith("fake")]
    fakes = [image for name, image in made.items() if name.startswith("fake")]
    trained = [p for p in parameters if p.requires_grad]
    found = {}
    for name, term in terms.items():
        found[name] = torch.zeros((), device=term.device)
        for targets in (last, fakes, trained):
            if not (targets and term.requires_grad):
                continue
            gradients = torch.autograd.grad(term, targets, retain_graph=True, allow_unused=True)
            reached = [g.abs().amax().float() for g in gradients if g is not None]
            if reached and bool((steepest := torch.stack(reached).amax()) != 0):  # a rare synchronisation
                found[name] = steepest
                break
    return found


@torch.no_grad()
def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor | None:
    """Compute the norm of a player's whole gradient, a scalar on its device; None where there is none."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return None
    return torch.stack(torch._foreach_norm(gradients)).norm()
