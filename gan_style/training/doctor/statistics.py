"""Cheap statistics of pictures, computed on their device without synchronising with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.direction import Direction

COPY_SIDE = 16  # pixels of the small copies that outputs are compared by
GRID_PERIOD = 4  # pixels, the longest period of a grid: two layers of stride 2
MIN_GRID_SIDE = 16  # pixels: in smaller pictures a grid cannot be told from the content
SATURATION_LIMIT = 0.99  # absolute values above it count as at the limits of [-1, 1]
MIN_DEVIATION = 0.02  # below it pictures do not differ, or have no contrast

Sketch = dict[str, Tensor]


@torch.no_grad()
def sketch(images: Mapping[str, Tensor]) -> Sketch:
    """Compute what is kept of one iteration's pictures.

    Args:
        images: `real_A`, `fake_B`, ..., [B, C, H, W] in [-1, 1]; see docs/glossary.md.

    Returns: by direction: small copies, the mean difference of output and input, the shares of values at the limits and
        the grids of output and target.
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
        if min(*fake.shape[-2:], *other.shape[-2:]) >= MIN_GRID_SIDE:
            found[f"{direction}/grid"], found[f"{direction}/grid_real"] = grid(fake), grid(other)
    return found


@torch.no_grad()
def measure(sketches: Sequence[Sketch]) -> dict[str, Tensor]:
    """Compute statistics of the pictures of a few consecutive iterations.

    Returns: scalars by name; NaN where the pictures do not determine them.
        `A2B/spread`: standard deviation over pictures of the outputs, divided by the smaller one of inputs and targets.
        `A2B/correlation`: of the luminance of input and output.
        `A2B/moved`: mean absolute difference of output and input, in [0, 2].
        `A2B/saturated`, `A2B/saturated_real`: shares of values at the limits.
        `A2B/grid`, `A2B/grid_real`: standard deviation of the pattern with a period of 2 or 4 pixels.
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
        for kind in ("grid", "grid_real"):
            if grids := [row[f"{direction}/{kind}"] for row in rows if f"{direction}/{kind}" in row]:
                found[f"{direction}/{kind}"] = torch.stack(grids).mean(0).std(correction=0)
    return found


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


def grid(images: Tensor) -> Tensor:
    """Extract the pattern that repeats every four pixels, [4, 4], from pictures [B, C, H, W].

    This is the spectrum at exactly the frequencies of strides 2 and 4 (Odena et al. 2016, "Deconvolution and
    checkerboard artifacts"), computed by folding: whatever does not repeat averages out.
    """
    luminance = images.mean(1, keepdim=True)
    # A low-pass filter that removes periods of 2 and 4, and is symmetric, so that a ramp leaves no sawtooth.
    taps = torch.tensor([1.0, 2.0, 2.0, 2.0, 1.0], device=luminance.device) / 8
    smooth = F.conv2d(F.conv2d(luminance, taps.view(1, 1, 5, 1)), taps.view(1, 1, 1, 5))
    fine = luminance[..., 2:-2, 2:-2] - smooth
    height, width = (side - side % GRID_PERIOD for side in fine.shape[-2:])
    cells = fine[..., :height, :width].reshape(
        -1, height // GRID_PERIOD, GRID_PERIOD, width // GRID_PERIOD, GRID_PERIOD
    )
    return cells.mean((0, 1, 3))
