"""Cheap statistics of pictures, computed on their device without synchronising with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.direction import Direction
from gan_style.metrics.detail import fine_energy
from gan_style.metrics.grid import STRIDES, amplitude, fold, strides_of

COPY_SIDE = 16  # pixels of the small copies that outputs are compared by
SATURATION_LIMIT = 0.99  # absolute values above it count as at the limits of [-1, 1]
MIN_FINE_ENERGY = 4.0  # of 255^2: real pictures with less have no detail that could be missing
MAX_GRID_TO_REAL = 1.5  # of the grid of real pictures and what their content leaves: more is a grid
KINDS = ("output", "target")
MIN_DEVIATION = 0.02  # below it pictures do not differ, or have no contrast

Sketch = dict[str, Tensor]


@torch.no_grad()
def sketch(images: Mapping[str, Tensor]) -> Sketch:
    """Compute what is kept of one iteration's pictures.

    Args:
        images: `real_A`, `fake_B`, ..., [B, C, H, W] in [-1, 1]; see docs/glossary.md.

    Returns: by direction: small copies, the mean difference of output and input, the shares of values at the limits,
        the energies of fine detail of output and target, and both folded at each stride that they are large enough for.
    """
    found: Sketch = {}
    for direction in Direction:
        source, target = direction.source, direction.target
        if not {f"real_{source}", f"fake_{target}", f"real_{target}"} <= set(images):
            continue
        real, fake, other = (images[name].float() for name in (f"real_{source}", f"fake_{target}", f"real_{target}"))
        for kind, shown in (("input", real), ("output", fake), ("target", other)):
            found[f"{direction}/{kind}"] = F.adaptive_avg_pool2d(shown, COPY_SIDE)
        if real.shape == fake.shape:
            found[f"{direction}/moved"] = (fake - real).abs().mean()
        found[f"{direction}/saturated"] = (fake.abs() > SATURATION_LIMIT).float().mean()
        found[f"{direction}/saturated_real"] = (other.abs() > SATURATION_LIMIT).float().mean()
        for kind, shown in (("output", fake), ("target", other)):
            found[f"{direction}/fine_{kind}"] = fine_energy(shown).mean()
            for stride in strides_of(min(*fake.shape[-2:], *other.shape[-2:])):
                found[f"{direction}/cells_{kind}_{stride}"] = fold(shown, stride)
    return found


@torch.no_grad()
def measure(sketches: Sequence[Sketch]) -> dict[str, Tensor]:
    """Compute statistics of the pictures of a few consecutive iterations.

    Returns: scalars by name; NaN where the pictures do not determine them.
        `A2B/spread`: standard deviation over pictures of the outputs, divided by the smaller one of inputs and targets.
        `A2B/correlation`: of the luminance of input and output.
        `A2B/moved`: mean absolute difference of output and input, in [0, 2].
        `A2B/saturated`, `A2B/saturated_real`: shares of values at the limits.
        `A2B/detail`: energy of fine detail of the outputs, divided by that of the targets.
        `A2B/grid`, `A2B/grid_real`: standard deviation of the pattern that repeats at a stride, of outputs and targets,
            and `A2B/stride`, the one of `STRIDES` at which the outputs exceed the targets most.
    """
    found: dict[str, Tensor] = {}
    for direction in Direction:
        rows = [one for one in sketches if f"{direction}/output" in one]
        if not rows:
            continue
        small = {kind: [row[f"{direction}/{kind}"] for row in rows] for kind in ("input", "output", "target")}
        found[f"{direction}/spread"] = spread(*(torch.cat(small[kind]) for kind in ("input", "output", "target")))
        found[f"{direction}/correlation"] = correlation(torch.cat(small["input"]), torch.cat(small["output"]))
        for kind in ("moved", "saturated", "saturated_real"):
            if values := [row[f"{direction}/{kind}"] for row in rows if f"{direction}/{kind}" in row]:
                found[f"{direction}/{kind}"] = torch.stack(values).mean()
        if fine := [row for row in rows if f"{direction}/fine_output" in row]:
            made, real = (
                torch.stack([row[f"{direction}/fine_{k}"] for row in fine]).mean() for k in ("output", "target")
            )
            found[f"{direction}/detail"] = torch.where(real > MIN_FINE_ENERGY, made / real, torch.nan)
        found |= {f"{direction}/{name}": value for name, value in grids(rows, direction).items()}
    return found


def grids(rows: Sequence[Sketch], direction: str) -> dict[str, Tensor]:
    """Return `grid`, `grid_real` and `stride` of a direction, see `measure`; empty where pictures are too small.

    The grid of the targets is the deviation of their mean cell, which holds what their content leaves by chance, so
    that few or small pictures have to show more.
    """
    found = []
    for stride in STRIDES:
        cells = [[row[key] for row in rows if (key := f"{direction}/cells_{kind}_{stride}") in row] for kind in KINDS]
        if all(cells):
            made, real = (torch.cat(one) for one in cells)
            found.append(torch.stack([amplitude(made), real.mean(0).square().mean().sqrt(), made.new_tensor(stride)]))
    if not found:
        return {}
    each = torch.stack(found)
    excess = each[:, 0] - MAX_GRID_TO_REAL * each[:, 1]
    # what repeats every 4 pixels repeats every 8, too: the shortest of those that show about as much
    worst = each[(excess >= excess.amax() - 0.2 * excess.amax().abs()).int().argmax()]
    return dict(zip(("grid", "grid_real", "stride"), worst.unbind(), strict=True))


def spread(inputs: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
    """Divide the deviation over pictures of the outputs [N, C, h, w] by the smaller one of inputs and targets.

    NaN where there are fewer than three pictures, or where inputs or targets do not differ themselves.
    """
    if len(inputs) < 3:
        return torch.full((), torch.nan, device=inputs.device)
    out, *others = (x.var(0, correction=0).mean().sqrt() for x in (outputs, inputs, targets))
    smaller = torch.minimum(*others)
    return torch.where(smaller > MIN_DEVIATION, out / smaller, torch.nan)


def correlation(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Correlate the luminance of inputs and outputs, [N, C, h, w] each; mean over pictures that are not flat."""
    a, b = (x.mean(1).flatten(1) for x in (inputs, outputs))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    deviations = a.square().mean(1).sqrt(), b.square().mean(1).sqrt()
    each = (a * b).mean(1) / (deviations[0] * deviations[1]).clamp_min(1e-12)
    return torch.where(torch.minimum(*deviations) > MIN_DEVIATION, each, torch.nan).nanmean()
