"""Which loss terms move the generators, and how large a player's gradient is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn


def slopes(
    terms: Mapping[str, Tensor], images: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
) -> dict[str, Tensor]:
    """How steep each term is: the largest derivative by what it reaches first.

    That is a picture that no other one is made of (`rec_A`, `idt_B`), then the fakes, and the weights for a term that
    is computed from neither; on this order it costs less than a pass back through the generators. Leaves the graph.

    Args:
        terms: scalars of one forward pass.
        images: the pictures they were computed from.
        parameters: of the generators.

    Returns: a scalar for each term; 0 where nothing is reached.
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
            if reached and bool((steepest := torch.stack(reached).amax()) != 0):  # waits for the device, but rarely
                found[name] = steepest
                break
    return found


@torch.no_grad()
def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor | None:
    """The norm of a player's whole gradient, a scalar on its device; None where there is none."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return None
    return torch.stack(torch._foreach_norm(gradients)).norm()
